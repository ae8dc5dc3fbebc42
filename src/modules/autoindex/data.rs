//! A directory as XML, JSON and JSONP.

use std::io::Write;

use super::folder::Entry;
use crate::http::date::{self, Utc};
use crate::http::escape::{append_html, append_json};

const WRITES: &str = "a Vec takes every write";

fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        _ => "other",
    }
}

pub(super) fn xml(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"<?xml version=\"1.0\"?>\r\n<list>\r\n".to_vec();
    for entry in entries {
        let (kind, time) = (kind(entry), Utc::from_unix(entry.mtime));
        write!(
            out,
            "<{kind} mtime=\"{:4}-{:02}-{:02}T{:02}:{:02}:{:02}Z\"",
            time.year, time.month, time.day, time.hour, time.minute, time.second
        )
        .expect(WRITES);
        if entry.kind.is_file() {
            write!(out, " size=\"{}\"", entry.size).expect(WRITES);
        }
        out.push(b'>');
        append_html(&entry.name, &mut out);
        write!(out, "</{kind}>\r\n").expect(WRITES);
    }
    out.extend_from_slice(b"</list>\r\n");
    out
}

pub(super) fn json(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    append_list(entries, &mut out);
    out
}

pub(super) fn jsonp(entries: &[Entry], callback: &[u8]) -> Vec<u8> {
    let mut out = [b"/* callback */\r\n", callback, b"("].concat();
    append_list(entries, &mut out);
    out.extend_from_slice(b");");
    out
}

fn append_list(entries: &[Entry], out: &mut Vec<u8>) {
    out.push(b'[');
    for (number, entry) in entries.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        write!(out, "{comma}\r\n{{ \"name\":\"").expect(WRITES);
        append_json(&entry.name, out);
        write!(out, "\", \"type\":\"{}\", \"mtime\":\"", kind(entry)).expect(WRITES);
        out.extend_from_slice(&date::format_http(entry.mtime));
        out.push(b'"');
        if entry.kind.is_file() {
            write!(out, ", \"size\":{}", entry.size).expect(WRITES);
        }
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\r\n]");
}
