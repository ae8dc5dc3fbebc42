//! `grpc_set_header`, and the headers that are set when nobody says otherwise.

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::{HeaderId, Part, Request, Script, VariableDef};
use crate::modules::upstream::SetHeader;
use crate::upstream::{Names, append_field};

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    SetHeader::add(&mut c.set_headers, args, ctx)
}

/// `trailers`, where the client says in `TE` that it takes them.
pub(super) const TRAILERS: VariableDef = VariableDef::new("grpc_internal_trailers", |r, out| {
    let wants = |value: &[u8]| value.windows(8).any(|part| part.eq_ignore_ascii_case(b"trailers"));
    let wanted = r.header(HeaderId::Te).is_some_and(|value| wants(&value));
    if wanted {
        out.extend_from_slice(b"trailers");
    }
    wanted
});

/// What is set in place of what the client sent.
pub(super) struct Headers {
    set: Vec<SetHeader>,
    /// Names that are not taken from the client.
    names: Names,
    /// `Host` is set by hand, and takes the place of `:authority`.
    pub(super) host_is_set: bool,
}

/// Names that nginx sets or takes away itself, and the variables that they have.
const DEFAULTS: &[(&str, &str)] = &[
    ("Content-Length", "content_length"),
    ("TE", "grpc_internal_trailers"),
    ("Host", ""),
    ("Connection", ""),
    ("Transfer-Encoding", ""),
    ("Keep-Alive", ""),
    ("Expect", ""),
    ("Upgrade", ""),
];

impl Headers {
    pub(super) fn new(set: &[SetHeader], ctx: &mut Ctx<'_>) -> Self {
        let is_set = |name: &str| set.iter().any(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
        let host_is_set = is_set("Host");
        let mut all: Vec<SetHeader> = set.to_vec();
        for (name, variable) in DEFAULTS.iter().filter(|(name, _)| !is_set(name)) {
            let value = match *variable {
                "" => Script::constant(Bytes::new()),
                variable => Script::new(vec![Part::Variable(ctx.variable(variable.as_bytes(), Default::default()))]),
            };
            all.push(SetHeader { name: Bytes::from_static(name.as_bytes()), value });
        }
        let mut names = Names::default();
        all.iter().for_each(|header| names.insert(&header.name));
        all.retain(|header| !header.value.is_empty());
        Self { set: all, names, host_is_set }
    }

    /// Appends the fields for a request.
    pub(super) fn append(&self, r: &Request, out: &mut Vec<u8>) {
        for header in &self.set {
            let value = header.value.eval(r);
            if !value.is_empty() {
                append_field(&header.name, &value, out);
            }
        }
        for (id, name, value) in r.headers.borrow().iter() {
            if !self.names.has(id, name) {
                append_field(name, value, out);
            }
        }
    }
}
