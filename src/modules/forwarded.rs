//! The client behind trusted proxies, as `X-Forwarded-For` names it: for `geo` and `realip`.

use std::net::{IpAddr, SocketAddr};

use crate::conf::Cidr;
use crate::schema::value;

/// Who is trusted to name the client.
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted {
    pub(super) networks: Vec<Cidr>,
    /// Clients on a UNIX socket.
    pub(super) unix: bool,
    /// Addresses that are trusted too are passed over.
    pub(super) recursive: bool,
}

/// What the headers said of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// Nothing that counts.
    Nobody,
    /// This address.
    Found(SocketAddr),
}

impl Trusted {
    /// Whether an address, `None` for a UNIX socket, is trusted.
    pub(super) fn trusts(&self, address: Option<SocketAddr>) -> bool {
        match address.map(|address| address.ip().to_canonical()) {
            None => self.unix,
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
        }
    }

    /// Looks for the client in header values, the last one first.
    pub(super) fn client<'v>(
        &self,
        from: Option<SocketAddr>,
        values: impl DoubleEndedIterator<Item = &'v [u8]>,
    ) -> Named {
        let mut address = from;
        let mut named = Named::Nobody;
        for value in values.rev() {
            let all_trusted = self.follow(&mut address, value, &mut named);
            if !self.recursive || !all_trusted {
                break;
            }
        }
        named
    }

    /// Takes the last address of a value, and in recursion the ones before it as long as they are trusted; says
    /// whether it came to the first.
    fn follow(&self, address: &mut Option<SocketAddr>, value: &[u8], named: &mut Named) -> bool {
        let is_separator = |byte: &u8| matches!(byte, b' ' | b',');
        let mut rest = value;
        loop {
            if !self.trusts(*address) {
                return false;
            }
            let end = rest.iter().rposition(|byte| !is_separator(byte)).map_or(0, |last| last + 1);
            let start = rest[..end].iter().rposition(is_separator).map_or(0, |last| last + 1);
            let Some(next) = parse_address_and_port(&rest[start..end]) else { return false };
            *address = Some(next);
            *named = Named::Found(next);
            if !self.recursive || start == 0 {
                return true;
            }
            rest = &rest[..start - 1];
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
pub(super) fn parse_address_and_port(text: &[u8]) -> Option<SocketAddr> {
    if let Some(ip) = parse_address(text) {
        return Some((ip, 0).into());
    }
    let (host, port) = match text {
        [b'[', inner @ .., b']'] => return Some((parse_address(inner)?, 0).into()),
        [b'[', rest @ ..] => {
            let close = rest.iter().position(|byte| *byte == b']')?;
            (&rest[..close], rest[close + 1..].strip_prefix(b":")?)
        }
        _ => {
            let colon = text.iter().position(|byte| *byte == b':')?;
            (&text[..colon], &text[colon + 1..])
        }
    };
    let port = value::number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    Some((parse_address(host)?, port).into())
}

/// An address alone.
pub(super) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    if text.contains(&b'/') {
        return None;
    }
    Cidr::parse(text).map(|(network, _)| network.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], recursive: bool, from: &str, values: &[&str]) -> Option<String> {
        let networks = trusted.iter().map(|text| Cidr::parse(text.as_bytes()).unwrap().0).collect();
        let trusted = Trusted { networks, unix: false, recursive };
        let from = parse_address_and_port(from.as_bytes());
        match trusted.client(from, values.iter().map(|value| value.as_bytes())) {
            Named::Nobody => None,
            Named::Found(address) => Some(address.ip().to_string()),
        }
    }

    #[test]
    fn takes_the_last_address() {
        let one = |from, values: &[&str]| client(&["127.0.0.0/8"], false, from, values);
        assert_eq!(one("127.0.0.1", &["1.1.1.1, 2.2.2.2"]).as_deref(), Some("2.2.2.2"));
        assert_eq!(one("127.0.0.1", &["1.1.1.1 , 2.2.2.2:80 , ,"]).as_deref(), Some("2.2.2.2"));
        assert_eq!(one("127.0.0.1", &["3.3.3.3", "1.1.1.1"]).as_deref(), Some("1.1.1.1"));
        assert_eq!(one("::ffff:127.0.0.1", &["[2001:db8::1]:80"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(one("10.0.0.1", &["1.1.1.1"]), None);
        assert_eq!(one("127.0.0.1", &["1.1.1.1, unknown"]), None);
        assert_eq!(one("127.0.0.1", &[""]), None);
    }

    #[test]
    fn passes_over_trusted_addresses_in_recursion() {
        let all = |values: &[&str]| client(&["127.0.0.1", "10.0.0.0/8"], true, "127.0.0.1", values);
        assert_eq!(all(&["1.1.1.1, 2.2.2.2, 10.0.0.1"]).as_deref(), Some("2.2.2.2"));
        assert_eq!(all(&["1.1.1.1", "10.0.0.2,10.0.0.1"]).as_deref(), Some("1.1.1.1"));
        assert_eq!(all(&["10.0.0.2, 10.0.0.1"]).as_deref(), Some("10.0.0.2"));
        assert_eq!(all(&["x, 10.0.0.1"]).as_deref(), Some("10.0.0.1"));
        assert_eq!(all(&["x"]), None);
    }
}
