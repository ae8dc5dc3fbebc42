//! A directory as a page.

use std::io::Write;

use jiff::{Timestamp, tz::TimeZone};

use super::folder::Entry;
use crate::http::date::{self, Utc};
use crate::http::escape::{Escape, append_escaped, append_html};
use crate::http::utf8;

/// How the page looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether names are cut by characters rather than bytes.
    pub(super) utf8: bool,
    /// Whether times are local.
    pub(super) local_time: bool,
    /// Whether sizes are in bytes rather than rounded.
    pub(super) exact_size: bool,
}

/// Names take so many columns.
const COLUMNS: usize = 50;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WRITES: &str = "a Vec takes every write";

pub(super) fn page(uri: &[u8], entries: &[Entry], style: &Style) -> Vec<u8> {
    let mut out = b"<html>\r\n<head><title>Index of ".to_vec();
    append_html(uri, &mut out);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    append_html(uri, &mut out);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    let offset = if style.local_time { offset() } else { 0 };
    for entry in entries {
        append_name(entry, style, &mut out);
        let time = Utc::from_unix(entry.mtime + offset);
        let month = MONTHS[time.month as usize - 1];
        write!(out, " {:02}-{month}-{} {:02}:{:02} ", time.day, time.year, time.hour, time.minute).expect(WRITES);
        append_size(entry, style, &mut out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

/// Seconds between local time and UTC, now: nginx shows summer's files in winter time.
fn offset() -> i64 {
    let now = Timestamp::from_second(date::now()).unwrap_or_default();
    i64::from(TimeZone::system().to_offset(now).seconds())
}

fn append_name(entry: &Entry, style: &Style, out: &mut Vec<u8>) {
    let (name, folder) = (&entry.name, entry.kind.is_dir());
    out.extend_from_slice(b"<a href=\"");
    append_escaped(name, Escape::UriComponent, out);
    out.extend_from_slice(if folder { b"/\">" } else { b"\">" });
    let characters = if style.utf8 { utf8::length(name) } else { None };
    let mut columns = characters.unwrap_or(name.len());
    if columns > COLUMNS {
        append_html(first(name, COLUMNS - 3, characters.is_some()), out);
        out.extend_from_slice(b"..&gt;</a>");
        return;
    }
    append_html(name, out);
    if folder && columns < COLUMNS {
        out.push(b'/');
        columns += 1;
    }
    out.extend_from_slice(b"</a>");
    out.resize(out.len() + COLUMNS - columns, b' ');
}

/// The first bytes or characters of a name.
fn first(name: &[u8], count: usize, characters: bool) -> &[u8] {
    if !characters {
        return &name[..count];
    }
    let mut rest = name;
    for _ in 0..count {
        match rest.split_first() {
            Some((byte, behind)) if *byte < 0x80 => rest = behind,
            // The whole name was read before.
            _ => drop(utf8::decode(&mut rest)),
        }
    }
    &name[..name.len() - rest.len()]
}

fn append_size(entry: &Entry, style: &Style, out: &mut Vec<u8>) {
    let columns = if style.exact_size { 19 } else { 7 };
    if entry.kind.is_dir() {
        write!(out, "{:>columns$}", "-").expect(WRITES);
    } else if style.exact_size {
        write!(out, "{:>columns$}", entry.size).expect(WRITES);
    } else {
        write!(out, "{:>columns$}", rounded(entry.size)).expect(WRITES);
    }
}

fn rounded(size: u64) -> String {
    let scales = [(30, 'G'), (20, 'M'), (10, 'K')];
    let least = [1 << 30, 1 << 20, 10_000];
    match scales.iter().zip(least).find(|(_, least)| size >= *least) {
        Some(((bits, letter), _)) => format!("{}{letter}", (size + (1 << (bits - 1))) >> bits),
        None => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_sizes() {
        let sizes = [0, 9999, 10_000, 10_751, 10_752, (1 << 20) - 1, 1 << 20, 3 << 19, 1 << 30, 5 << 29];
        let shown = ["0", "9999", "10K", "10K", "11K", "1024K", "1M", "2M", "1G", "3G"];
        assert_eq!(sizes.map(rounded), shown.map(str::to_owned));
    }

    #[test]
    fn cuts_names() {
        assert_eq!(first(b"abc", 2, false), b"ab");
        assert_eq!(first("aéüb".as_bytes(), 3, true), "aéü".as_bytes());
    }
}
