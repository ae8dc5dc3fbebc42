//! To whom compressed responses are sent: `gzip_http_version`, `gzip_proxied`, `gzip_disable`, `gzip_vary`.

use std::cell::Cell;
use std::sync::Arc;

use super::accept::accepts_gzip;
use crate::conf::{Args, Ctx, Inherit, SetResult, assign};
use crate::http::browser::Browser;
use crate::http::date::{self, parse_http};
use crate::http::{HeaderId, Regex, Request, Response, Version};

/// The rules of one block as written.
#[derive(Default)]
pub(super) struct Conf {
    pub(super) vary: Option<bool>,
    version: Option<Version>,
    proxied: Option<u32>,
    disabled: Option<Arc<[Arc<Regex>]>>,
    msie6: Option<bool>,
}

const OFF: u32 = 1;
const EXPIRED: u32 = 1 << 1;
const NO_CACHE: u32 = 1 << 2;
const NO_STORE: u32 = 1 << 3;
const PRIVATE: u32 = 1 << 4;
const NO_LAST_MODIFIED: u32 = 1 << 5;
const NO_ETAG: u32 = 1 << 6;
const AUTH: u32 = 1 << 7;
const ANY: u32 = 1 << 8;

const PROXIED: &[(&str, u32)] = &[
    ("off", OFF),
    ("expired", EXPIRED),
    ("no-cache", NO_CACHE),
    ("no-store", NO_STORE),
    ("private", PRIVATE),
    ("no_last_modified", NO_LAST_MODIFIED),
    ("no_etag", NO_ETAG),
    ("auth", AUTH),
    ("any", ANY),
];

impl Conf {
    pub(super) fn set_version(&mut self, args: &Args<'_>) -> SetResult {
        assign(&mut self.version, args, || args.one_of(1, &[("1.0", Version::HTTP_10), ("1.1", Version::HTTP_11)]))
    }

    pub(super) fn add_proxied(&mut self, args: &Args<'_>) -> SetResult {
        self.proxied = Some(self.proxied.unwrap_or(0) | args.bits(PROXIED)?);
        Ok(())
    }

    pub(super) fn add_disabled(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        let mut disabled = self.disabled.take().unwrap_or_default().to_vec();
        for word in args.words() {
            match &word.value[..] {
                b"msie6" => self.msie6 = Some(true),
                pattern => disabled.push(Arc::new(ctx.regex(word, pattern, true)?)),
            }
        }
        self.disabled = Some(disabled.into());
        Ok(())
    }

    pub(super) fn inherit(&mut self, parent: &Self) {
        self.vary.inherit(&parent.vary);
        self.version.inherit(&parent.version);
        self.proxied.inherit(&parent.proxied);
        self.disabled.inherit(&parent.disabled);
        self.msie6.inherit(&parent.msie6);
    }

    pub(super) fn resolve(&self) -> Rules {
        Rules {
            vary: self.vary.unwrap_or(false),
            version: self.version.unwrap_or(Version::HTTP_11),
            proxied: self.proxied.unwrap_or(OFF),
            disabled: self.disabled.clone().unwrap_or_default(),
            msie6: self.msie6.unwrap_or(false),
        }
    }
}

/// When a compressed response may be sent.
pub(in crate::modules) struct Rules {
    /// Whether caches are told that the response depends on what the client takes.
    pub(in crate::modules) vary: bool,
    version: Version,
    proxied: u32,
    disabled: Arc<[Arc<Regex>]>,
    msie6: bool,
}

/// The answer, once it was given for a request: `gzip_static` asks before there is a response.
#[derive(Default)]
struct Asked(Cell<Option<bool>>);

impl Rules {
    /// Whether the client may be sent this response compressed. The first answer for a request stays.
    pub(in crate::modules) fn accepts(&self, r: &Request, response: &Response) -> bool {
        let asked = r.context::<Asked>();
        if let Some(answer) = asked.0.get() {
            return answer;
        }
        let answer = self.decide(r, response);
        asked.0.set(Some(answer));
        answer
    }

    fn decide(&self, r: &Request, response: &Response) -> bool {
        if !r.is_main() || !r.header(HeaderId::AcceptEncoding).is_some_and(|value| accepts_gzip(&value)) {
            return false;
        }
        let headers = r.headers.borrow();
        let agent = headers.get(HeaderId::UserAgent);
        if self.msie6 && agent.is_some_and(|agent| Browser::of(agent).msie6) || r.head.version < self.version {
            return false;
        }
        if headers.has(HeaderId::Via) && !self.allows_proxy(headers.has(HeaderId::Authorization), response) {
            return false;
        }
        !agent.is_some_and(|agent| self.disabled.iter().any(|regex| regex.is_match(agent).unwrap_or(true)))
    }

    fn has(&self, bit: u32) -> bool {
        self.proxied & bit != 0
    }

    /// `gzip_proxied`: for requests that came through a proxy.
    fn allows_proxy(&self, authorized: bool, response: &Response) -> bool {
        if self.has(OFF) {
            return false;
        }
        if self.has(ANY) || authorized && self.has(AUTH) {
            return true;
        }
        if let Some(expires) = response.headers.get(HeaderId::Expires) {
            return self.has(EXPIRED) && has_expired(response, expires).unwrap_or(false);
        }
        if response.headers.has(HeaderId::CacheControl) {
            let says = |word: &[u8]| response.headers.get_all(HeaderId::CacheControl).any(|value| names(value, word));
            return self.has(NO_CACHE) && says(b"no-cache")
                || self.has(NO_STORE) && says(b"no-store")
                || self.has(PRIVATE) && says(b"private");
        }
        !(self.has(NO_LAST_MODIFIED) && response.headers.has(HeaderId::LastModified)
            || self.has(NO_ETAG) && response.headers.has(HeaderId::ETag))
    }
}

/// `None` where a date cannot be read.
fn has_expired(response: &Response, expires: &[u8]) -> Option<bool> {
    let date = match response.headers.get(HeaderId::Date) {
        Some(date) => parse_http(date)?,
        None => date::now(),
    };
    Some(parse_http(expires)? < date)
}

/// Whether a list such as `Cache-Control` has this word, without a value.
fn names(list: &[u8], word: &[u8]) -> bool {
    list.split(|byte| matches!(byte, b',' | b';')).any(|item| {
        let item = item.trim_ascii_start();
        item.get(..word.len()).is_some_and(|name| name.eq_ignore_ascii_case(word))
            && item[word.len()..].iter().all(|byte| *byte == b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn finds_words_in_lists() {
        for list in ["no-store", "public, no-store", "No-Store , x", "a;no-store"] {
            assert!(names(list.as_bytes(), b"no-store"), "{list}");
        }
        for list in ["", "no-stored", "no-store=1", "x no-store"] {
            assert!(!names(list.as_bytes(), b"no-store"), "{list}");
        }
    }
}
