//! Networks: the smallest one that holds an address gives the value.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use crate::conf::Cidr;
use crate::diag::Diagnostic;

/// Networks while they are read: first address and bits, larger networks before those inside them.
#[derive(Default)]
pub(super) struct Networks {
    v4: BTreeMap<(u32, u8), Bytes>,
    v6: BTreeMap<(u128, u8), Bytes>,
}

impl Networks {
    /// `default`, for both kinds of addresses.
    pub(super) fn add_default(&mut self, value: &[u8], warnings: &mut Vec<Diagnostic>) {
        for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            self.add(Cidr { address, bits: 0 }, b"default", Some(value), warnings);
        }
    }

    /// Adds a network, or takes it away where there is no value.
    pub(super) fn add(&mut self, network: Cidr, text: &[u8], value: Option<&[u8]>, warnings: &mut Vec<Diagnostic>) {
        let value = value.map(Bytes::copy_from_slice);
        let shown = String::from_utf8_lossy;
        let is_there = match network.address {
            IpAddr::V4(ip) => self.v4.contains_key(&(ip.into(), network.bits)),
            IpAddr::V6(ip) => self.v6.contains_key(&(ip.into(), network.bits)),
        };
        let nearest = is_there.then(|| self.nearest(network.address)).flatten();
        let old = match (network.address, value.clone()) {
            (IpAddr::V4(ip), Some(value)) => self.v4.insert((ip.into(), network.bits), value),
            (IpAddr::V6(ip), Some(value)) => self.v6.insert((ip.into(), network.bits), value),
            (IpAddr::V4(ip), None) => self.v4.remove(&(ip.into(), network.bits)),
            (IpAddr::V6(ip), None) => self.v6.remove(&(ip.into(), network.bits)),
        };
        let message = match (value, old) {
            (Some(value), Some(_)) => format!(
                "duplicate network \"{}\", value: \"{}\", old value: \"{}\"",
                shown(text),
                shown(&value),
                shown(&nearest.unwrap_or_default())
            ),
            (None, None) => format!("no network \"{}\" to delete", shown(text)),
            _ => return,
        };
        warnings.push(Diagnostic::warning("odd-network", message));
    }

    /// What nginx finds for a network's first address: not always that very network's value.
    fn nearest(&self, address: IpAddr) -> Option<Bytes> {
        let holds = |network: IpAddr, bits| Cidr { address: network, bits }.contains(address);
        match address {
            IpAddr::V4(ip) => {
                let all = self.v4.range(..=(ip.into(), u8::MAX)).rev();
                all.into_iter().find(|((ip, bits), _)| holds(Ipv4Addr::from(*ip).into(), *bits)).map(|(_, value)| value)
            }
            IpAddr::V6(ip) => {
                let all = self.v6.range(..=(ip.into(), u8::MAX)).rev();
                all.into_iter().find(|((ip, bits), _)| holds(Ipv6Addr::from(*ip).into(), *bits)).map(|(_, value)| value)
            }
        }
        .cloned()
    }

    /// Cuts the addresses into pieces of one value each.
    pub(super) fn finish(self) -> NetworkTable {
        let v4 = self.v4.into_iter().map(|((first, bits), value)| {
            let width = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            (u128::from(first), u128::from(first | width), value)
        });
        let v6 = self.v6.into_iter().map(|((first, bits), value)| {
            let width = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            (first, first | width, value)
        });
        NetworkTable { v4: pieces(v4, u128::from(u32::MAX)), v6: pieces(v6, u128::MAX) }
    }
}

type Pieces = Box<[(u128, Bytes)]>;

