//! `proxy_set_header`, and the headers that are set when nobody says otherwise.

use bytes::Bytes;

use super::Conf;
use super::pass::Vars;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::{Part, Request, Script};
use crate::modules::upstream::SetHeader;
use crate::upstream::Names;

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    SetHeader::add(&mut c.set_headers, args, ctx)
}

/// What is set in place of what the client sent.
pub(super) struct Headers {
    pieces: Box<[Piece]>,
    /// Names that are not taken from the client.
    names: Names,
}

enum Piece {
    /// Whole lines.
    Lines(Bytes),
    /// A name with `: `, and its value; without a value there is no line.
    Line(Bytes, Script),
    /// `Content-Length`, where the body's length is known.
    Length,
    /// `Transfer-Encoding`, where it is not.
    Chunked,
}

/// Names that nginx sets or takes away itself, unless `proxy_set_header` does, in its order.
const DEFAULTS: &[&str] =
    &["Host", "Connection", "Content-Length", "Transfer-Encoding", "TE", "Keep-Alive", "Expect", "Upgrade"];

/// The same where answers may be kept.
const CACHE_DEFAULTS: &[&str] = &[
    "Host",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "TE",
    "Keep-Alive",
    "Expect",
    "Upgrade",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-None-Match",
    "If-Match",
    "Range",
    "If-Range",
];

/// How a request's body is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// Not at all.
    None,
    Known(u64),
    Chunked,
}

impl Headers {
    pub(super) fn new(set: &[SetHeader], vars: Option<&Vars>, ctx: &mut Ctx<'_>) -> Self {
        Self::with_defaults(DEFAULTS, (set, vars), ctx)
    }

    /// For answers that may be kept: what the client has kept, or wants only a part of, is our matter then.
    pub(super) fn for_cache(set: &[SetHeader], vars: Option<&Vars>, ctx: &mut Ctx<'_>) -> Self {
        Self::with_defaults(CACHE_DEFAULTS, (set, vars), ctx)
    }

    fn with_defaults(defaults: &[&str], (set, vars): (&[SetHeader], Option<&Vars>), ctx: &mut Ctx<'_>) -> Self {
        let mut pieces = Vec::new();
        let mut names = Names::default();
        for header in set {
            names.insert(&header.name);
            pieces.push(Piece::Line([&header.name[..], b": "].concat().into(), header.value.clone()));
        }
        for name in defaults {
            names.insert(name.as_bytes());
            if set.iter().any(|header| header.name.eq_ignore_ascii_case(name.as_bytes())) {
                continue;
            }
            pieces.extend(match *name {
                "Host" => Some(Piece::Line(Bytes::from_static(b"Host: "), proxy_host(vars, ctx))),
                "Connection" => Some(Piece::Lines(Bytes::from_static(b"Connection: close\r\n"))),
                "Content-Length" => Some(Piece::Length),
                "Transfer-Encoding" => Some(Piece::Chunked),
                "If-Modified-Since" => Some(variable(b"If-Modified-Since: ", b"upstream_cache_last_modified", ctx)),
                "If-None-Match" => Some(variable(b"If-None-Match: ", b"upstream_cache_etag", ctx)),
                _ => None,
            });
        }
        Self { pieces: join(pieces), names }
    }

    /// Whether a client's header is not passed on.
    pub(super) fn hides(&self, id: crate::http::HeaderId, name: &[u8]) -> bool {
        self.names.has(id, name)
    }

    /// Appends the lines for a request.
    pub(super) fn append(&self, r: &Request, body: BodyLength, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match (piece, body) {
                (Piece::Lines(lines), _) => out.extend_from_slice(lines),
                (Piece::Line(name, value), _) => append_line(r, name, value, out),
                (Piece::Length, BodyLength::Known(length)) => {
                    out.extend_from_slice(b"Content-Length: ");
                    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                (Piece::Chunked, BodyLength::Chunked) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
                (Piece::Length | Piece::Chunked, _) => {}
            }
        }
    }
}

fn append_line(r: &Request, name: &[u8], value: &Script, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name);
    let value_start = out.len();
    value.append(r, out);
    if out.len() == value_start {
        out.truncate(start);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

fn variable(name: &'static [u8], variable: &[u8], ctx: &mut Ctx<'_>) -> Piece {
    let value = Script::new(vec![Part::Variable(ctx.variable(variable, Default::default()))]);
    Piece::Line(Bytes::from_static(name), value)
}

/// `$proxy_host`, settled where it is the same for all requests.
fn proxy_host(vars: Option<&Vars>, ctx: &mut Ctx<'_>) -> Script {
    match vars {
        Some(vars) => Script::constant(vars.host.clone()),
        None => Script::new(vec![Part::Variable(ctx.variable(b"proxy_host", Default::default()))]),
    }
}

/// Lines that are the same for all requests become one piece.
fn join(pieces: Vec<Piece>) -> Box<[Piece]> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        let lines = match &piece {
            Piece::Lines(lines) => lines.to_vec(),
            Piece::Line(name, value) => match value.as_constant() {
                Some(value) if value.is_empty() => continue,
                Some(value) => [name, &value[..], b"\r\n"].concat(),
                None => {
                    joined.push(piece);
                    continue;
                }
            },
            Piece::Length | Piece::Chunked => {
                joined.push(piece);
                continue;
            }
        };
        match joined.last_mut() {
            Some(Piece::Lines(before)) => *before = [&before[..], &lines].concat().into(),
            _ => joined.push(Piece::Lines(lines.into())),
        }
    }
    joined.into()
}
