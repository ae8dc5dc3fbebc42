//! What a request knows of the connection that it came on.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::{ProxyHeader, TlsInfo};

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number in this worker, for `$connection` and the error log.
    pub number: u64,
    /// The client's address; `None` on a UNIX socket. `realip` changes it while a request lasts.
    pub peer: Cell<Option<SocketAddr>>,
    /// The client's address as text (`unix:` on a UNIX socket), for `$remote_addr`.
    pub address: RefCell<Bytes>,
    /// The address that the connection came from, while `realip` has put another in its place.
    pub replaced: RefCell<Option<Box<ClientAddress>>>,
    /// What a proxy said of the client before the first request.
    pub proxy: OnceCell<Box<ProxyHeader>>,
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
    /// What it is encrypted with, once it is.
    pub tls: OnceCell<Rc<TlsInfo>>,
    /// It came in the clear to an address that wants encryption.
    pub clear_to_tls: Cell<bool>,
    /// The configuration in force has no such address any more: it ends with its next answer.
    pub left: Cell<bool>,
}

/// A client's address, twice.
#[derive(Clone, Debug)]
pub struct ClientAddress {
    /// `None` on a UNIX socket.
    pub peer: Option<SocketAddr>,
    /// The host part as nginx writes it: no port, no brackets.
    pub text: Bytes,
}

impl Connection {
    /// A connection that has just begun, over TCP or from nowhere in particular.
    pub fn new(number: u64, peer: Option<SocketAddr>) -> Self {
        Self {
            number,
            peer: Cell::new(peer),
            address: RefCell::new(address_text(peer)),
            replaced: RefCell::default(),
            proxy: OnceCell::new(),
            local: None,
            local_path: None,
            listen: Cell::new(0),
            requests: Cell::new(0),
            start: Instant::now(),
            tls: OnceCell::new(),
            clear_to_tls: Cell::new(false),
            left: Cell::default(),
        }
    }

    /// The same connection for one of several requests that run on it at once.
    #[must_use]
    pub fn for_stream(&self) -> Self {
        Self {
            number: self.number,
            peer: self.peer.clone(),
            address: self.address.clone(),
            replaced: RefCell::default(),
            proxy: self.proxy.clone(),
            local: self.local,
            local_path: self.local_path.clone(),
            listen: self.listen.clone(),
            requests: self.requests.clone(),
            start: self.start,
            tls: self.tls.clone(),
            clear_to_tls: self.clear_to_tls.clone(),
            left: self.left.clone(),
        }
    }

    /// Whether it is encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls.get().is_some()
    }

    /// The address that it came from, whatever a request said of it.
    pub fn came_from(&self) -> ClientAddress {
        let own = || ClientAddress { peer: self.peer.get(), text: self.address.borrow().clone() };
        self.replaced.borrow().as_deref().cloned().unwrap_or_else(own)
    }

    /// Takes the client to be another, for as long as the request lasts.
    pub fn replace_client(&self, client: SocketAddr) {
        let came_from = self.came_from();
        *self.replaced.borrow_mut() = Some(Box::new(came_from));
        self.peer.set(Some(client));
        *self.address.borrow_mut() = address_text(Some(client));
    }

    /// The request has ended, and what it said of the client with it.
    pub fn restore_client(&self) {
        if let Some(came_from) = self.replaced.borrow_mut().take() {
            self.peer.set(came_from.peer);
            *self.address.borrow_mut() = came_from.text;
        }
    }
}

fn address_text(address: Option<SocketAddr>) -> Bytes {
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
