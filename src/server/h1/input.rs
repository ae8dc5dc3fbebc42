//! Reads heads and bodies from an HTTP/1 connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::super::stream::ClientStream;
use super::super::thread::Thread;
use super::super::timer::Deadline;
use crate::h1::error::HeadError;
use crate::h1::framing::{ChunkedDecoder, Decoded};
use crate::h1::head::RequestHead;
use crate::h1::limits::HeadLimits;
use crate::h1::request::{Parse, RequestParser};
use crate::http::uri::Slashes;
use crate::http::{
    BodyError, BodySource, Choice, Client, Connection, Local, RequestBody, Server, ServerId, TcpInfo, VirtualServers,
};
use crate::log::Level;

/// A connection's socket and what was read from it too early.
pub struct Io {
    pub(super) stream: RefCell<ClientStream>,
    pub(super) deadline: RefCell<Deadline>,
    pub(super) thread: Rc<Thread>,
    /// Bytes that nobody has asked for yet.
    early: RefCell<Bytes>,
    /// Whether it waits for a request of which no byte has come.
    idle: Cell<bool>,
    /// The client went away in the middle of a body: there is nobody to answer.
    pub(super) broken: Cell<bool>,
    /// How long it may still wait when its thread is about to end.
    grace: Cell<Duration>,
    /// How long the next request may be awaited: `keepalive_timeout` of the location that answered the last one.
    pub(super) patience: Cell<Duration>,
    waker: RefCell<Option<Waker>>,
}

/// How long a kept connection may still bring a request when its thread is about to end.
const GRACE: Duration = Duration::from_millis(500);

