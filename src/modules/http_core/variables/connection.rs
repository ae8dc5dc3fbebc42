//! Variables of the connection, the worker and the machine.

use std::net::{IpAddr, SocketAddr};

use super::{put, put_number, put_seconds};
use crate::http::proxy_protocol::TlvFault;
use crate::http::{Request, Version};
use crate::log::{self, Level};

pub(super) fn remote_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(&r.connection.address.borrow()))
}

/// The address's 4 or 16 bytes.
pub(super) fn binary_remote_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    match r.connection.peer.get().map(|peer| peer.ip()) {
        Some(IpAddr::V4(ip)) => out.extend_from_slice(&ip.octets()),
        Some(IpAddr::V6(ip)) => out.extend_from_slice(&ip.octets()),
        None => out.extend_from_slice(&r.connection.address.borrow()),
    }
    true
}

pub(super) fn remote_port(r: &Request, out: &mut Vec<u8>) -> bool {
    put_port(r.connection.peer.get(), out)
}

pub(super) fn server_port(r: &Request, out: &mut Vec<u8>) -> bool {
    put_port(r.connection.local, out)
}

fn put_port(address: Option<SocketAddr>, out: &mut Vec<u8>) -> bool {
    put_port_number(address.map_or(0, |address| address.port()), out)
}

/// Appends a port; 0 is none.
fn put_port_number(port: u16, out: &mut Vec<u8>) -> bool {
    port == 0 || put_number(out, u64::from(port))
}

pub(super) fn server_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    use std::io::Write as _;
    match (r.connection.local, &r.connection.local_path) {
        // Writing to memory does not fail.
        (Some(local), _) => drop(write!(out, "{}", local.ip())),
        (None, path) => {
            out.extend_from_slice(b"unix:");
            out.extend_from_slice(path.as_deref().unwrap_or_default());
        }
    }
    true
}

pub(super) fn proxy_protocol_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.connection.proxy.get().map(|proxy| &proxy.source[..]))
}

pub(super) fn proxy_protocol_port(r: &Request, out: &mut Vec<u8>) -> bool {
    r.connection.proxy.get().is_some_and(|proxy| put_port_number(proxy.source_port, out))
}

pub(super) fn proxy_protocol_server_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.connection.proxy.get().map(|proxy| &proxy.destination[..]))
}

pub(super) fn proxy_protocol_server_port(r: &Request, out: &mut Vec<u8>) -> bool {
    r.connection.proxy.get().is_some_and(|proxy| put_port_number(proxy.destination_port, out))
}

/// `$proxy_protocol_tlv_NAME`
pub(super) fn proxy_protocol_tlv(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(proxy) = r.connection.proxy.get() else { return false };
    let complain = |what: &str| {
        r.log_with(Level::Error, |line| {
            line.put(what).bytes(name).put('"');
        });
    };
    match proxy.append_tlv(name, out) {
        Ok(found) => return found,
        Err(TlvFault::Short) => {}
        Err(TlvFault::Broken) => r.log(Level::Error, "broken PROXY protocol TLV"),
        Err(TlvFault::Invalid) => complain("invalid PROXY protocol TLV \""),
        Err(TlvFault::Unknown) => complain("unknown PROXY protocol TLV \""),
    }
    false
}

pub(super) fn scheme(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(if r.connection.is_secure() { b"https" } else { b"http" }))
}

pub(super) fn https(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(if r.connection.is_secure() { b"on" } else { b"" }))
}

/// Nobody speaks it here.
pub(super) fn http3(_r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(b""))
}

pub(super) fn pipe(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(if r.pipelined { b"p" } else { b"." }))
}

pub(super) fn connection(r: &Request, out: &mut Vec<u8>) -> bool {
    put_number(out, r.connection.number)
}

pub(super) fn connection_requests(r: &Request, out: &mut Vec<u8>) -> bool {
    put_number(out, r.connection.requests.get())
}

pub(super) fn connection_time(r: &Request, out: &mut Vec<u8>) -> bool {
    put_seconds(out, r.connection.start.elapsed().as_millis())
}

pub(super) fn nginx_version(_r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(b"1.28.3"))
}

pub(super) fn hostname(_r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(log::hostname()))
}

pub(super) fn pid(_r: &Request, out: &mut Vec<u8>) -> bool {
    put_number(out, u64::from(std::process::id()))
}

pub(super) fn tcpinfo_rtt(r: &Request, out: &mut Vec<u8>) -> bool {
    r.tcp_info().is_some_and(|info| put_number(out, u64::from(info.rtt)))
}

pub(super) fn tcpinfo_rttvar(r: &Request, out: &mut Vec<u8>) -> bool {
    r.tcp_info().is_some_and(|info| put_number(out, u64::from(info.rttvar)))
}

pub(super) fn tcpinfo_snd_cwnd(r: &Request, out: &mut Vec<u8>) -> bool {
    r.tcp_info().is_some_and(|info| put_number(out, u64::from(info.snd_cwnd)))
}

pub(super) fn tcpinfo_rcv_space(r: &Request, out: &mut Vec<u8>) -> bool {
    r.tcp_info().is_some_and(|info| put_number(out, u64::from(info.rcv_space)))
}

/// How HTTP/2 came about, where it is spoken.
pub(super) fn http2(r: &Request, out: &mut Vec<u8>) -> bool {
    let how = match r.head.version {
        Version::HTTP_2 if r.connection.is_secure() => b"h2".as_slice(),
        Version::HTTP_2 => b"h2c",
        _ => b"",
    };
    put(out, Some(how))
}
