//! Host names to addresses while the configuration is read, by the system's resolver.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// All addresses of a host in the system's order, IPv6 ones only where this machine has IPv6 itself.
/// `None` where it has none.
pub(crate) fn host(name: &[u8]) -> Option<Vec<IpAddr>> {
    let name = CString::new(name).ok()?;
    let hints = libc::addrinfo {
        ai_flags: libc::AI_ADDRCONFIG,
        ai_family: libc::AF_UNSPEC,
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    };
    let mut list = ptr::null_mut();
    // SAFETY: the name ends in a zero byte, the hints are filled in, and `list` is only read after success.
    let failed = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    if failed != 0 {
        return None;
    }
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: entries of the list are valid until `freeaddrinfo`, and the last one's `ai_next` is null.
        let info = unsafe { &*entry };
        // SAFETY: `ai_addr` points to an address of `ai_family`.
        found.extend(unsafe { ip(info) });
        entry = info.ai_next;
    }
    // SAFETY: the list came from `getaddrinfo` and nothing points into it any more.
    unsafe { libc::freeaddrinfo(list) };
    (!found.is_empty()).then_some(found)
}

/// The address of one entry.
///
/// # Safety
/// `ai_addr` must point to an address of `ai_family`.
unsafe fn ip(info: &libc::addrinfo) -> Option<IpAddr> {
    match info.ai_family {
        libc::AF_INET => {
            // SAFETY: the caller says that it is an IPv4 address; it may lie anywhere, so it is copied.
            let address = unsafe { ptr::read_unaligned(info.ai_addr.cast::<libc::sockaddr_in>()) };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for IPv6.
            let address = unsafe { ptr::read_unaligned(info.ai_addr.cast::<libc::sockaddr_in6>()) };
            Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_machine_and_nothing_else() {
        assert!(host(b"localhost").unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(host(b"no.such.host.invalid"), None);
        assert_eq!(host(b"a\0b"), None);
    }
}
