//! Ranges of IPv4 addresses: they may lie inside each other, and must not overlap otherwise.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bytes::Bytes;

use crate::conf::Cidr;
use crate::diag::Diagnostic;

/// Ranges while they are read. nginx cuts them at each 65,536 addresses, which its complaints show.
#[derive(Default)]
pub(super) struct Ranges {
    default: Option<Bytes>,
    blocks: BTreeMap<u16, Vec<Range>>,
}

/// A range within a block; ranges of a block are in order.
#[derive(Clone)]
struct Range {
    start: u16,
    end: u16,
    value: Bytes,
}

impl Ranges {
    /// Adds `default` or a range, or takes a range away where there is no value.
    pub(super) fn add(
        &mut self,
        net: &[u8],
        value: Option<&[u8]>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let shown = String::from_utf8_lossy;
        if let (b"default", Some(value)) = (net, value) {
            let old = self.default.replace(Bytes::copy_from_slice(value));
            warnings.extend(old.map(|old| {
                let message =
                    format!("duplicate default geo range value: \"{}\", old value: \"{}\"", shown(value), shown(&old));
                Diagnostic::warning("odd-range", message)
            }));
            return Ok(());
        }
        let (first, last) = parse(net)
            .ok_or_else(|| Diagnostic::error("invalid-range", format!("invalid range \"{}\"", shown(net))))?;
        let Some(value) = value.map(Bytes::copy_from_slice) else {
            if !self.delete(first, last) {
                let message = format!("no address range \"{}\" to delete", shown(net));
                warnings.push(Diagnostic::warning("odd-range", message));
            }
            return Ok(());
        };
        for (block, start, end) in cut(first, last) {
            let range = Range { start, end, value: value.clone() };
            match insert(self.blocks.entry(block).or_default(), range) {
                Ok(None) => {}
                Ok(Some(old)) => {
                    let message = format!(
                        "duplicate range \"{}\", value: \"{}\", old value: \"{}\"",
                        shown(net),
                        shown(&value),
                        shown(&old)
                    );
                    warnings.push(Diagnostic::warning("odd-range", message));
                }
                Err((start, end)) => {
                    let address = |low| Ipv4Addr::from(u32::from(block) << 16 | u32::from(low));
                    let message = format!("range \"{}\" overlaps \"{}-{}\"", shown(net), address(start), address(end));
                    return Err(Diagnostic::error("overlapping-ranges", message));
                }
            }
        }
        Ok(())
    }

    /// Whether all of it was there.
    fn delete(&mut self, first: u32, last: u32) -> bool {
        let mut all = true;
        for (block, start, end) in cut(first, last) {
            let ranges = self.blocks.entry(block).or_default();
            match ranges.iter().position(|range| (range.start, range.end) == (start, end)) {
                Some(at) => drop(ranges.remove(at)),
                None => all = false,
            }
        }
        all
    }

    pub(super) fn finish(self) -> RangeTable {
        let mut ranges = Vec::new();
        for (block, inside) in self.blocks {
            let address = |low| u32::from(block) << 16 | u32::from(low);
            ranges.extend(inside.into_iter().map(|range| (address(range.start), address(range.end), range.value)));
        }
        RangeTable { default: self.default.unwrap_or_default(), ranges: ranges.into() }
    }
}

fn parse(net: &[u8]) -> Option<(u32, u32)> {
    let dash = net.iter().position(|byte| *byte == b'-')?;
    let address = |text: &[u8]| match Cidr::parse(text)?.0 {
        Cidr { address: std::net::IpAddr::V4(ip), bits: 32 } if !text.contains(&b'/') => Some(u32::from(ip)),
        _ => None,
    };
    let (first, last) = (address(&net[..dash])?, address(&net[dash + 1..])?);
    (first <= last).then_some((first, last))
}

/// The blocks that a range lies in, with the part in each.
fn cut(first: u32, last: u32) -> impl Iterator<Item = (u16, u16, u16)> {
    let (from, to) = ((first >> 16) as u16, (last >> 16) as u16);
    (from..=to).map(move |block| {
        let start = if block == from { first as u16 } else { 0 };
        let end = if block == to { last as u16 } else { u16::MAX };
        (block, start, end)
    })
}

