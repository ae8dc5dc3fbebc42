//! Sends a response on an HTTP/1 connection: head and first bytes in one call, files from the page cache.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use super::head::{self, Framing};
use super::pace::Pace;
use super::tunnel::TunnelIo;
use super::{Io, Work};
use crate::h1::framing::{CHUNK_END, LAST_CHUNK, append_chunk_head};
use crate::h1::write::append_fields;
use crate::http::{Body, Chunk, Client, FileRange, Request, Response, SentHead, Tunnel};
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

/// What the client did with its answer.
enum Fault {
    /// This call failed.
    Failed(&'static str, io::Error),
    /// It takes nothing.
    Slow,
    /// It closed the connection.
    Gone,
}

/// Bodies up to this size are copied behind the head; longer ones are written from where they are, in bytes.
const COPIED: usize = 2 << 10;

/// Sends a response; `true` where it was sent whole and the connection may be kept. What the client takes at once,
/// and that is nearly always everything, is sent before this returns.
pub(super) fn send(io: &Rc<Io>, r: &Rc<Request>, mut response: Box<Response>) -> Work {
    let mut output = Output::new(io, r);
    let (mut body, tunnel) = output.head(&mut response);
    remember(r, response, output.framing);
    if tunnel.is_none()
        && let Some(sent) = output.at_once(&mut body)
    {
        return Work::Done(output.ended(sent));
    }
    // However slow the client is, the upstream has done its part.
    r.finish_upstream();
    Work::Wait(Box::pin(output.in_turn(body, tunnel)))
}

/// Keeps the head for `$sent_http_…`.
fn remember(r: &Request, response: Box<Response>, framing: Framing) {
    let chunked = framing == Framing::Chunked;
    *r.out.head.borrow_mut() = Some(SentHead { chunked, ..SentHead::new(response) });
}

struct Output {
    io: Rc<Io>,
    r: Rc<Request>,
    framing: Framing,
    /// Bytes that are to be written first.
    buffer: Vec<u8>,
    waiting: bool,
    /// `limit_rate`
    pace: Option<Pace>,
    /// A client of `limit_rate` that had said before that no more comes from it still wants its answer.
    half_closed: bool,
    /// What the last piece was worth at that pace: to be waited before the next one.
    pause: Duration,
}

/// The way of a response that is all there.
impl Output {
    fn new(io: &Rc<Io>, r: &Rc<Request>) -> Self {
        let mut buffer = std::mem::take(&mut *io.thread.output.borrow_mut());
        buffer.clear();
        let pace = Pace::of(r);
        let half_closed = pace.is_some() && io.stream.borrow().has_ended();
        Self {
            io: io.clone(),
            r: r.clone(),
            framing: Framing::Length,
            buffer,
            waiting: false,
            pace,
            half_closed,
            pause: Duration::ZERO,
        }
    }

    /// Writes the head into the buffer, and takes what follows it.
    fn head(&mut self, response: &mut Response) -> (Body, Option<Tunnel>) {
        let r = &self.r;
        let has_body = !head::is_header_only(r.method.get(), r.head.version, response);
        self.framing = match response.bare {
            true => Framing::Close,
            false => head::frame(r, r.head.version, response, has_body),
        };
        if !r.location().core.tcp_nodelay {
            self.io.stream.borrow().delay_small_writes();
        }
        if self.io.thread.is_draining() || r.connection.left.get() {
            r.out.keep_alive.set(false);
        }
        if !response.bare {
            let dates = &mut self.io.thread.date.borrow_mut();
            head::write(&mut self.buffer, r, r.head.version, response, self.framing, dates);
        }
        r.out.head_bytes.set(self.buffer.len() as u64);
        let body = std::mem::take(&mut response.body);
        (if has_body { body } else { Body::Empty }, response.tunnel.take())
    }

