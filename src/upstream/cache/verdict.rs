//! What an answer's headers say about keeping it, in the order in which they stand, as nginx reads them.

use super::{Caching, Freshness};
use crate::cache::VARY;
use crate::http::headers::parse_length;
use crate::http::{HeaderId, Headers, date};
use crate::upstream::Names;

/// What is found out while headers are read.
struct Verdict {
    freshness: Freshness,
    cacheable: bool,
    /// It asks not to be kept.
    no_cache: bool,
    /// It is too old already.
    expired: bool,
    /// `X-Accel-Expires` has been seen.
    accel_expires: bool,
    vary: Vec<u8>,
    now: i64,
}

/// A number of seconds that is none.
struct NotANumber;

impl Caching {
    /// Reads an answer's headers, and those that are not ignored count. Says whether the answer forbids to be kept.
    pub(super) fn judge(&self, headers: &Headers, ignored: &Names) -> bool {
        let mut verdict = Verdict {
            freshness: self.freshness.get(),
            cacheable: self.cacheable.get(),
            no_cache: false,
            expired: false,
            accel_expires: false,
            vary: Vec::new(),
            now: date::now(),
        };
        for (id, _, value) in headers.iter() {
            let counts = !ignored.has(id, b"");
            match id {
                HeaderId::SetCookie if counts => verdict.cacheable = false,
                HeaderId::CacheControl if counts => verdict.cacheable &= verdict.cache_control(value).is_ok(),
                HeaderId::Expires if counts => verdict.expires(value),
                HeaderId::XAccelExpires => verdict.accel_expires(value, counts),
                HeaderId::Vary if counts && verdict.cacheable => verdict.vary(value),
                _ => {}
            }
        }
        self.freshness.set(verdict.freshness);
        self.cacheable.set(verdict.cacheable);
        *self.vary.borrow_mut() = verdict.vary;
        verdict.no_cache || verdict.expired
    }
}

impl Verdict {
    fn cache_control(&mut self, value: &[u8]) -> Result<(), NotANumber> {
        if self.freshness.valid == 0 || !self.accel_expires {
            if ["no-cache", "no-store", "private"].iter().any(|word| behind(value, word).is_some()) {
                self.no_cache = true;
                return Ok(());
            }
            if let Some(rest) = behind(value, "s-maxage=").or_else(|| behind(value, "max-age=")) {
                match seconds(rest)? {
                    0 => {
                        self.no_cache = true;
                        return Ok(());
                    }
                    age => {
                        self.freshness.valid = self.now.saturating_add(age);
                        self.expired = false;
                    }
                }
            }
        }
        if let Some(rest) = behind(value, "stale-while-revalidate=") {
            self.freshness.updating = seconds(rest)?;
            self.freshness.error = self.freshness.updating;
        }
        if let Some(rest) = behind(value, "stale-if-error=") {
            self.freshness.error = seconds(rest)?;
        }
        Ok(())
    }

    fn expires(&mut self, value: &[u8]) {
        if self.freshness.valid != 0 {
            return;
        }
        match date::parse_http(value).filter(|expires| *expires >= self.now) {
            Some(expires) => self.freshness.valid = expires,
            None => self.expired = true,
        }
    }

    fn accel_expires(&mut self, value: &[u8], counts: bool) {
        self.accel_expires = true;
        if !counts {
            return;
        }
        let number = |digits: &[u8]| parse_length(digits).and_then(|number| i64::try_from(number).ok());
        let valid = match value.strip_prefix(b"@") {
            Some(time) => number(time),
            None => match number(value) {
                Some(0) => {
                    self.cacheable = false;
                    return;
                }
                age => age.map(|age| self.now.saturating_add(age)),
            },
        };
        if let Some(valid) = valid {
            self.freshness.valid = valid;
            (self.no_cache, self.expired) = (false, false);
        }
    }

    fn vary(&mut self, value: &[u8]) {
        if value == b"*" {
            self.cacheable = false;
            return;
        }
        if !self.vary.is_empty() {
            self.vary.extend_from_slice(b", ");
        }
        self.vary.extend_from_slice(value);
        if self.vary.len() > VARY {
            self.cacheable = false;
        }
    }
}

/// What stands behind a word, wherever and in whichever case that stands.
fn behind<'a>(value: &'a [u8], word: &str) -> Option<&'a [u8]> {
    let at = value.windows(word.len()).position(|part| part.eq_ignore_ascii_case(word.as_bytes()))?;
    Some(&value[at + word.len()..])
}

/// Seconds up to a comma, semicolon or space; no digit at all is 0 to nginx.
fn seconds(text: &[u8]) -> Result<i64, NotANumber> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b';' | b' ')).unwrap_or(text.len());
    let mut number = 0_i64;
    for byte in &text[..end] {
        if !byte.is_ascii_digit() {
            return Err(NotANumber);
        }
        number = number.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        Verdict {
            freshness: Freshness::default(),
            cacheable: true,
            no_cache: false,
            expired: false,
            accel_expires: false,
            vary: Vec::new(),
            now: 1000,
        }
    }

    fn controlled(value: &str) -> (i64, i64, i64, bool) {
        let mut verdict = verdict();
        let _ = verdict.cache_control(value.as_bytes());
        let Freshness { valid, updating, error } = verdict.freshness;
        (valid, updating, error, verdict.no_cache)
    }

    #[test]
    fn reads_cache_control() {
        assert_eq!(controlled("max-age=10"), (1010, 0, 0, false));
        assert_eq!(controlled("Max-Age=10, S-MaxAge=20"), (1020, 0, 0, false));
        assert_eq!(controlled("max-age=10, private"), (0, 0, 0, true));
        assert_eq!(controlled("max-age=0"), (0, 0, 0, true));
        assert_eq!(controlled("max-age="), (0, 0, 0, true));
        assert_eq!(controlled("max-age=1, stale-while-revalidate=5"), (1001, 5, 5, false));
        assert_eq!(controlled("stale-if-error=7,stale-while-revalidate=5"), (0, 5, 7, false));
        assert!(verdict().cache_control(b"max-age=1x").is_err());
        assert_eq!(controlled("max-age=99999999999999999999999").0, i64::MAX);
    }

    #[test]
    fn the_first_to_say_until_when_is_believed() {
        let mut said = verdict();
        said.expires(b"Thu, 01 Jan 1970 00:33:20 GMT");
        assert_eq!(said.freshness.valid, 2000);
        said.accel_expires(b"@1500", true);
        assert_eq!(said.freshness.valid, 1500);
        assert!(said.cache_control(b"max-age=1").is_ok());
        assert_eq!(said.freshness.valid, 1500);
        said.accel_expires(b"0", true);
        assert!(!said.cacheable);
    }

    #[test]
    fn what_is_too_old_may_be_kept_where_the_upstream_asks_us() {
        let mut said = verdict();
        said.expires(b"nonsense");
        assert!(said.expired);
        said.accel_expires(b"5", true);
        assert_eq!((said.expired, said.freshness.valid), (false, 1005));
    }

    #[test]
    fn joins_what_answers_vary_by() {
        let mut said = verdict();
        said.vary(b"Accept-Encoding");
        said.vary(b"Cookie");
        assert_eq!(said.vary, b"Accept-Encoding, Cookie");
        said.vary(b"*");
        assert!(!said.cacheable);
    }
}
