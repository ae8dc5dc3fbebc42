//! `fastcgi_param`, `uwsgi_param`, `scgi_param`: what an application is told of a request, and the client's headers
//! as `HTTP_…` behind it.

use std::sync::Arc;

use bytes::Bytes;

use super::late::late_script;
use crate::cache::Caches;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::{HeaderId, Part, Request, Script};

/// One directive.
#[derive(Clone, Debug)]
pub struct Param {
    name: Bytes,
    value: Script,
    /// `if_not_empty`
    if_not_empty: bool,
}

/// All of a block, in their order; `None` where there is none.
pub type ParamList = Option<Arc<Vec<Param>>>;

/// Reads one directive.
///
/// # Errors
/// nginx's sentence about a third word that is not `if_not_empty`, or about a variable.
pub fn add_param(list: &mut ParamList, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if args.len() > 3 && args.value(3) != b"if_not_empty" {
        return Err(args.invalid_parameter(3));
    }
    let Some(value) = late_script(args, 2, ctx)? else { return Ok(()) };
    let param = Param { name: args.bytes(1), value, if_not_empty: args.len() > 3 };
    Arc::make_mut(list.get_or_insert_default()).push(param);
    Ok(())
}

/// How names and values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lengths first, of one byte or four.
    FastCgi,
    /// Each behind its length, two bytes, the low one first.
    Uwsgi,
    /// Each with a zero byte behind it.
    Scgi,
}

/// What is told of requests, every default resolved.
#[derive(Debug)]
pub struct Params {
    encoding: Encoding,
    pieces: Box<[Piece]>,
    /// The client's headers, too.
    headers: bool,
    /// Headers that are not taken from the client: lower case, `_` for `-`.
    named: Box<[Box<[u8]>]>,
    /// The same for answers that may be kept.
    cached: Option<Box<Params>>,
}

#[derive(Debug)]
enum Piece {
    /// Pairs that are the same for all requests.
    Encoded(Bytes),
    Pair(Param),
}

const HTTP: &[u8] = b"HTTP_";

/// What the client has kept, or wants only a part of, is our matter where answers may be kept: headers that an
/// application is told otherwise then, and the variables that they have.
const OURS: [(&str, &str); 6] = [
    ("HTTP_IF_MODIFIED_SINCE", "upstream_cache_last_modified"),
    ("HTTP_IF_UNMODIFIED_SINCE", ""),
    ("HTTP_IF_NONE_MATCH", "upstream_cache_etag"),
    ("HTTP_IF_MATCH", ""),
    ("HTTP_RANGE", ""),
    ("HTTP_IF_RANGE", ""),
];

/// The directives, and [`OURS`] behind them.
fn for_cache(list: &[Param], ctx: &mut Ctx<'_>) -> Option<Vec<Param>> {
    ctx.extensions.get::<Caches>()?;
    let mut all = list.to_vec();
    for (name, variable) in OURS {
        if all.iter().any(|param| param.name.eq_ignore_ascii_case(name.as_bytes())) {
            continue;
        }
        let value = match variable {
            "" => Script::constant(Bytes::new()),
            variable => Script::new(vec![Part::Variable(ctx.variable(variable.as_bytes(), Default::default()))]),
        };
        all.push(Param { name: Bytes::from_static(name.as_bytes()), value, if_not_empty: true });
    }
    Some(all)
}

impl Params {
    /// The directives of a block resolved; `headers` is `…_pass_request_headers`.
    pub fn new(list: &ParamList, encoding: Encoding, headers: bool, ctx: &mut Ctx<'_>) -> Self {
        let list = list.as_ref().map_or(&[][..], |list| &list[..]);
        let cached = for_cache(list, ctx).map(|list| Box::new(Self::of(&list, encoding, headers)));
        Self { cached, ..Self::of(list, encoding, headers) }
    }

    /// The same for an answer that may be kept.
    pub fn for_cache(&self) -> &Self {
        self.cached.as_deref().unwrap_or(self)
    }

