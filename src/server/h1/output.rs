//! Sends a response on an HTTP/1 connection: head and first bytes in one call, files from the page cache.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Io;
use super::head::{self, Framing};
use super::tunnel::TunnelIo;
use crate::h1::framing::{CHUNK_END, LAST_CHUNK, append_chunk_head};
use crate::h1::write::append_fields;
use crate::http::{Body, Chunk, FileRange, Request, Response, SentHead, Version};
use crate::log::Level;

/// Files up to this size are read behind the head and sent with it, in bytes.
const INLINE_FILE: u64 = 32 << 10;

/// The most that is read from a file at once where `sendfile` is off, in bytes.
const READ: u64 = 64 << 10;

/// Pieces smaller than this are gathered before they are written, in bytes.
const GATHER: usize = 16 << 10;

/// Why a response was not sent whole.
enum Cut {
    /// The client is gone, or does not take its answer.
    Client,
    /// The body broke off.
    Body,
}

/// Sends a response; `true` where it was sent whole and the connection may be kept.
pub(super) async fn send(io: &Rc<Io>, r: &Rc<Request>, version: Version, mut response: Response) -> bool {
    let has_body = !head::is_header_only(r.method.get(), version, &mut response);
    let framing = match response.bare {
        true => Framing::Close,
        false => head::frame(r, version, &mut response, has_body),
    };
    if io.thread.is_draining() {
        r.out.keep_alive.set(false);
    }
    let mut output = Output::new(io, r, framing);
    if !response.bare {
        head::write(&mut output.buffer, r, version, &mut response, framing, &mut io.thread.date.borrow_mut());
    }
    r.out.head_bytes.set(output.buffer.len() as u64);
    let body = if has_body { std::mem::take(&mut response.body) } else { Body::Empty };
    let tunnel = response.tunnel.take();
    remember(r, response, framing);
    let sent = output.body(body).await;
    r.out.head_sent.set(true);
    if let Some(tunnel) = tunnel.filter(|_| sent.is_ok()) {
        drop(output);
        tunnel.run(TunnelIo::new(io, r)).await;
    }
    r.out.complete.set(sent.is_ok());
    sent.is_ok() && r.out.keep_alive.get()
}

/// Keeps the head for `$sent_http_…`.
fn remember(r: &Request, response: Response, framing: Framing) {
    let chunked = framing == Framing::Chunked;
    *r.out.head.borrow_mut() = Some(SentHead { chunked, ..SentHead::from(response) });
}

struct Output<'a> {
    io: &'a Io,
    r: &'a Request,
    framing: Framing,
    /// Bytes that are to be written first.
    buffer: Vec<u8>,
    waiting: bool,
}

impl<'a> Output<'a> {
    fn new(io: &'a Rc<Io>, r: &'a Request, framing: Framing) -> Self {
        let mut buffer = std::mem::take(&mut *io.thread.output.borrow_mut());
        buffer.clear();
        Self { io, r, framing, buffer, waiting: false }
    }

    async fn body(&mut self, mut body: Body) -> Result<(), Cut> {
        loop {
            let chunk = match body {
                Body::Empty => None,
                Body::Bytes(ref mut bytes) => {
                    let bytes = std::mem::take(bytes);
                    body = Body::Empty;
                    (!bytes.is_empty()).then_some(Chunk::Bytes(bytes))
                }
                _ => self.next(&mut body).await?,
            };
            match chunk {
                None => return self.end(&mut body).await,
                Some(chunk) => self.chunk(chunk, &mut body).await?,
            }
        }
    }

    /// The next piece; what was gathered goes out while there is none.
    async fn next(&mut self, body: &mut Body) -> Result<Option<Chunk>, Cut> {
        let first = std::future::poll_fn(|cx| Poll::Ready(body.poll_next(cx))).await;
        let next = match first {
            Poll::Ready(next) => next,
            Poll::Pending => {
                self.flush(body).await?;
                body.next().await
            }
        };
        next.transpose().map_err(|_| Cut::Body)
    }

    async fn chunk(&mut self, chunk: Chunk, body: &mut Body) -> Result<(), Cut> {
        let length = chunk.len();
        if length > 0 && self.framing == Framing::Chunked {
            append_chunk_head(length, &mut self.buffer);
        }
        match chunk {
            Chunk::Flush => return self.flush(body).await,
            Chunk::Bytes(bytes) => self.bytes(&bytes, body).await?,
            Chunk::File(range) => self.file(range, body).await?,
        }
        if length > 0 && self.framing == Framing::Chunked {
            self.buffer.extend_from_slice(CHUNK_END);
        }
        Ok(())
    }

    async fn end(&mut self, body: &mut Body) -> Result<(), Cut> {
        if self.framing == Framing::Chunked {
            match body.trailers() {
                None => self.buffer.extend_from_slice(LAST_CHUNK),
                Some(trailers) => {
                    self.buffer.extend_from_slice(b"0\r\n");
                    append_fields(&mut self.buffer, &trailers);
                    self.buffer.extend_from_slice(b"\r\n");
                }
            }
        }
        self.flush(&mut Body::Empty).await
    }

