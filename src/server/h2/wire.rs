//! The stream below an HTTP/2 connection: the front reads along, our own frames leave between hyper's, and small frames leave
//! together.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{RST_STREAM, WINDOW_UPDATE};
use super::front::Front;
use super::outgoing::{Outgoing, Plan, first};
use super::{Fatal, PROTOCOL_ERROR, say, say_with};
use crate::http::{Connection, Deadline, clock};
use crate::server::stream::ClientStream;
use crate::server::thread::Thread;

/// So much is collected before it is sent, in bytes: what one TLS record holds.
const COLLECTED: usize = 1 << 14;

/// What hyper reads and writes. What it writes is sent when it has nothing more to do, by [`Driver::poll`].
pub(super) struct Frames(Rc<RefCell<Wire>>);

/// The two ways of a connection.
struct Wire {
    front: Front,
    outgoing: Outgoing,
    thread: Rc<Thread>,
    connection: Rc<Connection>,
    /// What was read before.
    first: Vec<u8>,
    stream: ClientStream,
    /// Collected, and how much of it has been sent.
    out: Vec<u8>,
    sent: usize,
    /// Until when the fields of a request must be there, and how long that may take.
    slow: Deadline,
    patience: Duration,
    /// So many times others have their turn before hyper learns that the client has closed its side.
    turns: u8,
    /// What ends the connection as soon as that is over.
    fatal: Option<Fatal>,
    end: End,
}

/// What can be answered at once is answered before the client's end counts, as nginx does. hyper drops all streams then;
/// so many turns without a word of its say that there is nothing more to come.
const TURNS: u8 = 8;

/// So many turns, and no more, has what came before something that ends the connection.
const LAST_TURNS: u8 = 32;

/// How far the connection's end has come.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Not begun.
    Open,
    /// The client is told what there is to tell.
    Told,
    /// What the client still sends is dropped for a while, lest it miss what it was told.
    Lingers,
}

impl Frames {
    /// Before hyper reads anything; `first` was read of the stream already.
    pub(super) fn new(
        front: Front,
        (thread, connection): (Rc<Thread>, Rc<Connection>),
        patience: Duration,
        first: Vec<u8>,
        stream: ClientStream,
    ) -> Self {
        let wire = Wire {
            front,
            outgoing: Outgoing::default(),
            thread,
            connection,
            first,
            stream,
            out: Vec::new(),
            sent: 0,
            slow: Deadline::default(),
            patience,
            turns: TURNS,
            fatal: None,
            end: End::Open,
        };
        Self(Rc::new(RefCell::new(wire)))
    }

    /// The other end of this stream, to drive the connection on it.
    pub(super) fn driver(&self) -> Driver {
        Driver { wire: self.0.clone(), done: false }
    }
}

/// Drives a connection, and sends what it has written each time it has nothing more to do.
pub(super) struct Driver {
    wire: Rc<RefCell<Wire>>,
    done: bool,
}