impl Io {
    pub(super) fn new(stream: ClientStream, thread: Rc<Thread>, first: Vec<u8>) -> Self {
        Self {
            stream: RefCell::new(stream),
            deadline: RefCell::default(),
            thread,
            early: RefCell::new(first.into()),
            idle: Cell::new(false),
            broken: Cell::new(false),
            grace: Cell::new(GRACE),
            patience: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// Whether the client has sent more than was asked for.
    pub(super) fn has_input(&self) -> bool {
        !self.early.borrow().is_empty()
    }

    /// Notes that the connection waits, and whether for a request of which no byte has come.
    fn rest(&self, cx: &Context<'_>, idle: bool) {
        self.idle.set(idle);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The thread is about to end: a client that has nothing to say any more is let go. It is not cut off at
    /// once, because its next request may be on its way.
    pub fn drain(&self) {
        if self.idle.get() {
            self.deadline.borrow_mut().set(self.grace.get());
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// Puts bytes back that belong to somebody else.
    pub(super) fn give_back(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let mut early = self.early.borrow_mut();
            *early = if early.is_empty() { bytes } else { [&bytes[..], &early[..]].concat().into() };
        }
    }

    /// Bytes that were read too early.
    pub(super) fn take_input(&self) -> Bytes {
        std::mem::take(&mut self.early.borrow_mut())
    }

    /// Reads into a buffer, from the socket.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.borrow_mut().poll_read(cx, buffer)
    }
}

impl Client for Io {
    fn tcp_info(&self) -> Option<TcpInfo> {
        self.stream.borrow().tcp_info()
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_input() {
            return Poll::Pending;
        }
        self.stream.borrow().poll_gone(cx)
    }
}

/// A head as it was read, or what can be said of one that was not.
pub(super) struct ReadHead {
    pub(super) head: RequestHead,
    pub(super) choice: Choice,
    /// Why it is refused.
    pub(super) error: Option<HeadError>,
    /// The client went away or slept in the middle of it: of its request line, or of its headers.
    pub(super) gone: Option<(Stop, &'static str)>,
    /// It was read along with the request before it.
    pub(super) pipelined: bool,
    pub(super) start: Instant,
}

fn limits(server: &Server) -> HeadLimits {
    HeadLimits {
        header_buffer: server.client_header_buffer_size,
        large_buffers: server.large_client_header_buffers.0,
        large_buffer: server.large_client_header_buffers.1,
        slashes: if server.merge_slashes { Slashes::Merge } else { Slashes::Keep },
        underscores: server.underscores_in_headers,
        ignore_invalid: server.ignore_invalid_headers,
    }
}

/// Reads the next head; `None` where the connection ends without one. `local` is the cycle that the connection
/// runs on; it moves to the newest one when the first byte of a request comes.
pub(super) async fn next_request(
    io: &Io,
    connection: &Connection,
    local: &mut Rc<Local>,
    kept: &mut Option<RequestParser>,
) -> Option<ReadHead> {
    let server = default_server(local, connection);
    let limits = limits(local.cycle.server(server));
    let parser = match kept.take() {
        Some(mut parser) => {
            parser.next_request(&limits, None);
            parser
        }
        None => RequestParser::new(&limits),
    };
    let is_first = connection.requests.get() == 0;
    let patience = if is_first { local.cycle.server(server).client_header_timeout } else { io.patience.get() };
    let base = local.cycle.server(server).base;
    io.grace.set(GRACE.max(local.cycle.location(base).core.keepalive_min_timeout));
    io.deadline.borrow_mut().set(if io.thread.is_draining() { patience.min(io.grace.get()) } else { patience });
    let mut reading = Reading {
        connection,
        local,
        parser,
        limits,
        head: RequestHead::new(),
        choice: Choice { server, regex: None },
        input: Vec::new(),
        start: None,
    };
    let early = io.take_input();
    let pipelined = connection.requests.get() > 0 && !early.is_empty();
    let found = match reading.take(&early, io) {
        Some(found) => Some(found),
        None => reading.go_on(io).await,
    };
    io.idle.set(false);
    io.deadline.borrow_mut().clear();
    *kept = Some(reading.parser);
    let start = reading.start.unwrap_or_else(Instant::now);
    let (error, gone) = match found? {
        Found::Head => (None, None),
        Found::Refused(error) => (Some(error), None),
        Found::Gone(stop, part) => (None, Some((stop, part))),
    };
    Some(ReadHead { head: reading.head, choice: reading.choice, error, gone, pipelined, start })
}

fn virtual_servers<'a>(local: &'a Local, connection: &Connection) -> &'a VirtualServers {
    local.cycle.listens[connection.listen.get()].virtual_servers(connection.local.map(|local| local.ip()))
}

fn default_server(local: &Local, connection: &Connection) -> ServerId {
    virtual_servers(local, connection).default
}

enum Found {
    Head,
    Refused(HeadError),
    Gone(Stop, &'static str),
}

struct Reading<'a> {
    connection: &'a Connection,
    local: &'a mut Rc<Local>,
    parser: RequestParser,
    limits: HeadLimits,
    head: RequestHead,
    choice: Choice,
    /// The head so far, where it did not come in one piece.
    input: Vec<u8>,
    start: Option<Instant>,
}

impl Reading<'_> {
    /// The first byte of a request has come: it runs on the newest cycle, if that still has the address.
    fn begin(&mut self, io: &Io) {
        self.start = Some(Instant::now());
        let newest = io.thread.local();
        if Rc::ptr_eq(self.local, &newest) {
            return;
        }
        let address = &self.local.cycle.listens[self.connection.listen.get()].spec.address;
        let Some(listen) = newest.cycle.listens.iter().position(|listen| listen.spec.address == *address) else {
            return;
        };
        self.connection.listen.set(listen);
        *self.local = newest;
        self.choice = Choice { server: default_server(self.local, self.connection), regex: None };
        self.limits = limits(self.local.cycle.server(self.choice.server));
        self.parser.next_request(&self.limits, None);
    }

    /// Looks at bytes that have just come.
    fn take(&mut self, new: &[u8], io: &Io) -> Option<Found> {
        if new.is_empty() {
            return None;
        }
        if self.start.is_none() {
            self.begin(io);
        }
        let mut joined = std::mem::take(&mut self.input);
        if !joined.is_empty() {
            joined.extend_from_slice(new);
        }
        let whole = if joined.is_empty() { new } else { &joined };
        loop {
            match self.parser.parse(whole, &self.limits, &mut self.head) {
                Ok(Parse::Done(consumed)) => {
                    if consumed < whole.len() {
                        *io.early.borrow_mut() = Bytes::copy_from_slice(&whole[consumed..]);
                    }
                    if self.head.host.is_empty() {
                        // No host is a name too: `server_name "";`.
                        self.choice = virtual_servers(self.local, self.connection).choose(b"");
                    }
                    return Some(Found::Head);
                }
                Ok(Parse::Host) => {
                    self.choice = virtual_servers(self.local, self.connection).choose(&self.head.host);
                    self.limits = limits(self.local.cycle.server(self.choice.server));
                }
                Ok(Parse::Partial) => {
                    self.input = if joined.is_empty() { new.to_vec() } else { joined };
                    return None;
                }
                Ok(Parse::Blank) => return None,
                Err(error) => return Some(Found::Refused(error)),
            }
        }
    }

    /// What nginx says of a client that never began; of one that did not begin again it says less.
    fn say_idle(&self, stop: Stop) {
        let server = default_server(self.local, self.connection);
        let log = &self.local.cycle.location(self.local.cycle.server(server).base).core.error_log;
        let number = Some(self.connection.number);
        let address = self.connection.address.borrow();
        let is_first = self.connection.requests.get() == 0;
        match stop {
            Stop::Closed if !is_first => log.write(Level::Info, number, |line| {
                line.put("client ").bytes(&address).put(" closed keepalive connection");
            }),
            Stop::TimedOut if !is_first => {}
            _ => log.write(Level::Info, number, |line| {
                match stop {
                    Stop::Closed => line.put("client closed connection"),
                    Stop::TimedOut => line.put("client timed out").errno(libc::ETIMEDOUT),
                };
                let listen = &self.local.cycle.listens[self.connection.listen.get()].spec.text;
                line.put(" while waiting for request, client: ").bytes(&address).put(", server: ").put(listen);
            }),
        }
    }

    async fn go_on(&mut self, io: &Io) -> Option<Found> {
        loop {
            let had_begun = self.parser.has_begun();
            let read = std::future::poll_fn(|cx| {
                let mut buffer = io.thread.input.borrow_mut();
                match io.poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Stop::Closed)),
                    Poll::Ready(Ok(read)) => Poll::Ready(Ok(self.take(&buffer[..read], io))),
                    Poll::Pending => {
                        io.rest(cx, !had_begun);
                        io.deadline.borrow_mut().poll(cx).map(|()| Err(Stop::TimedOut))
                    }
                }
            });
            match read.await {
                Ok(Some(found)) => return Some(found),
                Ok(None) if !had_begun && self.parser.has_begun() => {
                    io.idle.set(false);
                    let timeout = self.local.cycle.server(self.choice.server).client_header_timeout;
                    io.deadline.borrow_mut().set(timeout);
                }
                Ok(None) => {}
                Err(stop) if !self.parser.has_begun() => {
                    self.say_idle(stop);
                    return None;
                }
                Err(stop) => {
                    let base = self.local.cycle.server(self.choice.server).base;
                    let logged = self.local.cycle.location(base).core.error_log.takes(Level::Info);
                    self.parser.abandon(&self.input, logged, &mut self.head);
                    return Some(Found::Gone(stop, if self.parser.has_line() { "headers" } else { "line" }));
                }
            }
        }
    }
}

