//! What a request knows of the connection that it came on.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number in this worker, for `$connection` and the error log.
    pub number: u64,
    /// The client's address; `None` on a UNIX socket. `realip` changes it.
    pub peer: Cell<Option<SocketAddr>>,
    /// The client's address as text (`unix:` on a UNIX socket), for `$remote_addr`.
    pub address: RefCell<Bytes>,
    /// The address that the client connected to; `None` on a UNIX socket.
    pub local: Option<SocketAddr>,
    /// The listening UNIX socket's path, for `$server_addr`.
    pub local_path: Option<Bytes>,
    /// Which of [`super::Cycle::listens`] it was accepted from.
    pub listen: Cell<usize>,
    /// Requests seen on it, this one included.
    pub requests: Cell<u64>,
    /// When it was accepted.
    pub start: Instant,
    /// Whether it is encrypted.
    pub secure: bool,
}

/// An address's host part as nginx writes it: no port, no brackets.
pub fn address_text(address: Option<SocketAddr>) -> Bytes {
    match address {
        Some(address) => address.ip().to_string().into(),
        None => Bytes::from_static(b"unix:"),
    }
}

/// What the system knows of a TCP connection, for `$tcpinfo_…`. Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Round trip time.
    pub rtt: u32,
    /// How much it varies.
    pub rttvar: u32,
    /// Congestion window of the sender, in segments.
    pub snd_cwnd: u32,
    /// Window advertised to the client, in bytes.
    pub rcv_space: u32,
}

/// The client at the other end of a request.
pub trait Client {
    /// What the system knows of the TCP connection, where it is one.
    fn tcp_info(&self) -> Option<TcpInfo> {
        None
    }

    /// Ready when the client has closed its side and waits for nothing any more.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()>;
}
