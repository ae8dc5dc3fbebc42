//! `$upstream_…`: what a request's way through its upstreams was like, an entry for each connection tried.

use std::io::Write as _;

use crate::http::{HeaderId, Request, VariableDef, date};
use crate::upstream::{Attempt, Caching, Passage};

pub(super) const VARIABLES: &[VariableDef] = &[
    VariableDef::new("upstream_addr", |r, out| {
        each(r, out, |attempt, out| {
            out.extend_from_slice(&attempt.peer);
        })
    }),
    VariableDef::new("upstream_status", |r, out| {
        each(r, out, |attempt, out| match attempt.status {
            0 => out.push(b'-'),
            status => number(out, u64::from(status)),
        })
    }),
    VariableDef::new("upstream_connect_time", |r, out| each(r, out, |attempt, out| time(out, attempt.connect_time))),
    VariableDef::new("upstream_header_time", |r, out| each(r, out, |attempt, out| time(out, attempt.header_time))),
    VariableDef::new("upstream_response_time", |r, out| each(r, out, |attempt, out| time(out, attempt.response_time))),
    VariableDef::new("upstream_response_length", |r, out| {
        each(r, out, |attempt, out| number(out, attempt.response_length))
    }),
    VariableDef::new("upstream_bytes_received", |r, out| each(r, out, |attempt, out| number(out, attempt.received))),
    VariableDef::new("upstream_bytes_sent", |r, out| each(r, out, |attempt, out| number(out, attempt.sent))),
    VariableDef::new("upstream_cache_status", |r, out| cached(r, out, |caching| Some(caching.status().text().into()))),
    VariableDef::new("upstream_cache_last_modified", |r, out| {
        cached(r, out, |caching| Some(date::format_http(caching.last_modified()?).to_vec()))
    }),
    VariableDef::new("upstream_cache_etag", |r, out| cached(r, out, Caching::etag)),
    VariableDef::family("upstream_http_", |r, name, out| {
        let Some(passage) = Passage::of(r) else { return false };
        join(passage.headers().find_variable(name), out)
    }),
    VariableDef::family("upstream_trailer_", |r, name, out| {
        let Some(passage) = Passage::of(r) else { return false };
        join(passage.trailers().find_variable(name), out)
    }),
    VariableDef::family("upstream_cookie_", cookie),
];

/// Asks a request's dealings with a cache; `false` where it has none, or they have no such value.
fn cached(r: &Request, out: &mut Vec<u8>, ask: impl FnOnce(&Caching) -> Option<Vec<u8>>) -> bool {
    let value = Passage::of(r).and_then(|passage| passage.caching()).and_then(|caching| ask(&caching));
    value.inspect(|value| out.extend_from_slice(value)).is_some()
}

/// Appends a value for each attempt, with a colon where an internal redirect stands between them.
fn each(r: &Request, out: &mut Vec<u8>, value: impl Fn(&Attempt, &mut Vec<u8>)) -> bool {
    let Some(passage) = Passage::of(r) else { return false };
    let mut first = true;
    passage.each_attempt(|attempt| {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(if attempt.after_redirect { b" : " } else { b", " });
        }
        value(attempt, out);
    })
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Seconds with three decimals.
fn time(out: &mut Vec<u8>, milliseconds: Option<u64>) {
    match milliseconds {
        None => out.push(b'-'),
        // Writing to memory does not fail.
        Some(time) => drop(write!(out, "{}.{:03}", time / 1000, time % 1000)),
    }
}

fn join<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> bool {
    let mut found = false;
    for value in values {
        if std::mem::replace(&mut found, true) {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value);
    }
    found
}

/// The value of a cookie that the upstream sets.
fn cookie(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(passage) = Passage::of(r) else { return false };
    let headers = passage.headers();
    let value = headers.get_all(HeaderId::SetCookie).find_map(|line| cookie_value(line, name));
    value.inspect(|value| out.extend_from_slice(value)).is_some()
}

/// The value of a `Set-Cookie` line if it sets this cookie; names are compared in any case.
fn cookie_value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    let value = skip_spaces(skip_spaces(rest).strip_prefix(b"=")?);
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    Some(&value[..end])
}

/// Spaces only: a tab is not one to nginx here.
fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cookies_that_are_set() {
        assert_eq!(cookie_value(b"sid=abc; Path=/", b"sid"), Some(&b"abc"[..]));
        assert_eq!(cookie_value(b"SID = a b", b"sid"), Some(&b"a b"[..]));
        assert_eq!(cookie_value(b"side=abc", b"sid"), None);
        assert_eq!(cookie_value(b"sid\t=abc", b"sid"), None);
        assert_eq!(cookie_value(b"si", b"sid"), None);
    }

    #[test]
    fn writes_times_as_seconds() {
        let mut out = Vec::new();
        [None, Some(0), Some(60), Some(12_345)].into_iter().for_each(|value| {
            time(&mut out, value);
            out.push(b' ');
        });
        assert_eq!(out, b"- 0.000 0.060 12.345 ");
    }
}
