//! Variables of what was sent: status, bytes, the response's head and trailers.

use super::{join, put, put_number};
use crate::http::{Headers, Request, SentHead, Version, date};
use crate::log::Level;
use crate::schema::value;

pub(super) fn bytes_sent(r: &Request, out: &mut Vec<u8>) -> bool {
    put_number(out, r.out.bytes.get() + r.body.bytes_sent())
}

pub(super) fn body_bytes_sent(r: &Request, out: &mut Vec<u8>) -> bool {
    // To nginx an invitation to go on is a part of the body.
    let sent = r.out.bytes.get() + r.body.bytes_sent();
    put_number(out, sent.saturating_sub(r.out.head_bytes.get()))
}

pub(super) fn request_completion(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(if r.out.complete.get() && !r.out.never_complete.get() { b"OK" } else { b"" }))
}

/// Three digits: what an `error_page` makes of it, else what was sent.
pub(super) fn status(r: &Request, out: &mut Vec<u8>) -> bool {
    let status = match (r.error_status.get(), r.out.status.get()) {
        (0, 0) if r.head.version == Version::HTTP_09 => 9,
        (0, sent) => sent,
        (overridden, _) => overridden,
    };
    if status < 100 {
        out.extend_from_slice(if status < 10 { b"00" } else { b"0" });
    }
    put_number(out, u64::from(status))
}

fn head<T>(r: &Request, pick: impl FnOnce(&SentHead) -> Option<T>) -> Option<T> {
    r.out.head.borrow().as_ref().and_then(pick)
}

pub(super) fn content_type(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, head(r, SentHead::content_type).as_deref())
}

pub(super) fn content_length(r: &Request, out: &mut Vec<u8>) -> bool {
    match head(r, |head| head.response.content_length) {
        Some(length) => put_number(out, length),
        None => header(r, b"content_length", out),
    }
}

pub(super) fn last_modified(r: &Request, out: &mut Vec<u8>) -> bool {
    if header(r, b"last_modified", out) {
        return true;
    }
    put(out, head(r, |head| head.response.last_modified.map(date::format_http)).as_ref().map(|date| &date[..]))
}

pub(super) fn connection(r: &Request, out: &mut Vec<u8>) -> bool {
    let value: &[u8] = match r.out.status.get() {
        101 => b"upgrade",
        _ if r.out.keep_alive.get() => b"keep-alive",
        _ => b"close",
    };
    put(out, Some(value))
}

pub(super) fn keep_alive(r: &Request, out: &mut Vec<u8>) -> bool {
    let seconds = r.location().core.keepalive_header;
    if !r.out.keep_alive.get() || seconds == 0 {
        return false;
    }
    out.extend_from_slice(b"timeout=");
    put_number(out, seconds)
}

pub(super) fn transfer_encoding(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, head(r, |head| head.chunked.then_some(b"chunked")).map(|value| &value[..]))
}

/// `$sent_http_NAME`
pub(super) fn header(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    r.out.head.borrow().as_ref().is_some_and(|head| find(&head.response.headers, name, out))
}

/// `$sent_trailer_NAME`
pub(super) fn trailer(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    r.out.head.borrow().as_ref().is_some_and(|head| find(&head.trailers, name, out))
}

fn find(headers: &Headers, name: &[u8], out: &mut Vec<u8>) -> bool {
    join(out, b", ", headers.find_variable(name))
}

/// Bytes a second; 0 where there is no limit, or the location's own has not been looked at yet.
pub(super) fn limit_rate(r: &Request, out: &mut Vec<u8>) -> bool {
    put_number(out, r.out.limit_rate.get().unwrap_or(0))
}

pub(super) fn set_limit_rate(r: &Request, text: &[u8]) {
    match value::size(text) {
        Some(rate) => r.out.limit_rate.set(Some(rate)),
        None => r.log_with(Level::Error, |line| {
            line.put("invalid $limit_rate \"").bytes(text).put('"');
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderId;

    #[test]
    fn finds_headers_by_variable_name() {
        let mut headers = Headers::new();
        headers.push(b"X-Some", b"1");
        headers.push_id(HeaderId::Vary, b"a");
        headers.push(b"x-some", b"2");
        let value = |name: &str| {
            let mut out = Vec::new();
            find(&headers, name.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(value("x_some").as_deref(), Some("1, 2"));
        assert_eq!(value("vary").as_deref(), Some("a"));
        assert_eq!(value("date"), None);
    }
}