/// Where each piece begins, and its value; networks come in order, larger ones before those inside them.
fn pieces(networks: impl Iterator<Item = (u128, u128, Bytes)>, last: u128) -> Pieces {
    let mut pieces: Vec<(u128, Bytes)> = vec![(0, Bytes::new())];
    let mut open: Vec<(u128, Bytes)> = vec![(last, Bytes::new())];
    let begin = |at: u128, value: Bytes, pieces: &mut Vec<(u128, Bytes)>| match pieces.last_mut() {
        Some(piece) if piece.0 == at => piece.1 = value,
        _ => pieces.push((at, value)),
    };
    for (first, end, value) in networks {
        while let Some((closed, _)) = open.last().filter(|(end, _)| *end < first).cloned() {
            open.pop();
            let around = open.last().map(|(_, value)| value.clone()).unwrap_or_default();
            begin(closed + 1, around, &mut pieces);
        }
        begin(first, value.clone(), &mut pieces);
        open.push((end, value));
    }
    while let Some((closed, _)) = open.pop().filter(|(end, _)| *end < last) {
        let around = open.last().map(|(_, value)| value.clone()).unwrap_or_default();
        begin(closed + 1, around, &mut pieces);
    }
    pieces.into()
}

/// Networks at request time.
pub(super) struct NetworkTable {
    v4: Pieces,
    v6: Pieces,
}

impl NetworkTable {
    pub(super) fn find(&self, address: IpAddr) -> &[u8] {
        let (pieces, number) = match address {
            IpAddr::V4(ip) => (&self.v4, u128::from(u32::from(ip))),
            IpAddr::V6(ip) => (&self.v6, u128::from(ip)),
        };
        let behind = pieces.partition_point(|(begin, _)| *begin <= number);
        // The first piece begins at 0.
        &pieces[behind - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, Option<&str>)]) -> (NetworkTable, Vec<String>) {
        let mut networks = Networks::default();
        let mut warnings = Vec::new();
        for (text, value) in rows {
            match (*text, value) {
                ("default", Some(value)) => networks.add_default(value.as_bytes(), &mut warnings),
                _ => {
                    let (network, _) = Cidr::parse(text.as_bytes()).unwrap();
                    networks.add(network, text.as_bytes(), value.map(str::as_bytes), &mut warnings);
                }
            }
        }
        (networks.finish(), warnings.into_iter().map(|warning| warning.message).collect())
    }

    #[test]
    fn the_smallest_network_wins() {
        let (table, warnings) = table(&[
            ("default", Some("d")),
            ("10.1.0.0/16", Some("small")),
            ("10.0.0.0/8", Some("large")),
            ("10.1.255.255", Some("one")),
            ("255.0.0.0/8", Some("end")),
            ("2001:db8::/32", Some("six")),
            ("2001:db8::/126", Some("few")),
        ]);
        assert!(warnings.is_empty());
        for (address, value) in [
            ("9.255.255.255", "d"),
            ("10.0.0.0", "large"),
            ("10.0.255.255", "large"),
            ("10.1.0.0", "small"),
            ("10.1.255.254", "small"),
            ("10.1.255.255", "one"),
            ("10.2.0.0", "large"),
            ("10.255.255.255", "large"),
            ("11.0.0.0", "d"),
            ("255.255.255.255", "end"),
            ("::", "d"),
            ("2001:db8::3", "few"),
            ("2001:db8::4", "six"),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "six"),
            ("2001:db9::", "d"),
        ] {
            assert_eq!(table.find(address.parse().unwrap()), value.as_bytes(), "{address}");
        }
    }

    #[test]
    fn warns_of_what_is_there_twice_or_not_at_all() {
        let (table, warnings) = table(&[
            ("10.0.0.0/8", Some("a")),
            ("10.0.0.0/24", Some("b")),
            ("10.0.0.0/8", Some("c")),
            ("11.0.0.0/8", None),
            ("10.0.0.0/24", None),
        ]);
        assert_eq!(
            warnings,
            ["duplicate network \"10.0.0.0/8\", value: \"c\", old value: \"b\"", "no network \"11.0.0.0/8\" to delete"]
        );
        assert_eq!(table.find("10.0.0.1".parse().unwrap()), b"c");
        assert_eq!(table.find("12.0.0.1".parse().unwrap()), b"");
    }
}
