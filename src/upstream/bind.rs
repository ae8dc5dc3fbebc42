//! `proxy_bind` and its kin: which address of ours a connection comes from.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::socket::ConnectError;

use crate::http::{Request, Script};
use crate::log::Level;

/// `proxy_bind`, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) address: BindAddress,
    pub(crate) transparent: bool,
}

/// Which address.
#[derive(Clone, Debug)]
pub(crate) enum BindAddress {
    Fixed(SocketAddr),
    Evaluated(Script),
}

/// An address of ours for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalAddress {
    pub(super) address: SocketAddr,
    /// It need not be an address of this machine.
    pub(super) transparent: bool,
}

impl LocalAddress {
    /// As it was written, in the log.
    pub(super) fn name(&self) -> String {
        match self.address.port() {
            0 => self.address.ip().to_string(),
            _ => self.address.to_string(),
        }
    }
}

impl Bind {
    /// The address for a request; `None` where the system chooses.
    pub(super) fn address(&self, r: &Request) -> Option<LocalAddress> {
        let address = match &self.address {
            BindAddress::Fixed(address) => *address,
            BindAddress::Evaluated(script) => {
                let text = script.eval(r);
                let address = parse_address(&text);
                if address.is_none() && !text.is_empty() {
                    r.log_with(Level::Error, |line| {
                        line.put("invalid local address \"").bytes(&text).put('"');
                    });
                }
                address?
            }
        };
        Some(LocalAddress { address, transparent: self.transparent })
    }
}

/// Reads an address with or without a port.
pub(crate) fn parse_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    with_port.or_else(|| bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)))
}

/// Has a connection come from an address. The system chooses the port when it connects.
pub(super) fn bind(fd: &OwnedFd, local: LocalAddress) -> Result<(), ConnectError> {
    if local.transparent {
        let set = match local.address.is_ipv4() {
            true => socket2::SockRef::from(fd).set_ip_transparent_v4(true),
            false => socket2::SockRef::from(fd).set_ip_transparent_v6(true),
        };
        set.map_err(|error| ConnectError::Transparent(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
    }
    if local.address.port() == 0 {
        choose_port_late(fd);
    }
    rustix::net::bind(fd, &local.address).map_err(ConnectError::Bind)
}

/// Has the system choose the port when it connects: the same one then serves for several peers. Where it does not know
/// how, ports are used up sooner.
fn choose_port_late(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value lives and is as long as is said until the call returns.
    unsafe {
        let option = libc::IP_BIND_ADDRESS_NO_PORT;
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_IP, option, (&raw const on).cast(), length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let read = |text: &str| parse_address(text.as_bytes()).map(|address| address.to_string());
        assert_eq!(read("127.0.0.2").as_deref(), Some("127.0.0.2:0"));
        assert_eq!(read("127.0.0.2:81").as_deref(), Some("127.0.0.2:81"));
        assert_eq!(read("[::1]:81").as_deref(), Some("[::1]:81"));
        assert_eq!((read("::1").as_deref(), read("[::1]").as_deref()), (Some("[::1]:0"), Some("[::1]:0")));
        assert_eq!((read("localhost"), read(""), read("127.0.0.2:0")), (None, None, None));
    }
}
