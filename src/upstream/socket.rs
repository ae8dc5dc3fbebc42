//! A connection to a peer: non-blocking, and known to the runtime only when something has to be waited for.
//!
//! Most requests are sent in one call right behind `connect`, so a socket is at first watched for reading alone:
//! a peer that takes a request out of the socket's buffer does not wake us up. Writing is watched once it blocks.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, recv, send, sendmsg, socket_with,
};
use rustls::client::UnbufferedClientConnection;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::address::Address;
use super::bind::{LocalAddress, bind};
use super::grpc::SharedHttp2;
use crate::http::clock;
use crate::tls::{Backend, BackendFault, Channel};

/// A connection to a peer.
pub(crate) struct Socket {
    io: Io,
    /// What it is encrypted with.
    tls: Option<Box<Encryption>>,
    /// What is known of it where it is HTTP/2.
    pub(crate) http2: Option<SharedHttp2>,
    /// Bytes sent for the request in hand.
    pub(crate) sent: u64,
    /// Requests sent on it, the one in hand included.
    pub(crate) requests: u64,
    /// When it was opened.
    pub(crate) opened: Instant,
}

/// What a connection is encrypted with.
pub(crate) struct Encryption {
    channel: Channel<UnbufferedClientConnection>,
    /// Whose ways it follows.
    backend: Arc<Backend>,
    /// The name of the other end.
    name: Bytes,
    /// The handshake is done, and the other end is who it should be.
    settled: bool,
}

enum Io {
    /// Not known to the runtime.
    Plain(OwnedFd),
    Watched(AsyncFd<OwnedFd>, Watch),
    /// Only while it changes from one to the other.
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Reading,
    Both,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// `socket()` failed, or the runtime cannot watch it: our own fault.
    Socket(Errno),
    /// `IP_TRANSPARENT` cannot be set.
    Transparent(Errno),
    /// `bind()` failed.
    Bind(Errno),
    /// `connect()` failed at once.
    Connect(Errno),
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The socket's error, or rustls's inside of one.
    Io(io::Error),
    /// The other end is not who it should be.
    Untrusted(BackendFault),
}

/// What was asked of a new socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// `SO_KEEPALIVE`
    pub(crate) keepalive: bool,
    /// Where it comes from.
    pub(crate) local: Option<LocalAddress>,
}

impl Io {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(fd) => fd.as_fd(),
            Io::Watched(fd, _) => fd.get_ref().as_fd(),
            Io::Nowhere => unreachable!("a socket is somewhere between its calls"),
        }
    }

    fn watch(&mut self, watch: Watch) -> io::Result<&AsyncFd<OwnedFd>> {
        let enough = matches!(self, Self::Watched(_, have) if *have == Watch::Both || *have == watch);
        if !enough {
            let fd = match std::mem::replace(self, Io::Nowhere) {
                Io::Plain(fd) => fd,
                Io::Watched(fd, _) => fd.into_inner(),
                Io::Nowhere => unreachable!("a socket is somewhere between its calls"),
            };
            let interest = match watch {
                Watch::Reading => Interest::READABLE,
                Watch::Both => Interest::READABLE | Interest::WRITABLE,
            };
            // SAFETY: an `OwnedFd` is an open descriptor, always the same one, and closes only when it is dropped.
            let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
            match watched {
                Ok(fd) => *self = Io::Watched(fd, watch),
                Err(error) => {
                    let (fd, error) = error.into_parts();
                    *self = Io::Plain(fd);
                    return Err(error);
                }
            }
        }
        match self {
            Io::Watched(fd, _) => Ok(fd),
            _ => unreachable!("it was watched or has just been"),
        }
    }

    /// Reads what is there into the buffer; 0 bytes at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let fd = self.watch(Watch::Reading)?;
        loop {
            let mut guard = ready!(fd.poll_read_ready(cx))?;
            match recv(fd.get_ref(), &mut *buffer, RecvFlags::empty()) {
                Ok((_, read)) => {
                    if read > 0 && read < buffer.len() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(read));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }

    /// Tries at once, and waits only where that would block.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !matches!(self, Io::Watched(_, Watch::Both)) {
            match write(self.fd()) {
                Err(Errno::AGAIN | Errno::NOTCONN) => {}
                sent => return Poll::Ready(sent.map_err(Into::into)),
            }
        }
        let fd = self.watch(Watch::Both)?;
        loop {
            let mut guard = ready!(fd.poll_write_ready(cx))?;
            match write(fd.get_ref().as_fd()) {
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                sent => return Poll::Ready(sent.map_err(Into::into)),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |fd| send(fd, bytes, SendFlags::NOSIGNAL))
    }
}

