//! The stream below an HTTP/2 connection: what was read of it already comes first, floods end it, and small frames leave
//! together.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::h2_guard::Floods;
use super::stream::ClientStream;
use super::thread::Thread;

/// So much is collected before it is sent, in bytes: what one TLS record holds.
const COLLECTED: usize = 1 << 14;

/// What hyper reads and writes. What it writes is sent when it has nothing more to do, by [`Frames::drive`].
pub(super) struct Frames(Rc<RefCell<Wire>>);

struct Wire {
    thread: Rc<Thread>,
    stream: ClientStream,
    /// Read before this stream was made.
    first: Vec<u8>,
    floods: Floods,
    /// Says that there was a flood.
    flooded: Box<dyn Fn()>,
    /// Collected, and how much of it has been sent.
    out: Vec<u8>,
    sent: usize,
}

impl Frames {
    /// A stream of which `first` was read already; `flooded` hears of a flood.
    pub(super) fn new(
        thread: Rc<Thread>,
        stream: ClientStream,
        first: Vec<u8>,
        floods: Floods,
        flooded: impl Fn() + 'static,
    ) -> Self {
        let flooded = Box::new(flooded);
        Self(Rc::new(RefCell::new(Wire { thread, stream, first, floods, flooded, out: Vec::new(), sent: 0 })))
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
        self.done = self.done || serving.poll(cx).is_ready();
        match self.wire.borrow_mut().poll_flush(cx) {
            Poll::Ready(Ok(())) if self.done => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Wire {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            // Into memory that has been written before: hyper's buffer would have to be cleared first.
            let mut input = self.thread.input.borrow_mut();
            let most = input.len().min(buffer.remaining());
            let read = ready!(self.stream.poll_read(cx, &mut input[..most]))?;
            buffer.put_slice(&input[..read]);
        } else {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.drain(..length);
        }
        if self.floods.is_flood(buffer.filled()) {
            (self.flooded)();
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.out.len() + length > COLLECTED {
            ready!(self.poll_flush(cx))?;
        }
        if length > COLLECTED {
            return self.stream.poll_write(cx, slices);
        }
        if self.out.capacity() == 0 {
            self.out = std::mem::take(&mut *self.thread.output.borrow_mut());
            self.out.clear();
            self.out.reserve(COLLECTED);
        }
        slices.iter().for_each(|slice| self.out.extend_from_slice(slice));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        ready!(wire.poll_flush(cx))?;
        wire.stream.shutdown_write();
        Poll::Ready(Ok(()))
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