/// Puts a range between, into or around the others: gives the old value of the very same range, or the range that
/// it overlaps.
fn insert(ranges: &mut Vec<Range>, new: Range) -> Result<Option<Bytes>, (u16, u16)> {
    for at in (0..ranges.len()).rev() {
        let old = &ranges[at];
        if new.end < old.start {
            continue;
        }
        if new.start > old.end {
            ranges.insert(at + 1, new);
            return Ok(None);
        }
        if (new.start, new.end) == (old.start, old.end) {
            return Ok(Some(std::mem::replace(&mut ranges[at].value, new.value)));
        }
        if new.start < old.start || new.end > old.end {
            return Err((old.start, old.end));
        }
        let before = (new.start > old.start).then(|| Range { end: new.start - 1, ..old.clone() });
        let behind = (new.end < old.end).then(|| Range { start: new.end + 1, ..old.clone() });
        ranges.splice(at..=at, before.into_iter().chain([new]).chain(behind));
        return Ok(None);
    }
    ranges.insert(0, new);
    Ok(None)
}

/// Ranges at request time.
pub(super) struct RangeTable {
    default: Bytes,
    ranges: Box<[(u32, u32, Bytes)]>,
}

impl RangeTable {
    pub(super) fn find(&self, address: u32) -> &[u8] {
        let behind = self.ranges.partition_point(|(start, ..)| *start <= address);
        match behind.checked_sub(1).map(|at| &self.ranges[at]) {
            Some((_, end, value)) if address <= *end => value,
            _ => &self.default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, Option<&str>)]) -> (RangeTable, Vec<String>) {
        let mut ranges = Ranges::default();
        let mut said = Vec::new();
        for (net, value) in rows {
            if let Err(fault) = ranges.add(net.as_bytes(), value.map(str::as_bytes), &mut said) {
                said.push(fault);
            }
        }
        (ranges.finish(), said.into_iter().map(|warning| warning.message).collect())
    }

    #[test]
    fn a_range_inside_another_cuts_it() {
        let (table, said) = table(&[
            ("default", Some("d")),
            ("10.0.0.0-10.2.0.255", Some("a")),
            ("10.0.0.0-10.0.0.9", Some("first")),
            ("10.1.0.10-10.1.0.19", Some("middle")),
            ("10.2.0.250-10.2.0.255", Some("last")),
        ]);
        assert!(said.is_empty(), "{said:?}");
        for (address, value) in [
            ("9.255.255.255", "d"),
            ("10.0.0.0", "first"),
            ("10.0.0.10", "a"),
            ("10.1.0.9", "a"),
            ("10.1.0.10", "middle"),
            ("10.1.0.20", "a"),
            ("10.2.0.249", "a"),
            ("10.2.0.250", "last"),
            ("10.2.1.0", "d"),
        ] {
            let address: Ipv4Addr = address.parse().unwrap();
            assert_eq!(table.find(address.into()), value.as_bytes(), "{address}");
        }
    }

    #[test]
    fn complains_as_nginx_does() {
        let (_, said) = table(&[
            ("10.0.0.0-10.0.0.10", Some("a")),
            ("10.0.0.5-10.0.0.15", Some("b")),
            ("10.0.0.0-10.0.0.10", Some("c")),
            ("11.0.0.0-11.0.0.1", None),
            ("10.0.0.10-10.0.0.1", Some("x")),
            ("10.0.0.1", Some("x")),
            ("default", Some("a")),
            ("default", Some("b")),
        ]);
        assert_eq!(
            said,
            [
                "range \"10.0.0.5-10.0.0.15\" overlaps \"10.0.0.0-10.0.0.10\"",
                "duplicate range \"10.0.0.0-10.0.0.10\", value: \"c\", old value: \"a\"",
                "no address range \"11.0.0.0-11.0.0.1\" to delete",
                "invalid range \"10.0.0.10-10.0.0.1\"",
                "invalid range \"10.0.0.1\"",
                "duplicate default geo range value: \"b\", old value: \"a\"",
            ]
        );
    }
}
