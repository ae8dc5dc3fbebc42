//! `slice`: one response made of many ranges, each asked for by itself. <https://nginx.org/en/docs/http/ngx_http_slice_module.html>

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::range;
use crate::conf::{Command, Inherit, LocationBuilder, Module};
use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Filter, FilterSlot, HeaderId, Headers, Request, Response, Subrequest,
    SubrequestFuture, VariableDef,
};
use crate::log::{Level, Line};

/// `ngx_http_slice_filter_module`.
pub struct Slices;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    size: Option<usize>,
}

/// How long a slice is, in bytes.
#[derive(Clone, Copy)]
struct Size(u64);

impl Module for Slices {
    type Conf = Conf;
    const NAME: &'static str = "http_slice";
    const COMMANDS: &'static [Command<Conf>] = &[Command::size("slice", |c| &mut c.size)];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("slice_range", slice_range)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.size.inherit(&parent.size);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(size) = conf.size.filter(|size| *size > 0) {
            let size = Size(size as u64);
            location.extensions.insert(size);
            location.filter(FilterSlot::Slice, Settle(size));
            location.filter(FilterSlot::Postpone, Join(size));
        }
    }
}

/// How far a response has come. It belongs to the main request; those for further slices use it too.
#[derive(Default)]
struct Progress {
    /// Somebody asked for `$slice_range`, and the response is made of slices as far as is known.
    on: Cell<bool>,
    /// Where the slice begins that is asked for, or the next one.
    start: Cell<u64>,
    /// The slice that was asked for has come.
    active: Cell<bool>,
    /// Length of the whole response.
    complete: Cell<u64>,
    etag: RefCell<Option<Vec<u8>>>,
}

impl Progress {
    /// The main request's, if this is it or was started for one of its slices.
    fn of(r: &Request) -> Option<Rc<Self>> {
        let owner = match &r.main {
            None => r,
            Some(main) => r.sub.as_ref().is_some_and(|sub| sub.cloned).then_some(main)?,
        };
        owner.find_context::<Self>().filter(|progress| progress.on.get())
    }
}

/// `$slice_range`
fn slice_range(r: &Request, out: &mut Vec<u8>) -> bool {
    let Some(Size(size)) = r.location().extensions.get::<Size>().copied() else { return false };
    let progress = match Progress::of(r) {
        Some(progress) => progress,
        None if !r.is_main() || r.out.status.get() != 0 => return false,
        None => {
            let progress = r.context::<Progress>();
            progress.start.set(wanted_start(r) / size * size);
            progress.on.set(true);
            progress
        }
    };
    let start = progress.start.get();
    out.extend_from_slice(format!("bytes={start}-{}", start + size - 1).as_bytes());
    true
}

/// Where the client wants the response to begin, as far as that can be said without knowing its length.
fn wanted_start(r: &Request) -> u64 {
    let headers = r.headers.borrow();
    let Some(range) = headers.get(HeaderId::Range) else { return 0 };
    if headers.has(HeaderId::IfRange) || range.len() < 7 || !range[..6].eq_ignore_ascii_case(b"bytes=") {
        return 0;
    }
    let range = range[6..].trim_ascii_start();
    if range.contains(&b',') {
        return 0;
    }
    number(range).map_or(0, |(start, _)| start)
}

/// A number at the start of a text, of 63 bits, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let digits = std::str::from_utf8(&text[..end]).ok()?;
    let number = digits.parse::<i64>().ok()?;
    Some((u64::try_from(number).ok()?, &text[end..]))
}

/// What a slice's `Content-Range` says.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    /// Behind the last byte.
    end: u64,
    /// `None` for `*`.
    complete: Option<u64>,
}

impl ContentRange {
    fn parse(value: &[u8]) -> Option<Self> {
        let rest = value.strip_prefix(b"bytes ")?;
        let (start, rest) = number(skip_spaces(rest))?;
        let rest = skip_spaces(rest).strip_prefix(b"-")?;
        let (last, rest) = number(skip_spaces(rest))?;
        let rest = skip_spaces(skip_spaces(rest).strip_prefix(b"/")?);
        let (complete, rest) = match rest.strip_prefix(b"*") {
            Some(rest) => (None, rest),
            None => number(rest).map(|(complete, rest)| (Some(complete), rest))?,
        };
        skip_spaces(rest).is_empty().then_some(Self { start, end: last + 1, complete })
    }
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| **byte == b' ').count()..]
}

/// Makes the head of a slice that of the whole response.
struct Settle(Size);

/// A slice that cannot be used: the connection is closed.
const CLOSE: u16 = 444;

