//! The request as it goes to the upstream: line, headers, body.

use super::handler::Proxy;
use super::headers::{BodyLength, Headers};
use super::pass::{Target, Vars};
use crate::http::escape::append_escaped;
use crate::http::headers::parse_length;
use crate::http::{Escape, HeaderId, Request};
use crate::log::Level;
use crate::upstream::Passage;

/// What came of building a request.
pub(super) struct Built {
    /// The upstream is asked for the head alone.
    pub(super) asks_head: bool,
}

/// Writes the request into the passage.
///
/// # Errors
/// The status for a request that has no URI.
pub(super) fn build(proxy: &Proxy, vars: &Vars, r: &Request, passage: &Passage, streamed: bool) -> Result<Built, u16> {
    let body = proxy.body.as_ref().map(|script| script.eval(r));
    let length = match &body {
        Some(body) => BodyLength::Known(body.len() as u64),
        None => body_length(r, streamed),
    };
    let mut out = passage.take_request();
    let caching = proxy.cached_headers.as_ref().zip(passage.caching());
    if caching.as_ref().is_some_and(|(_, caching)| caching.asks_get()) {
        out.extend_from_slice(b"GET");
    } else {
        append_method(proxy, r, &mut out);
    }
    let asks_head = out.eq_ignore_ascii_case(b"HEAD");
    out.push(b' ');
    let uri_start = out.len();
    append_uri(proxy, r, vars, &mut out);
    let uri_end = out.len();
    if uri_start == uri_end {
        r.log(Level::Error, "zero length URI to proxy");
        return Err(500);
    }
    out.extend_from_slice(if proxy.http_11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
    let headers = caching.filter(|(_, caching)| caching.is_cacheable()).map_or(&proxy.headers, |(headers, _)| headers);
    headers.append(r, length, &mut out);
    if proxy.pass_request_headers {
        append_client_headers(headers, r, &mut out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_deref().unwrap_or_default());
    passage.set_request(out, uri_start..uri_end);
    Ok(Built { asks_head })
}

/// The URL that a request goes to; `None` where variables make one that makes no sense.
pub(super) fn destination(proxy: &Proxy, r: &Request) -> Option<Vec<u8>> {
    let vars = match &proxy.target {
        Target::Fixed { vars, .. } => vars.clone(),
        Target::Evaluated(script) => Target::evaluate(script, r).ok()?.1,
    };
    let mut url = vars.key_start.to_vec();
    append_uri(proxy, r, &vars, &mut url);
    Some(url)
}

/// How the client's body is announced. A chunked one has a length once it was read.
fn body_length(r: &Request, streamed: bool) -> BodyLength {
    let headers = r.headers.borrow();
    // The answer has been sent without it, or is the page that says that it is too large.
    let unread = r.post_action.get() && r.body.exists() && r.body.stored().is_none();
    if unread || r.body.is_given_up() {
        return BodyLength::Known(0);
    }
    if let Some(length) = headers.get(HeaderId::ContentLength).and_then(parse_length) {
        return BodyLength::Known(length);
    }
    if streamed {
        return BodyLength::Chunked;
    }
    match r.body.stored().filter(|_| r.body.exists()) {
        Some(stored) => BodyLength::Known(stored.length()),
        None => BodyLength::None,
    }
}

fn append_method(proxy: &Proxy, r: &Request, out: &mut Vec<u8>) {
    match &proxy.method {
        Some(script) => script.append(r, out),
        None if r.method.get() == r.head.method => out.extend_from_slice(r.head.method_name()),
        None => out.extend_from_slice(r.method.get().name().as_bytes()),
    }
}

/// The key that nginx makes where there is no `proxy_cache_key`: scheme, host and URI as the upstream gets it.
pub(super) fn append_key(proxy: &Proxy, r: &Request, vars: &Vars, out: &mut Vec<u8>) {
    out.extend_from_slice(&vars.key_start);
    append_uri(proxy, r, vars, out);
}

fn append_uri(proxy: &Proxy, r: &Request, vars: &Vars, out: &mut Vec<u8>) {
    if proxy.target.fixed_vars().is_none() && !vars.uri.is_empty() {
        return out.extend_from_slice(&vars.uri);
    }
    if vars.uri.is_empty() && r.unchanged_uri.get() && r.head.valid_target {
        return out.extend_from_slice(r.head.target());
    }
    let uri = r.uri.borrow();
    let mut rest = &uri[..];
    if r.valid_location.get() {
        out.extend_from_slice(&vars.uri);
        rest = &rest[proxy.prefix().min(rest.len())..];
    }
    if r.internal.get() || had_escapes(r) {
        append_escaped(rest, Escape::Uri, out);
    } else {
        out.extend_from_slice(rest);
    }
    let args = r.args.borrow();
    if !args.is_empty() {
        out.push(b'?');
        out.extend_from_slice(&args);
    }
}

/// Whether the path had escapes when it came (nginx's `quoted_uri`).
fn had_escapes(r: &Request) -> bool {
    let target = r.head.target();
    let path = memchr::memchr2(b'?', b'#', target).map_or(target, |end| &target[..end]);
    memchr::memchr(b'%', path).is_some()
}

fn append_client_headers(headers: &Headers, r: &Request, out: &mut Vec<u8>) {
    for (id, name, value) in r.headers.borrow().iter() {
        if !headers.hides(id, name) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}
