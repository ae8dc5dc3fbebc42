//! One socket, TCP or UNIX, with a read buffer: the raw reads that clients and backends of a case are made of.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use super::gateway::Dialect;
use socket2::{Domain, SockAddr, Socket, Type};

/// How long a read, a start or a wait may take before the case goes on and says so.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why a read stopped before what was asked for had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Closed,
    Silent,
}

pub struct Wire {
    socket: Socket,
    /// Bytes that came and were not taken yet.
    pub buffer: Vec<u8>,
    /// The last request that was sent is a HEAD: its answer has no body.
    pub sent_head: bool,
    /// What a backend speaks on it.
    pub dialect: Dialect,
}

/// `127.0.0.1:80`, `[::1]:80` or `unix:/path` as a socket address.
pub fn address(text: &str) -> Result<(Domain, SockAddr), String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let address = SockAddr::unix(path).map_err(|e| format!("{text}: {e}"))?;
        return Ok((Domain::UNIX, address));
    }
    let address: SocketAddr = text.parse().map_err(|e| format!("{text}: {e}"))?;
    Ok((Domain::for_address(address), address.into()))
}

impl Wire {
    pub fn new(socket: Socket) -> io::Result<Wire> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { socket, buffer: Vec::new(), sent_head: false, dialect: Dialect::Http })
    }

    pub fn connect(to: &str) -> io::Result<Wire> {
        let (domain, address) = address(to).map_err(io::Error::other)?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.connect(&address)?;
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        Wire::new(socket)
    }

    /// Errors are dropped: the other side may rightly have gone, and its answer tells.
    pub fn send(&mut self, bytes: &[u8]) {
        self.sent_head = bytes.starts_with(b"HEAD ");
        let _ = self.socket.write_all(bytes);
    }

    /// Reads once more into the buffer.
    pub fn fill(&mut self) -> Result<(), Stop> {
        let mut chunk = [0; 65536];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(Stop::Closed),
                Ok(n) => {
                    self.buffer.extend_from_slice(&chunk[..n]);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(Stop::Silent),
                // A reset after the close is the same close, only seen later.
                Err(_) => return Err(Stop::Closed),
            }
        }
    }

    /// Takes `n` bytes, or all that came before the stop.
    pub fn take(&mut self, n: usize) -> (Vec<u8>, Option<Stop>) {
        while self.buffer.len() < n {
            if let Err(stop) = self.fill() {
                return (std::mem::take(&mut self.buffer), Some(stop));
            }
        }
        (self.buffer.drain(..n).collect(), None)
    }

    /// Takes everything up to the end of the first `mark`, or all that came before the stop.
    pub fn take_until(&mut self, mark: &[u8]) -> (Vec<u8>, Option<Stop>) {
        loop {
            if let Some(at) = find(&self.buffer, mark) {
                return self.take(at + mark.len());
            }
            if let Err(stop) = self.fill() {
                return (std::mem::take(&mut self.buffer), Some(stop));
            }
        }
    }

    /// Takes everything until the other side closes.
    pub fn take_rest(&mut self) -> (Vec<u8>, Stop) {
        loop {
            if let Err(stop) = self.fill() {
                return (std::mem::take(&mut self.buffer), stop);
            }
        }
    }

    /// Sends back whatever comes, until the other side closes.
    pub fn echo(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            self.send(&bytes);
            if self.fill().is_err() {
                return;
            }
        }
    }

    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends with RST instead of FIN.
    pub fn reset(&self) {
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// Asks `ready` every few milliseconds until it gives something or [`PATIENCE`] ends.
pub fn poll<T>(ready: impl FnMut() -> Option<T>) -> Option<T> {
    poll_for(PATIENCE, ready)
}

/// As [`poll`], with a patience of its own.
pub fn poll_for<T>(patience: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
