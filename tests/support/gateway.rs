//! Requests in the binary protocols of applications (FastCGI, uwsgi, SCGI) as text, and FastCGI's answers.

use super::text;
use super::wire::{Stop, Wire};

/// What a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    Http,
    FastCgi,
    Uwsgi,
    Scgi,
}

impl Dialect {
    /// The word of a `backend` section.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "fastcgi" => Dialect::FastCgi,
            "uwsgi" => Dialect::Uwsgi,
            "scgi" => Dialect::Scgi,
            _ => return None,
        })
    }

    /// Bytes of an answer as they go over the wire.
    pub fn answer(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Dialect::FastCgi => bytes.chunks(0xfff8).flat_map(|part| record(STDOUT, part)).collect(),
            _ => bytes.to_vec(),
        }
    }

    /// The end of an answer.
    pub fn end(self) -> Vec<u8> {
        match self {
            Dialect::FastCgi => [record(STDOUT, b""), record(END_REQUEST, &[0; 8])].concat(),
            _ => Vec::new(),
        }
    }

    /// Something for the error log.
    pub fn stderr(self, bytes: &[u8]) -> Vec<u8> {
        record(STDERR, bytes)
    }
}

const END_REQUEST: u8 = 3;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// A FastCGI record, padded as servers do.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a record holds less than 64 kB");
    let padding = (8 - length % 8) % 8;
    let [high, low] = length.to_be_bytes();
    let mut out = vec![1, kind, 0, 1, high, low, padding as u8, 0];
    out.extend_from_slice(content);
    out.resize(out.len() + usize::from(padding), 0);
    out
}

/// Reads one request: a line about the protocol, a line for each parameter in their order, an empty line, the body.
pub fn request(wire: &mut Wire, dialect: Dialect) -> (String, Option<Stop>) {
    let mut out = String::new();
    let read = match dialect {
        Dialect::FastCgi => read_fastcgi(wire, &mut out),
        Dialect::Uwsgi => read_uwsgi(wire, &mut out),
        Dialect::Scgi => read_scgi(wire, &mut out),
        Dialect::Http => unreachable!("HTTP has a reader of its own"),
    };
    (out, read.err())
}

fn take(wire: &mut Wire, count: usize, out: &mut String) -> Result<Vec<u8>, Stop> {
    match wire.take(count) {
        (bytes, None) => Ok(bytes),
        (bytes, Some(stop)) => {
            out.push_str(&text::body(&bytes));
            Err(stop)
        }
    }
}

fn read_fastcgi(wire: &mut Wire, out: &mut String) -> Result<(), Stop> {
    let (mut params, mut body) = (Vec::new(), Vec::new());
    let mut params_ended = false;
    loop {
        let head = take(wire, 8, out).inspect_err(|_| out.push_str(&text::body(&body)))?;
        let [1, kind, 0, 1, high, low, padding, 0] = head[..] else {
            out.push_str(&format!("~ no record: {head:?}\n"));
            return Err(Stop::Silent);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = take(wire, length, out)?;
        take(wire, usize::from(padding), out)?;
        if (length + usize::from(padding)) % 8 != 0 {
            out.push_str(&format!("~ {length} bytes padded with {padding}\n"));
        }
        match kind {
            1 => out.push_str(&format!("~ fastcgi role {} flags {}\n", content[1], content[2])),
            4 if length == 0 && !params_ended => {
                params_ended = true;
                params_text(fastcgi_params(&params), out);
            }
            4 => params.extend(content),
            STDIN if length == 0 => {
                out.push_str(&text::body(&body));
                return Ok(());
            }
            STDIN => body.extend(content),
            _ => out.push_str(&format!("~ record {kind}\n")),
        }
    }
}

fn fastcgi_params(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut at, mut out) = (0, Vec::new());
    let length = |at: &mut usize| {
        let first = bytes[*at];
        let size = if first < 128 { 1 } else { 4 };
        let value = bytes[*at..*at + size].iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        *at += size;
        if size == 4 { value & 0x7fff_ffff } else { value }
    };
    while at < bytes.len() {
        let (name, value) = (length(&mut at), length(&mut at));
        out.push((bytes[at..at + name].to_vec(), bytes[at + name..at + name + value].to_vec()));
        at += name + value;
    }
    out
}

fn params_text(params: Vec<(Vec<u8>, Vec<u8>)>, out: &mut String) {
    for (name, value) in params {
        out.push_str(&format!("{}={}\n", text::escape_line(&name), text::escape_line(&value)));
    }
    out.push('\n');
}

fn read_uwsgi(wire: &mut Wire, out: &mut String) -> Result<(), Stop> {
    let head = take(wire, 4, out)?;
    let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
    out.push_str(&format!("~ uwsgi modifiers {} {}\n", head[0], head[3]));
    let bytes = take(wire, length, out)?;
    let (mut rest, mut params) = (&bytes[..], Vec::new());
    let mut text = || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (text, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = behind;
        Some(text.to_vec())
    };
    while let (Some(name), Some(value)) = (text(), text()) {
        params.push((name, value));
    }
    finish(wire, params, out)
}

fn read_scgi(wire: &mut Wire, out: &mut String) -> Result<(), Stop> {
    let (digits, stop) = wire.take_until(b":");
    let length = std::str::from_utf8(&digits).ok().and_then(|text| text.trim_end_matches(':').parse().ok());
    let (Some(length), None) = (length, stop) else {
        out.push_str(&text::body(&digits));
        return Err(stop.unwrap_or(Stop::Silent));
    };
    out.push_str("~ scgi\n");
    let bytes = take(wire, length, out)?;
    let comma = take(wire, 1, out)?;
    if comma != b"," {
        out.push_str("~ no comma\n");
    }
    let mut texts = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut params = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        params.push((name, value));
    }
    finish(wire, params, out)
}

/// Notes the parameters, and the body that `CONTENT_LENGTH` tells of.
fn finish(wire: &mut Wire, params: Vec<(Vec<u8>, Vec<u8>)>, out: &mut String) -> Result<(), Stop> {
    let length = params.iter().find(|(name, _)| name == b"CONTENT_LENGTH");
    let length = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
    params_text(params, out);
    let body = take(wire, length, out)?;
    out.push_str(&text::body(&body));
    Ok(())
}
