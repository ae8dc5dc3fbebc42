//! Addresses of upstreams as they are written: `host:port/uri`, `unix:/path:/uri`. nginx's `ngx_parse_url`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::Address;

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// The host as written, brackets of IPv6 included; for a UNIX socket its path.
    pub(crate) host: &'a [u8],
    /// The port, or the default one; 0 for a UNIX socket.
    pub(crate) port: u16,
    /// The port as written; empty where there is none.
    pub(crate) port_text: &'a [u8],
    /// Whether no port was written. nginx does not say so of UNIX sockets.
    pub(crate) no_port: bool,
    /// What follows the address; for a UNIX socket what follows the second colon.
    pub(crate) uri: &'a [u8],
    /// The address, unless the host is a name.
    pub(crate) address: Option<Address>,
}

impl Url<'_> {
    /// Whether it is a UNIX socket's.
    pub(crate) fn is_unix(&self) -> bool {
        self.address.as_ref().is_some_and(Address::is_unix)
    }
}

/// Whether an address may be followed by a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UriPart {
    Allowed,
    Refused,
}

/// What is wrong with an address, in nginx's words.
pub(crate) type Fault = &'static str;

/// Takes an address apart.
///
/// # Errors
/// nginx's words, which go before ` in upstream "…"`.
pub(crate) fn parse(text: &[u8], default_port: u16, uri: UriPart) -> Result<Url<'_>, Fault> {
    if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"unix:")) {
        return parse_unix(text, uri);
    }
    if text.starts_with(b"[") {
        return parse_v6(text, default_port, uri);
    }
    parse_host(text, default_port, uri)
}

fn parse_unix(text: &[u8], uri_part: UriPart) -> Result<Url<'_>, Fault> {
    let (mut path, mut uri) = (&text[5..], &b""[..]);
    if uri_part == UriPart::Allowed
        && let Some(colon) = memchr::memchr(b':', path)
    {
        (path, uri) = (&path[..colon], &path[colon + 1..]);
    }
    if path.is_empty() {
        return Err("no path in the unix domain socket");
    }
    let address = Address::unix(path).ok_or("too long path in the unix domain socket")?;
    Ok(Url { host: path, port: 0, port_text: b"", no_port: false, uri, address: Some(address) })
}

fn parse_host(text: &[u8], default_port: u16, uri_part: UriPart) -> Result<Url<'_>, Fault> {
    let at = memchr::memchr2(b'/', b'?', text);
    if at.is_some() && uri_part == UriPart::Refused {
        return Err("invalid host");
    }
    let (authority, uri) = text.split_at(at.unwrap_or(text.len()));
    let (host, port) = match memchr::memchr(b':', authority) {
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
        None => (authority, None),
    };
    let number = port.map(parse_port).transpose()?.unwrap_or(default_port);
    if host.is_empty() {
        return Err("no host");
    }
    let address = parse_v4(host).map(|ip| Address::Tcp(SocketAddr::new(IpAddr::V4(ip), number)));
    Ok(Url { host, port: number, port_text: port.unwrap_or_default(), no_port: port.is_none(), uri, address })
}

fn parse_v6(text: &[u8], default_port: u16, uri_part: UriPart) -> Result<Url<'_>, Fault> {
    let end = memchr::memchr(b']', text).ok_or("invalid host")?;
    let (host, rest) = text.split_at(end + 1);
    let at = memchr::memchr(b'/', rest);
    if at.is_some() && uri_part == UriPart::Refused {
        return Err("invalid host");
    }
    let (port, uri) = rest.split_at(at.unwrap_or(rest.len()));
    let port = match port {
        [] => None,
        [b':', port @ ..] => Some(port),
        _ => return Err("invalid host"),
    };
    let number = port.map(parse_port).transpose()?.unwrap_or(default_port);
    if end == 1 {
        return Err("no host");
    }
    let ip: Ipv6Addr =
        std::str::from_utf8(&text[1..end]).ok().and_then(|text| text.parse().ok()).ok_or("invalid IPv6 address")?;
    let address = Some(Address::Tcp(SocketAddr::new(IpAddr::V6(ip), number)));
    Ok(Url { host, port: number, port_text: port.unwrap_or_default(), no_port: port.is_none(), uri, address })
}

fn parse_port(text: &[u8]) -> Result<u16, Fault> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.filter(|port| *port > 0).ok_or("invalid port")
}

/// Four decimal numbers; leading zeros are fine, as they are to nginx.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value = part.iter().try_fold(0u32, |value, digit| {
            let value = value * 10 + u32::from(digit - b'0');
            (value <= 255).then_some(value)
        })?;
        *octet = u8::try_from(value).ok()?;
    }
    // nginx takes 255.255.255.255 for "no address".
    (parts.next().is_none() && octets != [255; 4]).then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match parse(text.as_bytes(), 80, UriPart::Allowed) {
            Err(fault) => fault.into(),
            Ok(url) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let address = url.address.map(|address| String::from_utf8_lossy(&address.name()).into_owned());
                format!("{} {} {} {:?}", text(url.host), url.port, text(url.uri), address)
            }
        }
    }

    #[test]
    fn takes_addresses_apart() {
        assert_eq!(parsed("127.0.0.1:8081"), "127.0.0.1 8081  Some(\"127.0.0.1:8081\")");
        assert_eq!(parsed("127.0.0.1/a:b"), "127.0.0.1 80 /a:b Some(\"127.0.0.1:80\")");
        assert_eq!(parsed("shop?x"), "shop 80 ?x None");
        assert_eq!(parsed("shop:81/"), "shop 81 / None");
        assert_eq!(parsed("[::1]:81/x"), "[::1] 81 /x Some(\"[::1]:81\")");
        assert_eq!(parsed("unix:/run/x.sock"), "/run/x.sock 0  Some(\"unix:/run/x.sock\")");
        assert_eq!(parsed("UNIX:/run/x.sock:/a:b"), "/run/x.sock 0 /a:b Some(\"unix:/run/x.sock\")");
    }

    #[test]
    fn refuses_with_nginx_words() {
        assert_eq!(parsed("unix:"), "no path in the unix domain socket");
        assert_eq!(parsed(&format!("unix:/{}", "x".repeat(108))), "too long path in the unix domain socket");
        assert_eq!(parsed(""), "no host");
        assert_eq!(parsed(":80"), "no host");
        assert_eq!(parsed("a:"), "invalid port");
        assert_eq!(parsed("a:0"), "invalid port");
        assert_eq!(parsed("a:65536"), "invalid port");
        assert_eq!(parsed("a:+1"), "invalid port");
        assert_eq!(parsed("[::1"), "invalid host");
        assert_eq!(parsed("[::g]"), "invalid IPv6 address");
        assert_eq!(parse(b"a/b", 80, UriPart::Refused), Err("invalid host"));
    }
}
