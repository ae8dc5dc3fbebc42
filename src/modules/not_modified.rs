//! Conditional requests: 304 and 412 (RFC 9110 section 13). <https://nginx.org/en/docs/http/ngx_http_core_module.html#if_modified_since>

use std::rc::Rc;

use crate::conf::{LocationBuilder, Module};
use crate::http::date::parse_http;
use crate::http::{Body, Filter, FilterSlot, HeaderId, IfModifiedSince, Request, Response};

/// `ngx_http_not_modified_filter_module`.
pub struct NotModified;

impl Module for NotModified {
    type Conf = ();
    const NAME: &'static str = "http_not_modified";

    fn install(_conf: &(), location: &mut LocationBuilder<'_, '_>) {
        location.filter(FilterSlot::NotModified, Conditions);
    }
}

struct Conditions;

impl Filter for Conditions {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if response.status != 200 || response.unconditional || !r.is_main() {
            return Ok(());
        }
        let headers = r.headers.borrow();
        let unmodified = headers.get(HeaderId::IfUnmodifiedSince);
        if unmodified.is_some_and(|since| !is_unmodified(response, since)) {
            return Err(412);
        }
        let etag = response.headers.get(HeaderId::ETag);
        if headers.get(HeaderId::IfMatch).is_some_and(|list| !names(list, etag, Comparison::Strong)) {
            return Err(412);
        }
        let since = headers.get(HeaderId::IfModifiedSince);
        let none_of = headers.get(HeaderId::IfNoneMatch);
        if since.is_none() && none_of.is_none()
            || since.is_some_and(|since| is_modified(r, response, since))
            || none_of.is_some_and(|list| !names(list, etag, Comparison::Weak))
        {
            return Ok(());
        }
        not_modified(response);
        Ok(())
    }
}

fn not_modified(response: &mut Response) {
    response.status = 304;
    response.status_line = None;
    response.content_type = None;
    response.clear_content_length();
    response.clear_accept_ranges();
    response.headers.remove(HeaderId::ContentEncoding);
    response.header_only = true;
    response.body = Body::Empty;
}

/// A date that cannot be read is before all others.
fn is_unmodified(response: &Response, since: &[u8]) -> bool {
    response.modified().is_some_and(|modified| parse_http(since).is_some_and(|since| since >= modified))
}

fn is_modified(r: &Request, response: &Response, since: &[u8]) -> bool {
    let Some(modified) = response.modified() else { return true };
    let rule = r.location().core.if_modified_since;
    if rule == IfModifiedSince::Off {
        return true;
    }
    let since = parse_http(since).unwrap_or(-1);
    since != modified && (rule == IfModifiedSince::Exact || since < modified)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags names this one, read as nginx reads it: tags are not parsed, only compared.
fn names(list: &[u8], etag: Option<&[u8]>, comparison: Comparison) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    let plain = |tag| if comparison == Comparison::Weak { without_weakness(tag) } else { tag };
    let etag = plain(etag);
    let mut rest = list;
    while !rest.is_empty() {
        rest = plain(rest);
        if etag.len() > rest.len() {
            return false;
        }
        if let Some(behind) = rest.strip_prefix(etag) {
            rest = behind.trim_ascii_start();
            if rest.is_empty() || rest[0] == b',' {
                return true;
            }
        }
        let comma = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let next = rest[comma..].iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','));
        rest = next.map_or(&[], |at| &rest[comma + at..]);
    }
    false
}

fn without_weakness(tag: &[u8]) -> &[u8] {
    match tag.strip_prefix(b"W/") {
        Some(plain) if !plain.is_empty() => plain,
        _ => tag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weakly(list: &str, etag: &str) -> bool {
        names(list.as_bytes(), Some(etag.as_bytes()), Comparison::Weak)
    }

    #[test]
    fn compares_weakly() {
        assert!(weakly("\"a\"", "\"a\""));
        assert!(weakly("W/\"a\"", "\"a\""));
        assert!(weakly("\"a\"", "W/\"a\""));
        assert!(weakly("\"b\", W/\"a\" , \"c\"", "\"a\""));
        assert!(weakly("*", "\"a\""));
        assert!(!weakly("\"b\"", "\"a\""));
        assert!(!weakly("\"a\"b", "\"a\""));
        assert!(!weakly("", "\"a\""));
    }

    #[test]
    fn compares_strongly() {
        let strongly = |list: &str, etag: &str| names(list.as_bytes(), Some(etag.as_bytes()), Comparison::Strong);
        assert!(strongly("\"a\"", "\"a\""));
        assert!(strongly("\"b\",\"a\"", "\"a\""));
        assert!(!strongly("W/\"a\"", "\"a\""));
        assert!(strongly("W/\"a\"", "W/\"a\""));
        assert!(!names(b"\"a\"", None, Comparison::Strong));
        assert!(names(b"*", None, Comparison::Strong));
    }
}
