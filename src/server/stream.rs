//! A client's socket, TCP or UNIX, in the clear or encrypted, with the few calls that the HTTP/1 connection makes on it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls_stream::TlsStream;
use crate::http::TcpInfo;

/// A client's socket.
#[derive(Debug)]
pub enum ClientStream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A UNIX socket.
    Unix(UnixStream),
    /// One of them, encrypted.
    Tls(Box<TlsStream>),
}

impl ClientStream {
    /// Reads what is there into the buffer; 0 bytes at the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => return stream.poll_read(cx, buffer.initialize_unfilled()),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// What the system knows of the connection, where it is TCP.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Unix(_) => return None,
            Self::Tls(stream) => return stream.socket().tcp_info(),
        };
        let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
        let fd = stream.as_fd().as_raw_fd();
        // SAFETY: the descriptor is open, and the system writes at most `length` bytes into `info`.
        let failed =
            unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length) };
        if failed != 0 {
            return None;
        }
        // SAFETY: all of it is integers, for which zero is a value where the system wrote none.
        let info = unsafe { info.assume_init() };
        Some(TcpInfo {
            rtt: info.tcpi_rtt,
            rttvar: info.tcpi_rttvar,
            snd_cwnd: info.tcpi_snd_cwnd,
            rcv_space: info.tcpi_rcv_space,
        })
    }

    /// Writes some of the slices.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, slices) {
            (Self::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Self::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Self::Tls(stream), _) => stream.poll_write(cx, slices),
        }
    }

    /// Writes what the client takes at once of two slices, of which each may be empty.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing now; the system's error.
    pub fn try_write(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        match (self, first, second) {
            (_, [], []) => Ok(0),
            (Self::Tls(stream), ..) => stream.try_write(first, second),
            (Self::Tcp(stream), one, []) | (Self::Tcp(stream), [], one) => stream.try_write(one),
            (Self::Tcp(stream), ..) => stream.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            (Self::Unix(stream), one, []) | (Self::Unix(stream), [], one) => stream.try_write(one),
            (Self::Unix(stream), ..) => stream.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        }
    }

    /// Sends what the client takes at once of a file; `offset` moves on.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing now; the system's error.
    pub fn try_sendfile(&mut self, file: &OwnedFd, offset: &mut u64, count: usize) -> io::Result<usize> {
        if let Self::Tls(stream) = self {
            return stream.try_sendfile(file, offset, count);
        }
        let mut in_part = None;
        let mut send = |fd: BorrowedFd<'_>| {
            let sent = rustix::fs::sendfile(fd, &*file, Some(offset), count)?;
            if 0 < sent && sent < count && reaches(file, *offset) {
                // The socket is full: its readiness is taken back here, where another call would only learn the same.
                in_part = Some(sent);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(sent)
        };
        let sent = match self {
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, || send(stream.as_fd())),
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, || send(stream.as_fd())),
            Self::Tls(_) => unreachable!("it has returned"),
        };
        in_part.map_or(sent, Ok)
    }

    /// Sends bytes of a file; `offset` moves on with them.
    pub fn poll_sendfile(
        &mut self,
        cx: &mut Context<'_>,
        file: &OwnedFd,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.poll_write_ready(cx),
                Self::Unix(stream) => stream.poll_write_ready(cx),
                Self::Tls(stream) => return stream.poll_sendfile(cx, file, offset, count),
            };
            if let Err(error) = std::task::ready!(ready) {
                return Poll::Ready(Err(error));
            }
            match self.try_sendfile(file, offset, count) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Ready when the client has closed its side and nothing that it sent is left to read.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(stream) => return stream.poll_gone(cx),
        };
        if ready.is_pending() {
            return Poll::Pending;
        }
        if self.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the client has closed its side and nothing that it sent is left to read.
    pub fn has_ended(&self) -> bool {
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        match rustix::net::recv(self.as_fd(), &mut [0u8; 1], flags) {
            Ok((_, read)) => read == 0,
            Err(error) => !matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        }
    }

    /// `tcp_nodelay off`: small pieces wait for the answer to those before them.
    pub fn delay_small_writes(&self) {
        if let Self::Tls(stream) = self {
            return stream.socket().delay_small_writes();
        }
        if let Self::Tcp(stream) = self {
            // It only tunes; the connection works either way.
            let _ = stream.set_nodelay(false);
        }
    }

    /// Whether the client's last word of the handshake is still to come, though its requests are answered.
    pub fn is_early(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_early())
    }

    /// Says that nothing more will be sent.
    pub fn shutdown_write(&mut self) {
        self.say_end();
        // The client may have gone; then there is nobody to tell.
        let _ = rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write);
    }

    /// Says inside of an encrypted connection that nothing more will be sent.
    pub fn say_end(&mut self) {
        if let Self::Tls(stream) = self {
            stream.say_end();
        }
    }

    /// Makes the close that follows a reset, which frees the socket at once.
    pub fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(std::time::Duration::ZERO));
    }
}

impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.socket().as_fd(),
        }
    }
}

/// Whether a file goes on behind an offset.
fn reaches(file: &OwnedFd, offset: u64) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| offset < stat.st_size as u64)
}