impl Socket {
    /// Begins to connect. Whether the connection stands shows when something is sent.
    pub(crate) fn connect(address: &Address, options: Options) -> Result<Self, ConnectError> {
        let family = match address {
            Address::Unix(_) => AddressFamily::UNIX,
            Address::Tcp(address) if address.is_ipv4() => AddressFamily::INET,
            Address::Tcp(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, None).map_err(ConnectError::Socket)?;
        if options.keepalive {
            // Without it the connection works as well.
            let _ = rustix::net::sockopt::set_socket_keepalive(&fd, true);
        }
        if let Some(local) = options.local {
            bind(&fd, local)?;
        }
        let connected = match address {
            Address::Unix(address) => rustix::net::connect(&fd, address),
            Address::Tcp(address) => rustix::net::connect(&fd, address),
        };
        match connected {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(ConnectError::Connect(errno)),
        }
        Ok(Self { io: Io::Plain(fd), tls: None, http2: None, sent: 0, requests: 0, opened: clock::now() })
    }

    /// The error that is pending on the socket, as one is where `connect` failed later.
    pub(crate) fn pending_error(&self) -> Option<io::Error> {
        match rustix::net::sockopt::socket_error(self.io.fd()) {
            Ok(Ok(())) => None,
            Ok(Err(errno)) | Err(errno) => Some(errno.into()),
        }
    }

    /// Encrypts what follows; the handshake is still to come.
    pub(crate) fn encrypt(&mut self, channel: Channel<UnbufferedClientConnection>, backend: Arc<Backend>, name: Bytes) {
        self.tls = Some(Box::new(Encryption { channel, backend, name, settled: false }));
    }

    /// Whether it is what a request needs: in the clear, or encrypted for the same name in the same way.
    pub(crate) fn suits(&self, secure: Option<(&Arc<Backend>, &[u8])>) -> bool {
        match (&self.tls, secure) {
            (None, None) => true,
            (Some(tls), Some((backend, name))) => tls.settled && tls.backend.is_like(backend) && tls.name == name,
            _ => false,
        }
    }

    /// Whether the connection stands, and its handshake goes on.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        // The connection stands as soon as it takes the first message.
        self.must_shake_hands() && self.tls.as_ref().is_some_and(|tls| tls.channel.outgoing().is_empty())
    }

    /// Whether what goes over it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a handshake is still to be done.
    pub(crate) fn must_shake_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.settled)
    }

    /// Goes on with the handshake. It begins by connecting.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        let Self { io, tls, .. } = self;
        let Some(tls) = tls else { return Poll::Ready(Ok(())) };
        let io = RefCell::new(io);
        let (mut read_cx, mut write_cx) = (Context::from_waker(cx.waker()), Context::from_waker(cx.waker()));
        let shaken =
            tls.channel.poll_handshake(&mut |buffer| io.borrow_mut().poll_read(&mut read_cx, buffer), &mut |bytes| {
                io.borrow_mut().poll_write(&mut write_cx, bytes)
            });
        ready!(shaken).map_err(HandshakeError::Io)?;
        tls.backend.check(tls.channel.state(), &tls.name).map_err(HandshakeError::Untrusted)?;
        tls.settled = true;
        Poll::Ready(Ok(()))
    }

    /// Reads what is there into the buffer; 0 bytes at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { io, tls, .. } = self;
        match tls {
            None => io.poll_read(cx, buffer),
            Some(tls) => tls.channel.poll_read(buffer, &mut |bytes| io.poll_read(cx, bytes)),
        }
    }

    /// Sends some of the slices.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(tls) = &mut self.tls {
            let (first, second) = match slices {
                [] => (&[][..], &[][..]),
                [first] => (&first[..], &[][..]),
                [first, second, ..] => (&first[..], &second[..]),
            };
            let io = &mut self.io;
            let sent = ready!(tls.channel.poll_write(first, second, &mut |bytes| io.poll_write(cx, bytes)))?;
            self.sent += sent as u64;
            return Poll::Ready(Ok(sent));
        }
        let sent = ready!(self.io.poll_write_with(cx, |fd| match slices {
            [slice] => send(fd, slice, SendFlags::NOSIGNAL),
            _ => sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL),
        }))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Sends what the connection itself has still to say, such as that a `PING` has come; `false` where it takes no
    /// more.
    pub(crate) fn say_rest(&mut self) -> bool {
        let control = self.http2.as_ref().map(|http2| http2.borrow_mut().take_control()).unwrap_or_default();
        if control.is_empty() {
            return true;
        }
        let sent = self.poll_send(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(&control)]);
        matches!(sent, Poll::Ready(Ok(sent)) if sent == control.len())
    }

    /// Sends bytes of a file; `offset` moves on with them.
    pub(crate) fn poll_sendfile(
        &mut self,
        cx: &mut Context<'_>,
        file: &OwnedFd,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        if let Some(tls) = &mut self.tls {
            let io = &mut self.io;
            let sent = ready!(tls.channel.poll_send_file(file, *offset, count, &mut |bytes| io.poll_write(cx, bytes)))?;
            *offset += sent as u64;
            self.sent += sent as u64;
            return Poll::Ready(Ok(sent));
        }
        let sent = ready!(self.io.poll_write_with(cx, |fd| rustix::fs::sendfile(fd, file, Some(offset), count)))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Ready when an idle connection has something to say: its end, an error, or bytes that nobody asked for.
    pub(crate) fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { io, tls, .. } = self;
        if let Some(tls) = tls {
            // Tickets for sessions may still come; data must not.
            return match tls.channel.poll_ended(0, &mut |bytes| io.poll_read(cx, bytes)) {
                Poll::Pending if !tls.channel.has_plain() => Poll::Pending,
                _ => Poll::Ready(()),
            };
        }
        let Ok(fd) = io.watch(Watch::Reading) else { return Poll::Ready(()) };
        loop {
            let Ok(mut guard) = ready!(fd.poll_read_ready(cx)) else { return Poll::Ready(()) };
            let mut byte = [0];
            match recv(fd.get_ref(), &mut byte, RecvFlags::PEEK) {
                Err(Errno::AGAIN) => guard.clear_ready(),
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Self { io, tls, .. } = self;
        if let Some(tls) = tls.as_mut().filter(|tls| tls.settled) {
            let fd = io.fd();
            tls.channel.close(&mut |bytes| match send(fd, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Err(Errno::AGAIN) => Poll::Pending,
                sent => Poll::Ready(sent.map_err(Into::into)),
            });
        }
    }
}