    /// Small pieces are copied behind what waits already, large ones are written from where they are.
    async fn bytes(&mut self, bytes: &Bytes, body: &mut Body) -> Result<(), Cut> {
        if self.buffer.len() + bytes.len() <= GATHER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer, bytes, body).await;
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    async fn flush(&mut self, body: &mut Body) -> Result<(), Cut> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer, &[], body).await;
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    async fn file(&mut self, mut range: FileRange, body: &mut Body) -> Result<(), Cut> {
        if range.len() <= INLINE_FILE {
            return self.read_file(&mut range);
        }
        if !self.r.location().core.sendfile {
            while !range.is_empty() {
                let mut piece = FileRange { end: range.end.min(range.start + READ), ..range.clone() };
                range.start = piece.end;
                self.read_file(&mut piece)?;
                self.flush(body).await?;
            }
            return Ok(());
        }
        self.flush(body).await?;
        let most = match self.r.location().core.sendfile_max_chunk {
            0 => u64::MAX,
            most => most,
        };
        while !range.is_empty() {
            let count = usize::try_from(range.len().min(most)).unwrap_or(usize::MAX);
            let sent = self
                .wait(body, |io, cx| io.stream.borrow_mut().poll_sendfile(cx, &range.file, &mut range.start, count));
            if sent.await? == 0 {
                self.r.log(Level::Alert, "sendfile() reported that the file was truncated");
                return Err(Cut::Body);
            }
        }
        Ok(())
    }

    /// Reads a range of a file behind what waits already.
    fn read_file(&mut self, range: &mut FileRange) -> Result<(), Cut> {
        let length = usize::try_from(range.len()).map_err(|_| Cut::Body)?;
        let start = self.buffer.len();
        self.buffer.resize(start + length, 0);
        read_exactly(&range.file, &mut self.buffer[start..], range.start).map_err(|error| {
            self.r.log_error(Level::Alert, &error, "pread() failed while sending response to client");
            Cut::Body
        })
    }

    async fn write(&mut self, first: &[u8], second: &[u8], body: &mut Body) -> Result<(), Cut> {
        let (mut first, mut second) = (first, second);
        while !first.is_empty() || !second.is_empty() {
            let slices = [IoSlice::new(first), IoSlice::new(second)];
            let slices = match (first.is_empty(), second.is_empty()) {
                (true, _) => &slices[1..],
                (_, true) => &slices[..1],
                _ => &slices[..],
            };
            let written = self.wait(body, |io, cx| io.stream.borrow_mut().poll_write(cx, slices)).await?;
            let from_first = written.min(first.len());
            first = &first[from_first..];
            second = &second[written - from_first..];
        }
        Ok(())
    }

    /// Waits for the client to take something; meanwhile the body may read on.
    async fn wait(
        &mut self,
        body: &mut Body,
        mut work: impl FnMut(&Io, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Result<usize, Cut> {
        let timeout = self.r.location().core.send_timeout;
        let (io, waiting) = (self.io, &mut self.waiting);
        let done = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work(io, cx) {
                return Poll::Ready(done.map_err(Some));
            }
            if !std::mem::replace(waiting, true) {
                io.deadline.borrow_mut().set(timeout);
            }
            body.poll_progress(cx);
            ready!(io.deadline.borrow_mut().poll(cx));
            Poll::Ready(Err(None))
        });
        let done = done.await;
        if std::mem::take(&mut self.waiting) {
            self.io.deadline.borrow_mut().clear();
        }
        match done {
            Ok(sent) => {
                self.r.out.bytes.set(self.r.out.bytes.get() + sent as u64);
                Ok(sent)
            }
            Err(error) => {
                self.complain(error);
                Err(Cut::Client)
            }
        }
    }

    fn complain(&self, error: Option<io::Error>) {
        match error {
            None => {
                self.r.log_with(Level::Info, |line| {
                    line.put("client timed out").errno(libc::ETIMEDOUT).put(" while sending response to client");
                });
                if self.r.location().core.reset_timedout_connection {
                    self.io.stream.borrow().reset_on_close();
                }
            }
            Some(error) => self.r.log_with(Level::Info, |line| {
                line.put("writev() failed").error(&error).put(" while sending response to client");
            }),
        }
    }
}

impl Drop for Output<'_> {
    /// The buffer goes back to the thread, unless one large response has blown it up.
    fn drop(&mut self) {
        const LARGEST_KEPT: usize = 128 << 10;
        if self.buffer.capacity() <= LARGEST_KEPT {
            *self.io.thread.output.borrow_mut() = std::mem::take(&mut self.buffer);
        }
    }
}

fn read_exactly(file: &OwnedFd, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = rustix::io::pread(file, &mut *buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}
