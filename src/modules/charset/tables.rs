//! The charsets that a configuration names, and how each becomes another.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::conf::{Args, SetResult};
use crate::diag::Diagnostic;
use crate::http::utf8;
use crate::syntax::{Directive, Word};

/// All charsets by number.
#[derive(Default)]
pub(super) struct Charsets {
    names: Vec<Bytes>,
    tables: HashMap<(usize, usize), Arc<Table>>,
}

/// How one charset becomes another.
pub(super) enum Table {
    /// Byte for byte.
    Bytes(Box<[u8; 256]>),
    /// Each byte becomes a character of up to three bytes: its length, and the bytes.
    ToUtf8(Box<[[u8; 4]; 256]>),
    /// Each character up to U+FFFF becomes a byte; zero where there is none.
    FromUtf8(Box<[Option<Box<[u8; 256]>>; 256]>),
}

impl Table {
    /// Whether the text may become longer or shorter.
    pub(super) fn changes_length(&self) -> bool {
        !matches!(self, Table::Bytes(_))
    }
}

impl Charsets {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of a charset, which is a new one where nobody named it before.
    pub(super) fn add(&mut self, name: &[u8]) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.names.push(Bytes::copy_from_slice(name));
            self.names.len() - 1
        })
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|known| known.eq_ignore_ascii_case(name))
    }

    pub(super) fn name(&self, number: usize) -> Bytes {
        self.names[number].clone()
    }

    pub(super) fn is_utf8(&self, number: usize) -> bool {
        self.names[number].eq_ignore_ascii_case(b"utf-8")
    }

    pub(super) fn table(&self, from: usize, to: usize) -> Option<&Arc<Table>> {
        self.tables.get(&(from, to))
    }

    /// Reads a `charset_map`.
    pub(super) fn add_map(&mut self, args: &Args<'_>) -> SetResult {
        let (from, to) = (self.add(args.value(1)), self.add(args.value(2)));
        let between = format!("\"{}\" and \"{}\"", args.text(1), args.text(2));
        if from == to {
            let message = format!("\"charset_map\" between the same charsets {between}");
            return Err(args.error(2, "charset-map", message));
        }
        if self.tables.contains_key(&(from, to)) {
            let message = format!("duplicate \"charset_map\" between {between}");
            return Err(args.error(2, "duplicate-charset-map", message));
        }
        let lines = args.directive().children();
        let (there, back) = if self.is_utf8(to) { utf8_tables(lines)? } else { byte_tables(lines)? };
        self.tables.insert((from, to), Arc::new(there));
        self.tables.insert((to, from), Arc::new(back));
        Ok(())
    }
}

fn byte_tables(lines: &[Directive]) -> Result<(Table, Table), Diagnostic> {
    let plain = || Box::new(std::array::from_fn(|byte| if byte < 128 { byte as u8 } else { b'?' }));
    let (mut there, mut back): (Box<[u8; 256]>, Box<[u8; 256]>) = (plain(), plain());
    for pair in pairs(lines) {
        let (from, line, word) = pair?;
        let to = hexadecimal(&word.value).ok_or_else(|| invalid(line, word))?;
        there[usize::from(from)] = to;
        back[usize::from(to)] = from;
    }
    Ok((Table::Bytes(there), Table::Bytes(back)))
}

fn utf8_tables(lines: &[Directive]) -> Result<(Table, Table), Diagnostic> {
    let mut there = Box::new([[1, b'?', 0, 0]; 256]);
    let mut back: Box<[Option<Box<[u8; 256]>>; 256]> = Box::new([const { None }; 256]);
    let first = back[0].insert(Box::new([0; 256]));
    for byte in 0..128u8 {
        there[usize::from(byte)] = [1, byte, 0, 0];
        first[usize::from(byte)] = byte;
    }
    for pair in pairs(lines) {
        let (from, line, word) = pair?;
        let (bytes, character) = character(&word.value).ok_or_else(|| invalid(line, word))?;
        there[usize::from(from)] = bytes;
        let page = back[usize::from(character >> 8)].get_or_insert_with(|| Box::new([0; 256]));
        page[usize::from(character & 0xff)] = from;
    }
    Ok((Table::ToUtf8(there), Table::FromUtf8(back)))
}

/// Lines of two words: the byte, and the word behind it. The check has complained about all others.
fn pairs(lines: &[Directive]) -> impl Iterator<Item = Result<(u8, &Directive, &Word), Diagnostic>> {
    lines.iter().filter(|line| line.args.len() == 1).map(|line| {
        let from = hexadecimal(&line.name.value).ok_or_else(|| invalid(line, &line.name))?;
        Ok((from, line, &line.args[0]))
    })
}

fn invalid(line: &Directive, word: &Word) -> Diagnostic {
    Diagnostic::error("invalid-value", format!("invalid value \"{}\"", word.text())).at(word.span).nginx_at(line.end)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, digit| {
        (value < 1 << 56).then(|| value * 16 + u64::from((*digit as char).to_digit(16).unwrap_or(0)))
    });
    value.and_then(|value| u8::try_from(value).ok())
}

/// A character written as the hexadecimal bytes of its UTF-8: length and bytes, and its number.
fn character(digits: &[u8]) -> Option<([u8; 4], u16)> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() / 2 > 3 {
        return None;
    }
    let mut bytes = [0; 4];
    bytes[0] = (digits.len() / 2) as u8;
    for (byte, pair) in bytes[1..].iter_mut().zip(digits.chunks(2)) {
        *byte = hexadecimal(pair)?;
    }
    let mut encoded = &bytes[1..=digits.len() / 2];
    let number = utf8::decode(&mut encoded).ok()?;
    Some((bytes, u16::try_from(number).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes() {
        assert_eq!(hexadecimal(b"c0"), Some(0xc0));
        assert_eq!(hexadecimal(b"0000FE"), Some(0xfe));
        assert_eq!(hexadecimal(b"100"), None);
        assert_eq!(hexadecimal(b"x1"), None);
        assert_eq!(hexadecimal(b""), None);
        assert_eq!(character(b"E282AC"), Some(([3, 0xe2, 0x82, 0xac], 0x20ac)));
        assert_eq!(character(b"D18E"), Some(([2, 0xd1, 0x8e, 0], 0x44e)));
        assert_eq!(character(b"F09F9880"), None);
        assert_eq!(character(b"41"), None);
        assert_eq!(character(b"D1"), None);
    }
}
