//! What comes in on an HTTP/1 connection: the socket, and the bodies read from it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;

use super::super::stream::ClientStream;
use super::super::thread::Thread;
use crate::h1::framing::{ChunkedDecoder, Decoded};
use crate::h1::head::RequestHead;
use crate::http::{BodyError, BodySource, Client, Count, Counted, Deadline, RequestBody, TcpInfo};
use crate::upstream::Buffer;

/// A connection's socket and what was read from it too early.
pub struct Io {
    pub(super) stream: RefCell<ClientStream>,
    pub(super) deadline: RefCell<Deadline>,
    pub(super) thread: Rc<Thread>,
    /// Bytes that nobody has asked for yet.
    early: RefCell<Bytes>,
    /// There while it waits for a request of which no byte has come.
    idle: RefCell<Option<Counted>>,
    /// When it began to wait, in the thread's count.
    since: Cell<u64>,
    /// It has brought no request yet.
    is_new: Cell<bool>,
    /// It was told to go, to make room.
    leaves: Cell<bool>,
    /// A request has come along with the one before it.
    pub(super) pipelined: Cell<bool>,
    /// The client went away in the middle of a body: there is nobody to answer.
    pub(super) broken: Cell<bool>,
    /// How long it may still wait when its thread is about to end.
    pub(super) grace: Cell<Duration>,
    /// How long the next request may be awaited: `keepalive_timeout` of the location that answered the last one.
    pub(super) patience: Cell<Duration>,
    waker: RefCell<Option<Waker>>,
}

/// How long a kept connection may still bring a request when its thread is about to end.
pub(super) const GRACE: Duration = Duration::from_millis(500);