/// Why a head breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The client closed the connection.
    Closed,
    /// The client was too slow.
    TimedOut,
}

impl Stop {
    /// The status for the log.
    pub(super) fn status(self) -> u16 {
        match self {
            Stop::Closed => 400,
            Stop::TimedOut => 408,
        }
    }
}

/// Yields a request's body.
pub(super) struct BodyReader {
    io: Rc<Io>,
    framing: RefCell<Framing>,
    timeout: Cell<Duration>,
    /// `100 Continue` is owed to the client.
    expects: Cell<bool>,
    chunk_left: Cell<u64>,
}

enum Framing {
    Length(u64),
    Chunked(ChunkedDecoder),
    Done,
}

/// The most that is read at once, in bytes.
const PIECE: u64 = 64 << 10;

impl BodyReader {
    /// The body that a head announces.
    pub(super) fn body(io: &Rc<Io>, head: &RequestHead) -> RequestBody {
        let framing = match head.content_length {
            _ if head.chunked => Framing::Chunked(ChunkedDecoder::default()),
            Some(length) if length > 0 => Framing::Length(length),
            _ => return RequestBody::none(),
        };
        let reader = Self {
            io: io.clone(),
            framing: RefCell::new(framing),
            timeout: Cell::default(),
            expects: Cell::new(head.expects_continue()),
            chunk_left: Cell::default(),
        };
        RequestBody::new(Rc::new(reader), head.content_length)
    }

