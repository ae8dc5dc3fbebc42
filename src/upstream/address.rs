//! Where a peer of an upstream listens.

use std::net::SocketAddr;

use bytes::Bytes;
use rustix::net::SocketAddrUnix;

/// A peer's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(SocketAddrUnix),
}

impl Address {
    /// A UNIX socket's; `None` where the path is too long for one.
    pub(crate) fn unix(path: &[u8]) -> Option<Self> {
        // nginx wants room for the zero byte behind the path too.
        const LONGEST: usize = 107;
        if path.len() > LONGEST {
            return None;
        }
        SocketAddrUnix::new(path).ok().map(Address::Unix)
    }

    /// The address as nginx writes it: `127.0.0.1:80`, `[::1]:80`, `unix:/run/x.sock`.
    pub(crate) fn name(&self) -> Bytes {
        match self {
            Address::Tcp(address) => address.to_string().into(),
            Address::Unix(address) => [b"unix:", address.path_bytes().unwrap_or_default()].concat().into(),
        }
    }

    /// Whether it is a UNIX socket's.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Address::Unix(_))
    }
}