impl Driver {
    /// Goes on with the connection; ready when it is over and everything has been sent, or nobody takes it.
    pub(super) fn poll<F: Future>(&mut self, serving: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.borrow_mut().end_expired(cx);
        self.done = self.done || serving.poll(cx).is_ready();
        let mut wire = self.wire.borrow_mut();
        let sent = wire.poll_flush(cx);
        wire.front.shared().is_stuck.set(sent.is_pending());
        match sent {
            Poll::Ready(Ok(())) if self.done => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Wire {
    /// Ends streams of which the client takes nothing, before hyper goes on.
    fn end_expired(&mut self, cx: &Context<'_>) {
        self.front.shared().listen(cx);
        self.front.end_expired();
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.end != End::Open {
                ready!(self.poll_end(cx));
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.front.append_own();
            if !self.front.out.is_empty() {
                let length = self.front.out.len().min(buffer.remaining());
                buffer.put_slice(&self.front.out[..length]);
                self.front.out.drain(..length);
                return Poll::Ready(Ok(()));
            }
            if self.fatal.is_some() {
                ready!(self.poll_turns(cx));
                self.begin_end();
                continue;
            }
            // Into memory that has been written before: hyper's buffer would have to be cleared first.
            let thread = self.thread.clone();
            let mut input = thread.input.borrow_mut();
            let most = input.len().min(buffer.remaining());
            let read = match ready!(self.poll_raw(cx, &mut input[..most])) {
                Ok(read) => read,
                Err(error) => {
                    self.say_broken(&error);
                    return Poll::Ready(Err(error));
                }
            };
            if read == 0 {
                ready!(self.poll_turns(cx));
                if self.front.is_amid() || self.front.shared().processing.get() > 0 {
                    say(&thread.local(), &self.connection, "client prematurely closed connection");
                }
                return Poll::Ready(Ok(()));
            }
            match self.front.take(&input[..read]) {
                Ok(0) => {}
                Ok(passed) => {
                    buffer.put_slice(&input[..passed]);
                    return Poll::Ready(Ok(()));
                }
                Err(fatal) => {
                    self.fatal = Some(fatal);
                    self.turns = LAST_TURNS;
                }
            }
        }
    }

    /// Ready when what the client has asked for before its end was answered, as far as that need not wait for anybody.
    fn poll_turns(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.turns == 0 || !self.front.shared().is_asked() {
            return Poll::Ready(());
        }
        self.turns -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what the client sends, as it came; 0 at the end.
    fn poll_raw(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(input.len());
            input[..length].copy_from_slice(&self.first[..length]);
            self.first.drain(..length);
            return Poll::Ready(Ok(length));
        }
        if let Poll::Ready(read) = self.stream.poll_read(cx, input) {
            self.front.shared().heard.set(Some(clock::now()));
            return Poll::Ready(read);
        }
        let Some(slow) = self.front.slow_stream() else {
            self.slow.clear();
            return Poll::Pending;
        };
        if !self.slow.is_set() {
            self.slow.set(self.patience);
        }
        ready!(self.slow.poll(cx));
        self.say_slow();
        self.front.refuse(slow, PROTOCOL_ERROR);
        self.front.shared().heard.set(Some(clock::now()));
        Poll::Pending
    }

    fn begin_end(&mut self) {
        let Some(fatal) = self.fatal.take() else { return };
        say(&self.thread.local(), &self.connection, &fatal.sentence);
        self.outgoing.say_goaway(&mut self.front, fatal.code);
        self.end = End::Told;
    }

    /// Ready when the connection may be closed.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        /// nginx's `lingering_timeout`.
        const LINGERING: Duration = Duration::from_secs(5);
        if self.end == End::Told {
            if ready!(self.poll_flush(cx)).is_err() {
                return Poll::Ready(());
            }
            self.stream.shutdown_write();
            self.slow.set(LINGERING);
            self.end = End::Lingers;
        }
        let thread = self.thread.clone();
        loop {
            match self.stream.poll_read(cx, &mut thread.input.borrow_mut()) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.slow.poll(cx),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.end != End::Open {
            return Poll::Ready(Ok(all));
        }
        self.collect_own();
        let done = match self.outgoing.plan(slices, &mut self.front) {
            Plan::Taken(count) => {
                // What hyper asked the client may have been answered.
                cx.waker().wake_by_ref();
                count
            }
            Plan::Send(count) => {
                let sent = match self.poll_collect(cx, slices, (count, all)) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => {
                        self.outgoing.refused(count);
                        return Poll::Pending;
                    }
                };
                self.outgoing.sent(slices, sent, &mut self.front);
                sent
            }
        };
        if self.fatal.is_none() {
            self.turns = TURNS;
        }
        self.collect_own();
        Poll::Ready(Ok(done))
    }

    /// Collects the first bytes of some slices, or sends them where they are many.
    fn poll_collect(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        (count, all): (usize, usize),
    ) -> Poll<io::Result<usize>> {
        if self.out.len() + count > COLLECTED {
            ready!(self.poll_send(cx))?;
        }
        if count > COLLECTED {
            return if count == all {
                self.stream.poll_write(cx, slices)
            } else {
                self.stream.poll_write(cx, &first(slices, count))
            };
        }
        if self.out.capacity() == 0 {
            self.out = std::mem::take(&mut *self.thread.output.borrow_mut());
            self.out.clear();
            self.out.reserve(COLLECTED);
        }
        let mut left = count;
        for slice in slices {
            let length = slice.len().min(left);
            self.out.extend_from_slice(&slice[..length]);
            left -= length;
        }
        Poll::Ready(Ok(count))
    }

    /// The connection has broken.
    fn say_broken(&self, error: &io::Error) {
        let call = if matches!(self.stream, ClientStream::Tls(_)) { "SSL_read()" } else { "recv()" };
        say_with(&self.thread.local(), &self.connection, |line| {
            line.put(call).put(" failed").error(error).put(" while processing HTTP/2 connection");
        });
    }

    /// A client's fields have not come in time.
    fn say_slow(&self) {
        say_with(&self.thread.local(), &self.connection, |line| {
            line.put("client timed out").errno(libc::ETIMEDOUT).put(" while reading client request headers");
        });
    }

    /// Puts our own frames behind what is collected, where they may stand there.
    fn collect_own(&mut self) {
        for (stream, code) in self.front.refused.drain(..) {
            self.outgoing.say(RST_STREAM, stream, &code.to_be_bytes());
        }
        for (stream, more) in self.front.shared().windows.take_grants() {
            self.outgoing.say(WINDOW_UPDATE, stream, &more.to_be_bytes());
        }
        for note in self.front.notes.drain(..) {
            say(&self.thread.local(), &self.connection, &note);
        }
        if self.front.requests_left == 0 {
            self.outgoing.say_goaway(&mut self.front, 0);
        }
        let own = self.outgoing.own();
        let count = own.len();
        self.out.extend_from_slice(own);
        self.outgoing.own_sent(count);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.collect_own();
        self.poll_send(cx)
    }

    /// Sends what is collected.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            self.sent += ready!(self.stream.poll_write(cx, &[IoSlice::new(&self.out[self.sent..])]))?;
        }
        // Connections that have nothing to say hold no memory for it.
        if self.out.capacity() > 0 {
            *self.thread.output.borrow_mut() = std::mem::take(&mut self.out);
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Frames {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &[IoSlice::new(bytes)])
    }

    /// hyper flushes behind every frame; [`Driver::poll`] sends them all.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.end == End::Open {
            wire.end = End::Told;
        }
        wire.poll_end(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, slices)
    }
}