impl Io {
    pub(super) fn new(stream: ClientStream, thread: Rc<Thread>, first: Vec<u8>) -> Self {
        Self {
            stream: RefCell::new(stream),
            deadline: RefCell::default(),
            thread,
            early: RefCell::new(first.into()),
            idle: RefCell::default(),
            since: Cell::default(),
            is_new: Cell::new(true),
            leaves: Cell::new(false),
            pipelined: Cell::new(false),
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

    /// Whether the client has still to say the last word of the handshake.
    pub(super) fn is_early(&self) -> bool {
        self.stream.borrow().is_early()
    }

    /// Notes that the connection waits, and whether for a request of which no byte has come.
    pub(super) fn rest(&self, cx: &Context<'_>, idle: bool) {
        if idle && self.idle.borrow().is_none() {
            self.since.set(self.thread.count_rest());
        }
        self.set_idle(idle);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Notes whether it waits for a request of which no byte has come.
    fn set_idle(&self, idle: bool) {
        let mut counted = self.idle.borrow_mut();
        if idle != counted.is_some() {
            *counted = idle.then(|| self.thread.meter.during(Count::Waiting));
        }
    }

    /// The thread is about to end: a client that has nothing to say any more is let go. It is not cut off at
    /// once, because its next request may be on its way.
    pub fn drain(&self) {
        if self.idle.borrow().is_some() {
            self.deadline.borrow_mut().set(self.grace.get());
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// The connection has a request, or comes to its end.
    pub(super) fn stir(&self) {
        self.set_idle(false);
        self.is_new.set(false);
        self.stay();
    }

    fn stay(&self) {
        if self.leaves.replace(false) {
            self.thread.count_leaving(-1);
        }
    }

    /// Since when it waits for a request, in the thread's count; `None` where it does not, or goes already.
    pub fn rests_since(&self) -> Option<u64> {
        (self.idle.borrow().is_some() && !self.leaves.get()).then(|| self.since.get())
    }

    /// Whether it has brought no request yet.
    pub fn is_new(&self) -> bool {
        self.is_new.get()
    }

    /// Another needs the room.
    pub fn leave(&self) {
        self.leaves.set(true);
        self.thread.count_leaving(1);
        self.deadline.borrow_mut().set(Duration::ZERO);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was told to go.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.get()
    }

    /// Puts bytes back that belong to somebody else.
    pub(super) fn give_back(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let mut early = self.early.borrow_mut();
            *early = if early.is_empty() { bytes } else { [&bytes[..], &early[..]].concat().into() };
        }
    }

    /// Keeps bytes that nobody has asked for yet. There must be no others.
    pub(super) fn keep_input(&self, bytes: &[u8]) {
        *self.early.borrow_mut() = Bytes::copy_from_slice(bytes);
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

impl Drop for Io {
    fn drop(&mut self) {
        self.stay();
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
        self.stream.borrow_mut().poll_gone(cx)
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
    framing_bytes: Cell<u64>,
    /// Bytes of the invitation to go on, once it was sent.
    invited: Cell<u64>,
}

enum Framing {
    Length(u64),
    Chunked(ChunkedDecoder),
    Done,
}

/// The most that is read at once, in bytes.
const PIECE: u64 = 64 << 10;

impl BodyReader {
    /// The body that a head announces; where it has begun to come with it, the buffer of the head has some `room` left.
    pub(super) fn body(io: &Rc<Io>, head: &RequestHead, room: u64) -> RequestBody {
        let framing = match head.content_length {
            _ if head.chunked => Framing::Chunked(ChunkedDecoder::default()),
            Some(length) if length > 0 => Framing::Length(length),
            // Who expects to be told to go on is told so, though nothing follows.
            _ if head.expects_continue() => Framing::Done,
            _ => return RequestBody::none(),
        };
        let reader = Self {
            io: io.clone(),
            framing: RefCell::new(framing),
            timeout: Cell::default(),
            expects: Cell::new(head.expects_continue()),
            chunk_left: Cell::default(),
            framing_bytes: Cell::default(),
            invited: Cell::default(),
        };
        let length = if head.chunked { None } else { head.content_length.or(Some(0)) };
        RequestBody::new(Rc::new(reader), length).beside_head(room)
    }

    /// The client is told to go on, once, when somebody wants the body, even where it has begun to send it.
    fn poll_invite(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.expects.get() {
            const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            let written = ready!(self.io.stream.borrow_mut().poll_write(cx, &[io::IoSlice::new(CONTINUE)]))?;
            if written < CONTINUE.len() {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.invited.set(written as u64);
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
        let mut buffer = Buffer::take();
        match self.io.poll_read(cx, buffer.room(usize::try_from(most.min(PIECE)).unwrap_or(usize::MAX))) {
            Poll::Ready(Err(error)) => {
                self.io.broken.set(true);
                Poll::Ready(Err(error.raw_os_error().map_or(BodyError::Closed, BodyError::Broken)))
            }
            Poll::Ready(Ok(0)) => {
                self.io.broken.set(true);
                Poll::Ready(Err(BodyError::Closed))
            }
            Poll::Ready(Ok(read)) => {
                self.io.deadline.borrow_mut().clear();
                buffer.fill(read);
                Poll::Ready(Ok(buffer.freeze()))
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

    fn forget_continue(&self) {
        self.expects.set(false);
    }

    fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(timeout);
    }

    fn chunk_left(&self) -> u64 {
        self.chunk_left.get()
    }

    fn framing_bytes(&self) -> u64 {
        self.framing_bytes.get()
    }

    fn bytes_sent(&self) -> u64 {
        self.invited.get()
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
                        self.framing_bytes.set(self.framing_bytes.get() + range.start as u64);
                        self.io.give_back(bytes.slice(range.end..));
                        return Poll::Ready(Ok(Some(bytes.slice(range))));
                    }
                    Decoded::Done(end) => {
                        self.framing_bytes.set(self.framing_bytes.get() + end as u64);
                        self.io.give_back(bytes.slice(end..));
                        *framing = Framing::Done;
                        return Poll::Ready(Ok(None));
                    }
                    Decoded::NeedMore => self.framing_bytes.set(self.framing_bytes.get() + bytes.len() as u64),
                }
            },
        }
    }
}