    /// The client is told to go on, once, when somebody wants the body, even where it has begun to send it.
    fn poll_invite(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.expects.get() {
            const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            let written = ready!(self.io.stream.borrow_mut().poll_write(cx, &[io::IoSlice::new(CONTINUE)]))?;
            if written < CONTINUE.len() {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        self.expects.set(false);
        Poll::Ready(Ok(()))
    }

    /// Bytes of the connection, at most `most`.
    fn poll_bytes(&self, cx: &mut Context<'_>, most: u64) -> Poll<Result<Bytes, BodyError>> {
        if self.io.has_input() {
            let mut early = self.io.early.borrow_mut();
            let take = early.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            return Poll::Ready(Ok(early.split_to(take)));
        }
        let mut buffer = vec![0; usize::try_from(most.min(PIECE)).unwrap_or(usize::MAX)];
        match self.io.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(0) | Err(_)) => {
                self.io.broken.set(true);
                Poll::Ready(Err(BodyError::Closed))
            }
            Poll::Ready(Ok(read)) => {
                self.io.deadline.borrow_mut().clear();
                buffer.truncate(read);
                Poll::Ready(Ok(buffer.into()))
            }
            Poll::Pending => {
                let mut deadline = self.io.deadline.borrow_mut();
                if !deadline.is_set() {
                    deadline.set(self.timeout.get());
                }
                deadline.poll(cx).map(|()| Err(BodyError::TimedOut))
            }
        }
    }
}

impl BodySource for BodyReader {
    fn poll_continue(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_invite(cx).map(drop)
    }

    fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(timeout);
    }

    fn chunk_left(&self) -> u64 {
        self.chunk_left.get()
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if ready!(self.poll_invite(cx)).is_err() {
            return Poll::Ready(Err(BodyError::Closed));
        }
        let mut framing = self.framing.borrow_mut();
        match &mut *framing {
            Framing::Done => Poll::Ready(Ok(None)),
            Framing::Length(left) => {
                let bytes = ready!(self.poll_bytes(cx, *left))?;
                *left -= bytes.len() as u64;
                if *left == 0 {
                    *framing = Framing::Done;
                }
                Poll::Ready(Ok(Some(bytes)))
            }
            Framing::Chunked(decoder) => loop {
                let bytes = ready!(self.poll_bytes(cx, PIECE))?;
                match decoder.decode(&bytes).map_err(|_| BodyError::Malformed)? {
                    Decoded::Data { range, announced } => {
                        self.chunk_left.set(announced - range.len() as u64);
                        self.io.give_back(bytes.slice(range.end..));
                        return Poll::Ready(Ok(Some(bytes.slice(range))));
                    }
                    Decoded::Done(end) => {
                        self.io.give_back(bytes.slice(end..));
                        *framing = Framing::Done;
                        return Poll::Ready(Ok(None));
                    }
                    Decoded::NeedMore => {}
                }
            },
        }
    }
}
