//! Networks: an address and how many of its bits count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The lowest address.
    pub address: IpAddr,
    /// How many bits count.
    pub bits: u8,
}

impl Cidr {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address. The flag says whether bits were set that do not
    /// count, of which nginx warns.
    pub fn parse(text: &[u8]) -> Option<(Self, bool)> {
        let slash = text.iter().position(|byte| *byte == b'/');
        let address = parse_address(&text[..slash.unwrap_or(text.len())])?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match slash {
            None => width,
            Some(slash) => parse_number(&text[slash + 1..], u32::from(width))? as u8,
        };
        let lowest = match address {
            IpAddr::V4(address) => IpAddr::V4((u32::from(address) & mask_v4(bits)).into()),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & mask_v6(bits)).into()),
        };
        Some((Self { address: lowest, bits }, lowest != address))
    }

    /// Whether an address lies in it. IPv4 addresses written as IPv6 ones are not looked through.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(address)) => u32::from(address) & mask_v4(self.bits) == u32::from(own),
            (IpAddr::V6(own), IpAddr::V6(address)) => u128::from(address) & mask_v6(self.bits) == own.into(),
            _ => false,
        }
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// An address as nginx reads it. The one of all bits stands for an error there, and so here.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = parse_v4(text) {
        return Some(IpAddr::V4(address));
    }
    std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Four numbers up to 255; unlike in Rust's own parser they may begin with zeros.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = parse_number(parts.next()?, 255)? as u8;
    }
    (parts.next().is_none() && octets != [255; 4]).then_some(octets.into())
}

fn parse_number(digits: &[u8], most: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u32, |number, digit| {
        let digit = (*digit as char).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (number <= most).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, u8, bool)> {
        Cidr::parse(text.as_bytes()).map(|(cidr, odd)| (cidr.address.to_string(), cidr.bits, odd))
    }

    #[test]
    fn reads_networks() {
        assert_eq!(parse("192.0.2.1"), Some(("192.0.2.1".into(), 32, false)));
        assert_eq!(parse("192.0.2.0/24"), Some(("192.0.2.0".into(), 24, false)));
        assert_eq!(parse("192.0.2.1/24"), Some(("192.0.2.0".into(), 24, true)));
        assert_eq!(parse("010.0.0.1/0"), Some(("0.0.0.0".into(), 0, true)));
        assert_eq!(parse("2001:db8::/32"), Some(("2001:db8::".into(), 32, false)));
        assert_eq!(parse("2001:db8::1/32"), Some(("2001:db8::".into(), 32, true)));
        assert_eq!(parse("::/0"), Some(("::".into(), 0, false)));
        for wrong in [
            "",
            "all",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/x",
            "255.255.255.255",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn contains_addresses() {
        let (network, _) = Cidr::parse(b"192.0.2.0/25").unwrap();
        assert!(network.contains("192.0.2.127".parse().unwrap()));
        assert!(!network.contains("192.0.2.128".parse().unwrap()));
        assert!(!network.contains("::ffff:192.0.2.1".parse().unwrap()));
        let (network, _) = Cidr::parse(b"2001:db8::/33").unwrap();
        assert!(network.contains("2001:db8:7fff::1".parse().unwrap()));
        assert!(!network.contains("2001:db8:8000::1".parse().unwrap()));
    }
}
