//! `log_format`: compiled once, appended to a line for each request.

use bytes::Bytes;

use crate::conf::{Args, Ctx};
use crate::diag::{Diagnostic, Span};
use crate::http::{GetFn, Request, VarIndex};
use crate::modules::http_core;

/// A compiled format.
pub(super) struct Format {
    parts: Box<[Part]>,
    escape: Escape,
}

enum Part {
    Literal(Bytes),
    /// What nginx knows at the end of a request without looking at variables; never escaped.
    Direct(GetFn),
    Variable(VarIndex),
}

/// `escape=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Default,
    Json,
    None,
}

/// The format that nginx has built in; every variable in it is nginx's own.
pub(super) fn built_in(ctx: &mut Ctx<'_>, text: &[u8]) -> Format {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(found) = next_part(&mut rest) {
        parts.extend(found.ok().map(|written| part(ctx, written, Span::default())));
    }
    Format { parts: parts.into(), escape: Escape::Default }
}

pub(super) fn compile(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Format, Diagnostic> {
    let mut parts = Vec::new();
    let mut first = 2;
    let mut escape = Escape::Default;
    if let Some(name) = args.value(2).strip_prefix(b"escape=") {
        escape = escape_of(name).ok_or_else(|| {
            let message = format!("unknown log format escaping \"{}\"", String::from_utf8_lossy(name));
            args.error(2, "invalid-value", message)
        })?;
        first = 3;
    }
    for index in first..args.len() {
        let mut rest = args.value(index);
        while let Some(found) = next_part(&mut rest) {
            let written = found.map_err(|message| args.error(index, "invalid-variable", message))?;
            parts.push(part(ctx, written, args.word(index).span));
        }
    }
    Ok(Format { parts: parts.into(), escape })
}

fn escape_of(name: &[u8]) -> Option<Escape> {
    match name {
        b"default" => Some(Escape::Default),
        b"json" => Some(Escape::Json),
        b"none" => Some(Escape::None),
        _ => None,
    }
}

/// A piece of a format as written.
enum Written<'t> {
    Literal(&'t [u8]),
    Variable(&'t [u8]),
}

/// Cuts the next piece off; an error is nginx's sentence.
fn next_part<'t>(rest: &mut &'t [u8]) -> Option<Result<Written<'t>, String>> {
    let text = *rest;
    if text.is_empty() {
        return None;
    }
    let Some(behind) = text.strip_prefix(b"$") else {
        let (literal, behind) = text.split_at(memchr::memchr(b'$', text).unwrap_or(text.len()));
        *rest = behind;
        return Some(Ok(Written::Literal(literal)));
    };
    let invalid = || Some(Err(format!("invalid parameter \"{}\"", String::from_utf8_lossy(text))));
    let (bracket, behind) = match behind {
        [] | [b'{'] => return invalid(),
        [b'{', behind @ ..] => (true, behind),
        _ => (false, behind),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = behind.iter().position(|byte| !is_name(byte)).unwrap_or(behind.len());
    let (name, mut behind) = behind.split_at(end);
    if bracket {
        let Some(closed) = behind.strip_prefix(b"}") else {
            let name = String::from_utf8_lossy(name);
            return Some(Err(format!("the closing bracket in \"{name}\" variable is missing")));
        };
        behind = closed;
    }
    if name.is_empty() {
        return invalid();
    }
    *rest = behind;
    Some(Ok(Written::Variable(name)))
}

fn part(ctx: &mut Ctx<'_>, written: Written<'_>, at: Span) -> Part {
    match written {
        Written::Literal(text) => Part::Literal(Bytes::copy_from_slice(text)),
        Written::Variable(name) => match http_core::log_value(name) {
            Some(get) => Part::Direct(get),
            None => Part::Variable(ctx.variable(name, at)),
        },
    }
}

impl Format {
    /// Appends the line for a request, without its end.
    pub(super) fn append(&self, r: &Request, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Direct(get) => {
                    get(r, out);
                }
                Part::Variable(index) => self.append_variable(r, *index, out),
            }
        }
    }

    fn append_variable(&self, r: &Request, index: VarIndex, out: &mut Vec<u8>) {
        let start = out.len();
        let found = r.append_last(index, out);
        if !found {
            out.truncate(start);
            if self.escape == Escape::Default {
                out.push(b'-');
            }
            return;
        }
        match self.escape {
            Escape::Default => escape_from(out, start, needs_hex, put_hex),
            Escape::Json => escape_from(out, start, needs_json, put_json),
            Escape::None => {}
        }
    }
}

/// Escapes what stands in `out` from `start` on; most values need nothing.
fn escape_from(out: &mut Vec<u8>, start: usize, needs: fn(u8) -> bool, put: fn(u8, &mut Vec<u8>)) {
    let Some(first) = out[start..].iter().position(|byte| needs(*byte)) else { return };
    let tail = out.split_off(start + first);
    for byte in tail {
        if needs(byte) {
            put(byte, out);
        } else {
            out.push(byte);
        }
    }
}

fn needs_hex(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')
}

fn put_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
}

fn needs_json(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
}

fn put_json(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        8 => out.extend_from_slice(b"\\b"),
        12 => out.extend_from_slice(b"\\f"),
        _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
    }
}

fn hex(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_nginx_does() {
        let escaped = |text: &[u8], needs: fn(u8) -> bool, put: fn(u8, &mut Vec<u8>)| {
            let mut out = b"\"".to_vec();
            out.extend_from_slice(text);
            escape_from(&mut out, 1, needs, put);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped(b"a\"\\\n\x7f\xc3~ ", needs_hex, put_hex), "\"a\\x22\\x5C\\x0A\\x7F\\xC3~ ");
        assert_eq!(
            escaped(b"a\"\\\n\r\t\x08\x0c\x01\x1f\x7f", needs_json, put_json),
            "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001F\x7f"
        );
    }

    #[test]
    fn cuts_formats_into_parts() {
        let parts = |text: &str| {
            let mut rest = text.as_bytes();
            let mut parts = Vec::new();
            while let Some(part) = next_part(&mut rest) {
                let show = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                match part {
                    Ok(Written::Literal(text)) => parts.push(show(text)),
                    Ok(Written::Variable(name)) => parts.push(format!("<{}>", show(name))),
                    Err(message) => return Err(message),
                }
            }
            Ok(parts.concat())
        };
        assert_eq!(parts("a $b-${c}d$e_1").as_deref(), Ok("a <b>-<c>d<e_1>"));
        assert_eq!(parts("x$"), Err("invalid parameter \"$\"".into()));
        assert_eq!(parts("x$- y"), Err("invalid parameter \"$- y\"".into()));
        assert_eq!(parts("x${a"), Err("the closing bracket in \"a\" variable is missing".into()));
    }
}
