//! An encrypted client's socket.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;

use super::stream::ClientStream;
use crate::http::TlsInfo;
use crate::tls::Channel;

/// The most that is read from a file at once, or put together of many pieces, in bytes.
const PIECE: usize = 64 << 10;

thread_local! {
    static PIECES: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// A client's socket behind TLS.
pub struct TlsStream {
    socket: ClientStream,
    channel: Channel<UnbufferedServerConnection>,
    /// Who is to learn that the handshake is done, while it is not.
    early: Option<Rc<TlsInfo>>,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.socket).finish()
    }
}

impl TlsStream {
    /// Before the handshake.
    pub(super) fn new(socket: ClientStream, channel: Channel<UnbufferedServerConnection>) -> Self {
        Self { socket, channel, early: None }
    }

    /// Notes what is known of the connection, when requests may begin.
    pub(super) fn begin(&mut self, info: &Rc<TlsInfo>) {
        info.early.set(self.channel.state().is_handshaking());
        self.early = info.early.get().then(|| info.clone());
    }

    /// Whether requests have begun, and the handshake is not done.
    pub(super) fn is_early(&self) -> bool {
        self.early.is_some() && self.channel.state().is_handshaking()
    }

    /// Looks whether what was read has ended the handshake.
    fn look_whether_done(&mut self) {
        if let Some(info) = self.early.take_if(|_| !self.channel.state().is_handshaking()) {
            info.early.set(false);
        }
    }

    /// What is underneath.
    pub(super) fn socket(&self) -> &ClientStream {
        &self.socket
    }

    /// What is known of the connection.
    pub(super) fn channel(&mut self) -> &mut Channel<UnbufferedServerConnection> {
        &mut self.channel
    }

    /// Goes on with the handshake.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, channel, .. } = self;
        // Both are asked in turn, never at once.
        let socket = RefCell::new(socket);
        let (mut read_cx, mut write_cx) = (Context::from_waker(cx.waker()), Context::from_waker(cx.waker()));
        channel.poll_handshake(&mut |buffer| socket.borrow_mut().poll_read(&mut read_cx, buffer), &mut |bytes| {
            socket.borrow_mut().poll_write(&mut write_cx, &[IoSlice::new(bytes)])
        })
    }

    /// Sends what waits, if the socket takes it now.
    pub(super) fn flush_now(&mut self) {
        let Self { socket, channel, .. } = self;
        // It is the last that is said.
        let _ = channel.poll_flush(&mut |bytes| now(socket, bytes));
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { socket, channel, .. } = self;
        let read = channel.poll_read(buffer, &mut |bytes| socket.poll_read(cx, bytes));
        if !channel.outgoing().is_empty() {
            // What was read may want an answer: an alert, or new keys. What does not go out now goes before what is said next.
            let _ = channel.poll_flush(&mut |bytes| now(socket, bytes));
        }
        self.look_whether_done();
        read
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { socket, channel, .. } = self;
        let mut write = |bytes: &[u8]| socket.poll_write(cx, &[IoSlice::new(bytes)]);
        match slices {
            [] => Poll::Ready(Ok(0)),
            [one] => channel.poll_write(one, &[], &mut write),
            [one, other] => channel.poll_write(one, other, &mut write),
            many => PIECES.with_borrow_mut(|pieces| {
                let mut filled = 0;
                for slice in many {
                    let count = slice.len().min(PIECE - filled);
                    pieces[filled..filled + count].copy_from_slice(&slice[..count]);
                    filled += count;
                }
                channel.poll_write(&pieces[..filled], &[], &mut write)
            }),
        }
    }

    pub(super) fn try_write(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let Self { socket, channel, .. } = self;
        at_once(channel.poll_write(first, second, &mut |bytes| now(socket, bytes)))
    }

    pub(super) fn try_sendfile(&mut self, file: &OwnedFd, offset: &mut u64, count: usize) -> io::Result<usize> {
        let Self { socket, channel, .. } = self;
        let sent = at_once(channel.poll_send_file(file, *offset, count, &mut |bytes| now(socket, bytes)))?;
        *offset += sent as u64;
        Ok(sent)
    }

    pub(super) fn poll_sendfile(
        &mut self,
        cx: &mut Context<'_>,
        file: &OwnedFd,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, channel, .. } = self;
        let mut write = |bytes: &[u8]| socket.poll_write(cx, &[IoSlice::new(bytes)]);
        let sent = ready!(channel.poll_send_file(file, *offset, count, &mut write))?;
        *offset += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Ready when the client has gone. What it sends meanwhile is kept, as far as it is little.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { socket, channel, .. } = self;
        // nginx does not look further than whether there is anything to read: the request has still come early.
        channel.poll_ended(PIECE, &mut |bytes| socket.poll_read(cx, bytes))
    }

    /// Says that nothing more will be sent.
    pub(super) fn say_end(&mut self) {
        let Self { socket, channel, .. } = self;
        channel.close(&mut |bytes| now(socket, bytes));
    }
}

/// Writes what the socket takes now.
fn now(socket: &mut ClientStream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match socket.try_write(bytes, &[]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        written => Poll::Ready(written),
    }
}

fn at_once(sent: Poll<io::Result<usize>>) -> io::Result<usize> {
    match sent {
        Poll::Ready(sent) => sent,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
