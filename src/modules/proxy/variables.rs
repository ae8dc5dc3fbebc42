//! `$proxy_host`, `$proxy_port`, `$proxy_add_x_forwarded_for`, and nginx's own helpers.

use super::handler::EvaluatedVars;
use super::pass::Vars;
use crate::http::headers::parse_length;
use crate::http::{HeaderId, Request, VariableDef};
use crate::upstream::Passage;

pub(super) const VARIABLES: &[VariableDef] = &[
    VariableDef::new("proxy_host", |r, out| with_vars(r, |vars| out.extend_from_slice(&vars.host))).changeable(),
    VariableDef::new("proxy_port", |r, out| with_vars(r, |vars| out.extend_from_slice(&vars.port))).changeable(),
    VariableDef::new("proxy_add_x_forwarded_for", add_x_forwarded_for).cached(),
    VariableDef::new("proxy_internal_body_length", |r, out| {
        let said = || r.header(HeaderId::ContentLength).and_then(|value| parse_length(&value));
        let given_up = r.body.is_given_up().then_some(0);
        let Some(length) = given_up.or_else(said).or_else(|| stored(r)) else { return false };
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        true
    }),
    VariableDef::new("proxy_internal_chunked", |r, out| {
        let streams = r.body.exists() && r.body.declared_length().is_none() && stored(r).is_none();
        if streams {
            out.extend_from_slice(b"chunked");
        }
        streams
    }),
];

fn stored(r: &Request) -> Option<u64> {
    r.body.stored().filter(|_| r.body.exists()).map(|stored| stored.length())
}

/// What the URL of the request's `proxy_pass` says, once the request goes there.
fn with_vars(r: &Request, use_vars: impl FnOnce(&Vars)) -> bool {
    if let Some(evaluated) = r.find_context::<EvaluatedVars>() {
        use_vars(&evaluated.0.borrow());
        return true;
    }
    match r.location().extensions.get::<Vars>().filter(|_| Passage::of(r).is_some()) {
        Some(vars) => {
            use_vars(vars);
            true
        }
        None => false,
    }
}

fn add_x_forwarded_for(r: &Request, out: &mut Vec<u8>) -> bool {
    for value in r.headers.borrow().get_all(HeaderId::XForwardedFor) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(&r.connection.address.borrow());
    true
}
