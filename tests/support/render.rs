//! Reads HTTP/1 messages off a wire and writes them as snapshot text: heads to the byte, bodies decoded with a mark.

use std::io::Read;

use super::normal;
use super::text;
use super::wire::{Stop, Wire, find};

/// Which framing rules of RFC 9112 section 6.3 hold for the message that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    /// A response of which only the head comes.
    Head,
}

struct Body {
    bytes: Vec<u8>,
    marks: Vec<String>,
    stop: Option<Stop>,
}

/// Reads one message and gives its text, and why reading stopped if it did.
pub fn message(wire: &mut Wire, kind: Kind) -> (String, Option<Stop>) {
    let (head, stop) = take_head(wire);
    if stop.is_some() {
        return (text::body(&head), stop);
    }
    let body = read_body(wire, &head, kind);
    let mut out = head_text(&head);
    out.push_str(&body_text(&head, &body));
    (out, body.stop)
}

/// The line that says how a connection stands after a stop.
pub fn stop_text(stop: Stop) -> &'static str {
    match stop {
        Stop::Closed => "~ closed\n",
        Stop::Silent => "~ nothing more, still open\n",
    }
}

/// One request as it came, for the echo: the head, then the body or a note of a long one.
pub fn echo(wire: &mut Wire) -> (Vec<u8>, Option<Stop>) {
    let (mut out, stop) = take_head(wire);
    if stop.is_some() {
        return (out, stop);
    }
    let body = read_body(wire, &out, Kind::Request);
    for mark in &body.marks {
        out.extend_from_slice(format!("[{mark}]\r\n").as_bytes());
    }
    if body.bytes.len() > text::LONG {
        let (length, crc) = (body.bytes.len(), text::crc32(&body.bytes));
        out.extend_from_slice(format!("[{length} bytes, crc32 {crc:08x}]").as_bytes());
    } else {
        out.extend_from_slice(&body.bytes);
    }
    (out, body.stop)
}

fn take_head(wire: &mut Wire) -> (Vec<u8>, Option<Stop>) {
    loop {
        let ends = [b"\n\r\n".as_slice(), b"\n\n"];
        let end = ends.iter().filter_map(|e| Some(find(&wire.buffer, e)? + e.len())).min();
        if let Some(end) = end {
            return wire.take(end);
        }
        if let Err(stop) = wire.fill() {
            return (std::mem::take(&mut wire.buffer), Some(stop));
        }
    }
}

/// The first value of a header, trimmed.
pub fn header(head: &[u8], name: &str) -> Option<String> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn read_body(wire: &mut Wire, head: &[u8], kind: Kind) -> Body {
    let mut body = Body { bytes: Vec::new(), marks: Vec::new(), stop: None };
    if kind == Kind::Head || (kind == Kind::Response && (wire.sent_head || bodiless(head))) {
        return body;
    }
    if header(head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        read_chunks(wire, &mut body);
    } else if let Some(length) = header(head, "content-length").and_then(|v| v.parse().ok()) {
        (body.bytes, body.stop) = wire.take(length);
        if body.stop.is_some() {
            let came = body.bytes.len();
            body.marks.push(format!("{came} of {length} bytes"));
        }
    } else if kind == Kind::Response {
        let (bytes, stop) = wire.take_rest();
        (body.bytes, body.stop) = (bytes, Some(stop));
    }
    body
}

/// 1xx, 204 and 304 have no body.
fn bodiless(head: &[u8]) -> bool {
    let status = head.get(9..12).unwrap_or_default();
    status.starts_with(b"1") || status == b"204" || status == b"304"
}

/// Chunk sizes are chance, so only what they carry is kept; a chunked body that is wrong or cut is said to be.
fn read_chunks(wire: &mut Wire, body: &mut Body) {
    loop {
        let (line, stop) = wire.take_until(b"\r\n");
        let digits = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(digits.trim_end_matches("\r\n"), 16);
        let (Ok(size), None) = (size, stop) else {
            let at = text::escape_line(&line);
            body.marks.push(format!("chunked, cut at \"{at}\""));
            body.stop = stop.or(Some(Stop::Silent));
            return;
        };
        if size == 0 {
            return read_trailers(wire, body);
        }
        let (data, stop) = wire.take(size + 2);
        body.bytes.extend_from_slice(data.strip_suffix(b"\r\n").unwrap_or(&data));
        if stop.is_some() {
            body.marks.push("chunked, cut in a chunk".to_owned());
            body.stop = stop;
            return;
        }
    }
}

fn read_trailers(wire: &mut Wire, body: &mut Body) {
    body.marks.push("chunked".to_owned());
    loop {
        let (line, stop) = wire.take_until(b"\r\n");
        if stop.is_some() || line == b"\r\n" {
            body.stop = stop;
            return;
        }
        let line = text::escape_line(line.strip_suffix(b"\r\n").unwrap_or(&line));
        body.marks.push(format!("trailer {line}"));
    }
}

fn head_text(head: &[u8]) -> String {
    let date = header(head, "date");
    let mut out = String::new();
    for line in head.split_inclusive(|b| *b == b'\n') {
        let text = match line.strip_suffix(b"\r\n") {
            Some(line) => text::escape_line(line),
            None => text::escape_line(line),
        };
        out.push_str(&fixed_dates(&text, date.as_deref()));
        out.push('\n');
    }
    out
}

fn fixed_dates(line: &str, date: Option<&str>) -> String {
    match line.split_once(": ") {
        Some(("Date", value)) => format!("Date: {}", normal::date(value)),
        Some(("Expires", value)) => format!("Expires: {}", normal::expires(value, date)),
        _ => line.to_owned(),
    }
}

fn body_text(head: &[u8], body: &Body) -> String {
    let mut out = String::new();
    for mark in &body.marks {
        out.push_str(&format!("~ {mark}\n"));
    }
    let gzip = header(head, "content-encoding").is_some_and(|v| v == "gzip");
    match gunzip(&body.bytes) {
        Some(plain) if gzip => {
            out.push_str("~ gzip\n");
            out.push_str(&text::body(&plain));
        }
        _ => out.push_str(&text::body(&body.bytes)),
    }
    out
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes);
    decoder.read_to_end(&mut plain).ok()?;
    Some(plain)
}