    /// Sends what can be sent without waiting; `None` where something is left, in the buffer or the body.
    fn at_once(&mut self, body: &mut Body) -> Option<Result<(), Cut>> {
        let sendfile = self.r.location().core.sendfile;
        let takes_turns = match body {
            Body::Empty | Body::Bytes(_) => false,
            Body::File(range) => range.len() > INLINE_FILE && !sendfile,
            Body::Stream(_) => true,
        };
        if takes_turns || self.framing == Framing::Chunked || self.pace.is_some() {
            return None;
        }
        self.gather(body);
        let mut bytes = match body {
            Body::Bytes(bytes) => std::mem::take(bytes),
            _ => Bytes::new(),
        };
        let written = self.io.stream.borrow_mut().try_write(&self.buffer, &bytes);
        let written = match self.count("writev", written) {
            Ok(written) => written,
            Err(cut) => return Some(Err(cut)),
        };
        let from_buffer = written.min(self.buffer.len());
        self.buffer.drain(..from_buffer);
        match body {
            Body::Bytes(left) => *left = bytes.split_off(written - from_buffer),
            Body::File(range) if self.buffer.is_empty() && sendfile => {
                let count = range.len().min(self.most());
                let sent = self.io.stream.borrow_mut().try_sendfile(&range.file, &mut range.start, count as usize);
                if let Err(cut) = self.count("sendfile", sent) {
                    return Some(Err(cut));
                }
            }
            _ => {}
        }
        (self.buffer.is_empty() && body.is_empty()).then_some(Ok(()))
    }

    /// Puts a body that is small, or a small file, behind the head.
    fn gather(&mut self, body: &mut Body) {
        match body {
            Body::Bytes(bytes) if bytes.len() <= COPIED => self.buffer.extend_from_slice(bytes),
            Body::File(range) if range.len() <= INLINE_FILE => {
                let start = self.buffer.len();
                if append_range(range, &mut self.buffer).is_err() {
                    // It is tried again where there is time to complain.
                    return self.buffer.truncate(start);
                }
            }
            _ => return,
        }
        *body = Body::Empty;
    }

    /// Counts what went out; nothing may have, for now.
    fn count(&self, call: &'static str, sent: io::Result<usize>) -> Result<usize, Cut> {
        match sent {
            Ok(sent) => {
                self.r.out.bytes.set(self.r.out.bytes.get() + sent as u64);
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => {
                self.complain(Fault::Failed(call, error));
                Err(Cut::Client)
            }
        }
    }

    /// The most that one call of `sendfile` may send.
    fn most(&self) -> u64 {
        match self.r.location().core.sendfile_max_chunk {
            0 => 1 << 30,
            most => most,
        }
    }

    fn ended(&self, sent: Result<(), Cut>) -> bool {
        let out = &self.r.out;
        out.head_sent.set(true);
        let cut = matches!(sent, Err(Cut::Body)) && out.complete_when_cut.get();
        out.complete.set(sent.is_ok() || cut);
        sent.is_ok() && out.keep_alive.get()
    }
}

/// The way of all others: as fast as the client takes them, and as they are made.
impl Output {
    async fn in_turn(mut self, body: Body, tunnel: Option<Tunnel>) -> bool {
        let sent = self.body(body).await;
        if let Some(tunnel) = tunnel.filter(|_| sent.is_ok()) {
            self.r.out.head_sent.set(true);
            self.give_buffer_back();
            tunnel.run(TunnelIo::boxed(&self.io, &self.r)).await;
        }
        self.ended(sent)
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
                if !body.postpones() || self.buffer.len() >= self.r.location().core.postpone_output {
                    self.flush(body).await?;
                }
                body.next().await
            }
        };
        if let Some(Err(_)) = next
            && self.buffer.len() >= self.r.location().core.postpone_output
        {
            self.flush(&mut Body::Empty).await?;
        }
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
        let trailers = body.trailers();
        if self.framing == Framing::Chunked {
            match &trailers {
                None => self.buffer.extend_from_slice(LAST_CHUNK),
                Some(trailers) => {
                    self.buffer.extend_from_slice(b"0\r\n");
                    append_fields(&mut self.buffer, trailers);
                    self.buffer.extend_from_slice(b"\r\n");
                }
            }
        }
        // Where they cannot be sent they are there for the log all the same.
        if let Some(trailers) = trailers
            && let Some(head) = &mut *self.r.out.head.borrow_mut()
        {
            head.trailers = trailers;
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
        while !range.is_empty() {
            let count = self.allowance(body).await?.min(range.len().min(self.most()) as usize);
            let sent = self.wait("sendfile", body, |io, cx| {
                io.stream.borrow_mut().poll_sendfile(cx, &range.file, &mut range.start, count)
            });
            let sent = sent.await?;
            if sent == 0 {
                self.r.log(Level::Alert, "sendfile() reported that the file was truncated");
                return Err(Cut::Body);
            }
            self.spend(sent);
        }
        Ok(())
    }

    /// Reads a range of a file behind what waits already.
    fn read_file(&mut self, range: &mut FileRange) -> Result<(), Cut> {
        append_range(range, &mut self.buffer).map_err(|error| {
            self.r.log_error(Level::Alert, &error, "pread() failed");
            Cut::Body
        })
    }

