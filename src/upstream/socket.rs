//! A connection to a peer: non-blocking, and known to the runtime only when something has to be waited for.
//!
//! Most requests are sent in one call right behind `connect`, so a socket is at first watched for reading alone:
//! a peer that takes a request out of the socket's buffer does not wake us up. Writing is watched once it blocks.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, recv, send, sendmsg, socket_with,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::address::Address;
use crate::http::clock;

/// A connection to a peer.
pub(crate) struct Socket {
    io: Io,
    /// Bytes sent for the request in hand.
    pub(crate) sent: u64,
    /// Requests sent on it, the one in hand included.
    pub(crate) requests: u64,
    /// When it was opened.
    pub(crate) opened: Instant,
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
    /// `connect()` failed at once.
    Connect(Errno),
}

/// What was asked of a new socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// `SO_KEEPALIVE`
    pub(crate) keepalive: bool,
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
        let connected = match address {
            Address::Unix(address) => rustix::net::connect(&fd, address),
            Address::Tcp(address) => rustix::net::connect(&fd, address),
        };
        match connected {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(ConnectError::Connect(errno)),
        }
        Ok(Self { io: Io::Plain(fd), sent: 0, requests: 0, opened: clock::now() })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.io {
            Io::Plain(fd) => fd.as_fd(),
            Io::Watched(fd, _) => fd.get_ref().as_fd(),
            Io::Nowhere => unreachable!("a socket is somewhere between its calls"),
        }
    }

    fn watch(&mut self, watch: Watch) -> io::Result<&AsyncFd<OwnedFd>> {
        let enough = matches!(self.io, Io::Watched(_, have) if have == Watch::Both || have == watch);
        if !enough {
            let fd = match std::mem::replace(&mut self.io, Io::Nowhere) {
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
                Ok(fd) => self.io = Io::Watched(fd, watch),
                Err(error) => {
                    let (fd, error) = error.into_parts();
                    self.io = Io::Plain(fd);
                    return Err(error);
                }
            }
        }
        match &self.io {
            Io::Watched(fd, _) => Ok(fd),
            _ => unreachable!("it was watched or has just been"),
        }
    }

    /// The error that is pending on the socket, as one is where `connect` failed later.
    pub(crate) fn pending_error(&self) -> Option<io::Error> {
        match rustix::net::sockopt::socket_error(self.fd()) {
            Ok(Ok(())) => None,
            Ok(Err(errno)) | Err(errno) => Some(errno.into()),
        }
    }

    /// Reads what is there into the buffer; 0 bytes at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
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

    /// Sends some of the slices.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let sent = ready!(self.poll_write_with(cx, |fd| match slices {
            [slice] => send(fd, slice, SendFlags::NOSIGNAL),
            _ => sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL),
        }))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Sends bytes of a file; `offset` moves on with them.
    pub(crate) fn poll_sendfile(
        &mut self,
        cx: &mut Context<'_>,
        file: &OwnedFd,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.poll_write_with(cx, |fd| rustix::fs::sendfile(fd, file, Some(offset), count)))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Tries at once, and waits only where that would block.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !matches!(self.io, Io::Watched(_, Watch::Both)) {
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

    /// Ready when an idle connection has something to say: its end, an error, or bytes that nobody asked for.
    pub(crate) fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(fd) = self.watch(Watch::Reading) else { return Poll::Ready(()) };
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