    fn of(list: &[Param], encoding: Encoding, headers: bool) -> Self {
        let (mut pieces, mut named) = (Vec::new(), Vec::new());
        let mut encoded = Vec::new();
        for param in list {
            if let Some(header) = param.name.strip_prefix(HTTP).filter(|header| !header.is_empty()) {
                named.push(header.to_ascii_lowercase().into());
                if param.value.is_empty() {
                    continue;
                }
            }
            match param.value.as_constant() {
                Some(value) if value.is_empty() && param.if_not_empty => {}
                Some(value) => encoding.append_pair(&param.name, value, &mut encoded),
                None => {
                    push_encoded(&mut encoded, &mut pieces);
                    pieces.push(Piece::Pair(param.clone()));
                }
            }
        }
        push_encoded(&mut encoded, &mut pieces);
        Self { encoding, pieces: pieces.into(), headers, named: named.into(), cached: None }
    }

    /// Appends what a request's application is told.
    pub fn append(&self, r: &Request, out: &mut Vec<u8>) {
        let mut value = Vec::with_capacity(128);
        for piece in &self.pieces {
            match piece {
                Piece::Encoded(bytes) => out.extend_from_slice(bytes),
                Piece::Pair(param) => {
                    value.clear();
                    param.value.append(r, &mut value);
                    if !(value.is_empty() && param.if_not_empty) {
                        self.encoding.append_pair(&param.name, &value, out);
                    }
                }
            }
        }
        if self.headers {
            self.append_headers(r, &mut value, out);
        }
    }

    /// Headers of one name are joined where the first of them stands.
    fn append_headers(&self, r: &Request, value: &mut Vec<u8>, out: &mut Vec<u8>) {
        let headers = r.headers.borrow();
        let all: Vec<_> = headers.iter().collect();
        let mut variable = Vec::with_capacity(32);
        for (at, (id, name, first)) in all.iter().enumerate() {
            let same = |other: &&(HeaderId, &[u8], &[u8])| other.1.eq_ignore_ascii_case(name);
            if all[..at].iter().any(|other| same(&other)) {
                continue;
            }
            variable.clear();
            variable.extend_from_slice(HTTP);
            variable.extend(name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
            if self.named.iter().any(|named| named.eq_ignore_ascii_case(&variable[HTTP.len()..])) {
                continue;
            }
            value.clear();
            value.extend_from_slice(first);
            for (.., more) in all[at + 1..].iter().filter(same) {
                value.extend_from_slice(if *id == HeaderId::Cookie { b"; " } else { b", " });
                value.extend_from_slice(more);
            }
            self.encoding.append_pair(&variable, value, out);
        }
    }
}

fn push_encoded(encoded: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !encoded.is_empty() {
        pieces.push(Piece::Encoded(std::mem::take(encoded).into()));
    }
}

impl Encoding {
    /// Appends one name and its value.
    fn append_pair(self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoding::FastCgi => {
                for length in [name.len(), value.len()] {
                    match u8::try_from(length) {
                        Ok(length @ 0..=127) => out.push(length),
                        _ => out.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
                    }
                }
                out.extend_from_slice(name);
                out.extend_from_slice(value);
            }
            Encoding::Uwsgi => {
                for text in [name, value] {
                    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
                    out.extend_from_slice(text);
                }
            }
            Encoding::Scgi => {
                for text in [name, value] {
                    out.extend_from_slice(text);
                    out.push(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(encoding: Encoding, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encoding.append_pair(name, value, &mut out);
        out
    }

    #[test]
    fn writes_pairs() {
        assert_eq!(pair(Encoding::FastCgi, b"A", b"bc"), b"\x01\x02Abc");
        let long = [b'x'; 300];
        assert_eq!(&pair(Encoding::FastCgi, b"A", &long)[..6], b"\x01\x80\0\x01\x2cA");
        assert_eq!(pair(Encoding::Uwsgi, b"A", b"bc"), b"\x01\0A\x02\0bc");
        assert_eq!(pair(Encoding::Scgi, b"A", b"bc"), b"A\0bc\0");
    }

    #[test]
    fn joins_what_is_constant_and_leaves_out_what_is_empty() {
        let param = |name: &'static str, value: &'static str, if_not_empty| Param {
            name: Bytes::from_static(name.as_bytes()),
            value: Script::constant(value),
            if_not_empty,
        };
        let list =
            vec![param("A", "b", false), param("C", "", false), param("D", "", true), param("HTTP_X", "", false)];
        let params = Params::of(&list, Encoding::Scgi, true);
        assert!(matches!(&*params.pieces, [Piece::Encoded(bytes)] if &bytes[..] == b"A\0b\0C\0\0"), "{params:?}");
        assert_eq!(params.named, [b"x".to_vec().into_boxed_slice()].into());
    }
}