impl Filter for Settle {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let Some(progress) = Progress::of(r) else { return Ok(()) };
        let refuse = |message: &dyn Fn(&mut Line)| {
            r.log_with(Level::Error, |line| {
                message(line);
            });
            Err(CLOSE)
        };
        if response.status != 206 {
            if r.is_main() {
                progress.on.set(false);
                return Ok(());
            }
            let status = response.status;
            return refuse(&|line| {
                line.put(format_args!("unexpected status code {status} in slice response"));
            });
        }
        let etag = response.headers.get(HeaderId::ETag);
        if progress.etag.borrow().as_deref().is_some_and(|first| etag != Some(first)) {
            return refuse(&|line| {
                line.put("etag mismatch in slice response");
            });
        }
        if let Some(etag) = etag {
            *progress.etag.borrow_mut() = Some(etag.to_vec());
        }
        let Some(range) = response.headers.get(HeaderId::ContentRange).and_then(ContentRange::parse) else {
            return refuse(&|line| {
                line.put("invalid range in slice response");
            });
        };
        let Some(complete) = range.complete else {
            return refuse(&|line| {
                line.put("no complete length in slice response");
            });
        };
        let (start, end) = (progress.start.get(), complete.min(range.start + self.0.0));
        if range.start != start || range.end != end {
            return refuse(&|line| {
                line.put(format_args!(
                    "unexpected range in slice response: {}-{}, expected: {start}-{end}",
                    range.start, range.end
                ));
            });
        }
        progress.start.set(end);
        progress.active.set(true);
        progress.complete.set(complete);
        response.status = 200;
        response.status_line = None;
        response.headers.remove(HeaderId::ContentLength);
        response.headers.remove(HeaderId::ContentRange);
        response.headers.remove(HeaderId::AcceptRanges);
        response.content_length = Some(complete);
        response.content_offset = range.start;
        (response.allow_ranges, response.single_range, response.subrequest_ranges) = (true, true, true);
        Ok(())
    }
}

/// Puts further slices behind the first one.
struct Join(Size);

impl Filter for Join {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if let Some(progress) = Progress::of(r).filter(|_| r.is_main() && response.status == 200) {
            let (r, size) = (r.clone(), self.0.0);
            response.body.wrap(|body| Box::new(Joined { r, progress, size, end: None, current: Current::Body(body) }));
        }
        Ok(())
    }
}

/// A body of slices, each asked for when its turn comes.
struct Joined {
    r: Rc<Request>,
    progress: Rc<Progress>,
    size: u64,
    /// Where to stop, once that is known.
    end: Option<u64>,
    current: Current,
}

enum Current {
    Body(Body),
    Asked(SubrequestFuture),
}

impl Joined {
    /// Asks for the next slice; `None` where all have come.
    fn ask(&mut self) -> Option<Result<(), BodyCut>> {
        if !self.progress.active.replace(false) {
            self.r.log(Level::Error, "missing slice response");
            return Some(Err(BodyCut));
        }
        let end = *self.end.get_or_insert_with(|| match range::chosen(&self.r) {
            None => self.progress.complete.get(),
            Some((start, end)) => {
                if self.progress.start.get() + self.size <= start {
                    self.progress.start.set(start / self.size * self.size);
                }
                end
            }
        });
        if self.progress.start.get() >= end {
            return None;
        }
        let sub = Subrequest {
            uri: self.r.uri.borrow().clone(),
            args: self.r.args.borrow().clone(),
            method: Some(self.r.method.get()),
            with_body: true,
            cloned: true,
            ..Subrequest::default()
        };
        let asked = self.r.local.engine.subrequest(&self.r, sub);
        Some(asked.map(|work| self.current = Current::Asked(work)).map_err(|_| BodyCut))
    }
}

impl BodyStream for Joined {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            match &mut self.current {
                Current::Asked(work) => {
                    let (_, answer) = ready!(work.as_mut().poll(cx));
                    let Ok(response) = answer else { return Poll::Ready(Some(Err(BodyCut))) };
                    self.current = Current::Body(response.body);
                }
                Current::Body(body) => match ready!(body.poll_next(cx)) {
                    Some(next) => return Poll::Ready(Some(next)),
                    None => match self.ask() {
                        None => return Poll::Ready(None),
                        Some(Ok(())) => {}
                        Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                    },
                },
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Current::Body(body) = &mut self.current {
            body.poll_progress(cx);
        }
    }

    fn postpones(&self) -> bool {
        match &self.current {
            Current::Body(body) => body.postpones(),
            Current::Asked(_) => true,
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        match &mut self.current {
            Current::Body(body) => body.trailers(),
            Current::Asked(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        let range = |start, end, complete| Some(ContentRange { start, end, complete });
        assert_eq!(ContentRange::parse(b"bytes 0-1/10"), range(0, 2, Some(10)));
        assert_eq!(ContentRange::parse(b"bytes  4 - 5 / * "), range(4, 6, None));
        for bad in ["", "bytes", "bytes */10", "bytes 0-1", "bytes 0-/2", "bytes -1/2", "bytes 0-1/2x", "Bytes 0-1/2"] {
            assert_eq!(ContentRange::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