    async fn write(&mut self, first: &[u8], second: &[u8], body: &mut Body) -> Result<(), Cut> {
        let (mut first, mut second) = (first, second);
        while !first.is_empty() || !second.is_empty() {
            let allowed = self.allowance(body).await?;
            let of_first = &first[..first.len().min(allowed)];
            let slices = [IoSlice::new(of_first), IoSlice::new(&second[..second.len().min(allowed - of_first.len())])];
            let slices = match (first.is_empty(), second.is_empty()) {
                (true, _) => &slices[1..],
                (_, true) => &slices[..1],
                _ if slices[1].is_empty() => &slices[..1],
                _ => &slices[..],
            };
            let written = self.wait("writev", body, |io, cx| io.stream.borrow_mut().poll_write(cx, slices)).await?;
            self.spend(written);
            let from_first = written.min(first.len());
            first = &first[from_first..];
            second = &second[written - from_first..];
        }
        Ok(())
    }

    /// How many bytes `limit_rate` allows now; waits until it allows some, unless the client goes meanwhile.
    async fn allowance(&mut self, body: &mut Body) -> Result<usize, Cut> {
        while let Some(pace) = &self.pace {
            let pause = std::mem::take(&mut self.pause);
            let pause = match pace.allowance() {
                Ok(allowed) if pause.is_zero() => return Ok(allowed),
                Ok(_) => pause,
                Err(wait) => wait.max(pause),
            };
            let mut sleep = std::pin::pin!(tokio::time::sleep(pause));
            let gone = std::future::poll_fn(|cx| {
                body.poll_progress(cx);
                if !self.half_closed && self.io.poll_gone(cx).is_ready() {
                    return Poll::Ready(true);
                }
                sleep.as_mut().poll(cx).map(|()| false)
            });
            if gone.await {
                self.complain(Fault::Gone);
                return Err(Cut::Client);
            }
        }
        Ok(usize::MAX)
    }

    fn spend(&mut self, sent: usize) {
        if let Some(pace) = &mut self.pace {
            self.pause = pace.sent(sent);
        }
    }

    /// Waits for the client to take something; meanwhile the body may read on.
    async fn wait(
        &mut self,
        call: &'static str,
        body: &mut Body,
        mut work: impl FnMut(&Io, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Result<usize, Cut> {
        let timeout = self.r.location().core.send_timeout;
        let (io, waiting) = (&*self.io, &mut self.waiting);
        let done = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work(io, cx) {
                return Poll::Ready(done.map_err(|error| Fault::Failed(call, error)));
            }
            if io.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Fault::Gone));
            }
            if !std::mem::replace(waiting, true) {
                io.deadline.borrow_mut().set(timeout);
            }
            body.poll_progress(cx);
            ready!(io.deadline.borrow_mut().poll(cx));
            Poll::Ready(Err(Fault::Slow))
        });
        let done = done.await;
        if std::mem::take(&mut self.waiting) {
            self.io.deadline.borrow_mut().clear();
        }
        match done {
            Ok(sent) => self.count(call, Ok(sent)),
            Err(error) => {
                self.complain(error);
                Err(Cut::Client)
            }
        }
    }

    fn complain(&self, fault: Fault) {
        self.r.log_with(Level::Info, |line| {
            match &fault {
                Fault::Gone => line.put("client prematurely closed connection"),
                Fault::Slow => line.put("client timed out").errno(libc::ETIMEDOUT),
                Fault::Failed(call, error) => line.put(call).put("() failed").error(error),
            };
        });
        if matches!(fault, Fault::Slow) {
            super::reset_if_wanted(&self.io, &self.r);
        }
    }
}

impl Output {
    /// The buffer goes back to the thread, unless one large response has blown it up.
    fn give_buffer_back(&mut self) {
        const LARGEST_KEPT: usize = 128 << 10;
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.capacity() <= LARGEST_KEPT {
            *self.io.thread.output.borrow_mut() = buffer;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.give_buffer_back();
    }
}

/// Appends a range of a file; an error where it does not reach that far.
fn append_range(range: &FileRange, out: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::try_from(range.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let end = out.len() + length;
    out.reserve(length);
    while out.len() < end {
        let at = range.end - (end - out.len()) as u64;
        match rustix::io::pread(&*range.file, rustix::buffer::spare_capacity(out), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // The file may be longer than the range.
    out.truncate(end);
    Ok(())
}
