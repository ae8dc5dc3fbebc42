//! Upgraded connections: what a response with `101 Switching Protocols` does with the client's connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The client's side of an upgraded connection, raw bytes both ways. What the client sent behind its request comes first.
pub trait ClientIo {
    /// Reads what is there; 0 bytes at the end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of the bytes.
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
}

/// Work that takes a client's connection over; the connection is closed when it ends.
pub struct Tunnel(Box<dyn FnOnce(Box<dyn ClientIo>) -> TunnelFuture>);

/// What a [`Tunnel`] runs as.
pub type TunnelFuture = Pin<Box<dyn Future<Output = ()>>>;

impl Tunnel {
    /// Work to be done with the connection once the response's head has been sent.
    pub fn new<F: Future<Output = ()> + 'static>(work: impl FnOnce(Box<dyn ClientIo>) -> F + 'static) -> Self {
        Self(Box::new(|client| Box::pin(work(client))))
    }

    /// Hands the connection over.
    pub fn run(self, client: Box<dyn ClientIo>) -> TunnelFuture {
        (self.0)(client)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}
