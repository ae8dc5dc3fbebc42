//! `proxy_store` and its kin: answers are kept as files. Behaviour of nginx's `ngx_http_upstream_store`.

use std::future::poll_fn;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::exchange::{Answer, Exchange};
use super::passage::{Action, Passage, report};
use super::relay::Relay;
use crate::http::date::parse_http;
use crate::http::disk;
use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Flow, HeaderId, Headers, Lifetime, Request, Script, TempFile, read_range,
};
use crate::log::Level;

/// `proxy_store`, as configured.
#[derive(Clone, Debug)]
pub(crate) struct StoreConf {
    /// The file; `None` for the one that the URI stands for.
    pub(crate) path: Option<Script>,
    /// `proxy_store_access`: permissions of files.
    pub(crate) access: u32,
}

/// An answer on its way to its file.
pub(super) struct Store {
    r: Rc<Request>,
    conf: StoreConf,
    file: TempFile,
    /// `Last-Modified`
    time: Option<i64>,
    /// `Content-Length`
    length: Option<u64>,
    failed: bool,
}

impl Store {
    /// Begins to keep an answer that is worth it.
    pub(super) fn begin(exchange: &Exchange<'_>, answer: &Answer, buffered: bool, asked_head: bool) -> Option<Self> {
        let Exchange { r, conf, .. } = exchange;
        let head = &answer.head;
        let store = conf.store.as_ref().filter(|_| head.status == 200 && buffered)?;
        let length = head.content_length.filter(|_| !head.chunked);
        if asked_head && length.is_some_and(|length| length > 0) {
            return None;
        }
        let file = match TempFile::create(&conf.temp_path, Lifetime::WhileUsed) {
            Ok(file) => file,
            Err(error) => {
                report(r, Level::Crit, Action::ReadingBody, |line| error.write(line));
                return None;
            }
        };
        let time = head.headers.get(HeaderId::LastModified).and_then(parse_http);
        Some(Self { r: Rc::clone(r), conf: store.clone(), file, time, length, failed: false })
    }

    /// Writes a piece.
    fn take(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Bytes(bytes) => self.append(bytes),
            Chunk::File(range) => {
                const PIECE: u64 = 64 << 10;
                let mut at = range.start;
                while at < range.end && !self.failed {
                    let count = (range.end - at).min(PIECE);
                    match read_range(&*range.file, at, count as usize) {
                        Ok(bytes) => self.append(&bytes),
                        Err(_) => self.failed = true,
                    }
                    at += count;
                }
            }
            Chunk::Flush => {}
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        if let Err(error) = self.file.append(bytes) {
            self.failed = true;
            let path = self.file.to_string();
            report(&self.r, Level::Crit, Action::ReadingBody, |line| {
                line.put(format_args!("pwrite() \"{path}\" failed")).error(&error);
            });
        }
    }

    /// Puts the file in its place, if all of the answer is in it.
    fn finish(self) {
        if self.failed || self.length.is_some_and(|length| length != self.file.length) {
            return;
        }
        let r = &self.r;
        let path = match &self.conf.path {
            Some(script) => Some(script.eval(r).to_vec()),
            None => r.map_uri(),
        };
        let Some(path) = path else { return };
        let (temporary, access) = (self.file.path.as_os_str().as_bytes(), self.conf.access);
        let complain = |call: &str, error: std::io::Error| {
            r.log_with(Level::Crit, |line| {
                line.put(call).put(" \"").bytes(temporary).put("\" failed").error(&error);
            });
        };
        if let Err(error) = disk::set_access(temporary, access) {
            return complain("chmod()", error);
        }
        if let Some(Err(error)) = self.time.map(|time| disk::set_time(temporary, time)) {
            return complain("utimes()", error);
        }
        // Who may read may search. The log knows where it fails.
        disk::move_to(r, temporary, &path, Some(access | (access & 0o444) >> 2));
    }
}

/// Keeps an answer that needs no stream.
pub(super) fn keep(flow: Flow, store: Option<Store>, passage: &Passage) -> Flow {
    if let (Flow::Respond(response), Some(mut store)) = (&flow, store) {
        match &response.body {
            Body::Bytes(bytes) => store.append(bytes),
            Body::Empty => {}
            Body::File(_) | Body::Stream(_) => return flow,
        }
        passage.keep_by(move || store.finish());
    }
    flow
}

/// The body of an answer that is kept as a file too, if it is.
pub(super) fn body(relay: Box<Relay>, store: Option<Store>) -> Body {
    match store {
        None => relay.into_body(),
        Some(store) => Body::Stream(Box::new(Stored(Some((relay, store))))),
    }
}

/// A body that is written to a file while it is relayed. Without a client it goes on by itself.
struct Stored(Option<(Box<Relay>, Store)>);

impl BodyStream for Stored {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        let Some((relay, store)) = &mut self.0 else { return Poll::Ready(None) };
        let polled = relay.poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => store.take(chunk),
            Poll::Ready(None) => {
                if let Some((_, store)) = self.0.take() {
                    store.finish();
                }
            }
            Poll::Ready(Some(Err(_))) => self.0 = None,
            Poll::Pending => {}
        }
        polled
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Some((relay, _)) = &mut self.0 {
            relay.poll_progress(cx);
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.0.as_mut().and_then(|(relay, _)| relay.trailers())
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let Some(rest) = self.0.take().filter(|(relay, _)| !relay.is_unwanted()) else { return };
        let mut rest = Stored(Some(rest));
        tokio::task::spawn_local(async move {
            // At the end there is nothing left to be dropped.
            while let Some(Ok(_)) = poll_fn(|cx| rest.poll_next(cx)).await {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;

    #[test]
    fn passes_on_what_is_not_kept() {
        let flow = keep(Flow::respond(Response::new(204)), None, &Passage::default());
        assert!(matches!(flow, Flow::Respond(response) if response.status == 204));
    }
}
