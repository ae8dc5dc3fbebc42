//! `expires`: how long a response may be kept, as `Expires` and `Cache-Control`.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::conf::{Args, Ctx};
use crate::diag::Diagnostic;
use crate::http::{HeaderId, Request, Response, Script, date};
use crate::schema::value;

/// One `expires`. Times are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expires {
    /// Nothing is said.
    Off,
    /// Long ago.
    Epoch,
    /// In ten years.
    Max,
    /// So long from now.
    Access(i64),
    /// So long behind the last change, or from now where that is not known.
    Modified(i64),
    /// At this time of the day, counted from midnight.
    Daily(i64),
    /// One of the above, as the value says for each request; an error says nothing.
    Computed(Script, Base),
}

/// What a time counts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Base {
    Access,
    Modified,
}

const DAY: i64 = 24 * 60 * 60;

impl Expires {
    pub(super) fn read(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Self, Diagnostic> {
        let index = args.len() - 1;
        let base = match args.value(1) {
            _ if index == 1 => Base::Access,
            b"modified" => Base::Modified,
            _ => return Err(args.invalid(1)),
        };
        let script = ctx.script(args.word(index))?;
        let Some(text) = script.as_constant() else { return Ok(Expires::Computed(script, base)) };
        Self::parse(text, base)
            .map_err(|fault| args.error(index, "invalid-value", format!("\"expires\" directive {fault}")))
    }

    fn parse(text: &[u8], base: Base) -> Result<Self, &'static str> {
        if base == Base::Access {
            match text {
                b"epoch" => return Ok(Expires::Epoch),
                b"max" => return Ok(Expires::Max),
                b"off" => return Ok(Expires::Off),
                _ => {}
            }
        }
        let (sign, digits) = match text {
            [b'@', ..] if base == Base::Modified => {
                return Err("daily time cannot be used with \"modified\" parameter");
            }
            [sign @ (b'@' | b'+' | b'-'), digits @ ..] => (*sign, digits),
            digits => (b'+', digits),
        };
        let time = value::sec(digits).and_then(|time| i64::try_from(time.as_secs()).ok()).ok_or("invalid value")?;
        match (sign, base) {
            (b'@', _) if time > DAY => Err("daily time value must be less than 24 hours"),
            (b'@', _) => Ok(Expires::Daily(time)),
            (sign, base) => {
                let time = if sign == b'-' { -time } else { time };
                Ok(if base == Base::Access { Expires::Access(time) } else { Expires::Modified(time) })
            }
        }
    }

    /// Sets `Expires` and `Cache-Control`.
    pub(super) fn apply(&self, r: &Request, response: &mut Response) {
        let now = date::now();
        let (time, max_age) = match *self {
            Expires::Off => return,
            Expires::Computed(ref script, base) => {
                if let Ok(expires) = Self::parse(&script.eval(r), base) {
                    expires.apply(r, response);
                }
                return;
            }
            Expires::Epoch => return set(response, 1, b"no-cache"),
            Expires::Max => {
                return set_text(response, b"Thu, 31 Dec 2037 23:55:55 GMT", b"max-age=315360000");
            }
            Expires::Access(0) | Expires::Modified(0) => (now, 0),
            Expires::Access(time) => (now + time, time),
            Expires::Modified(time) => match response.modified() {
                // A time before the last change is never a time to come, not even for a file of tomorrow.
                Some(modified) if time < 0 => (modified + time, -1),
                Some(modified) => (modified + time, modified + time - now),
                None => (now + time, time),
            },
            Expires::Daily(time) => {
                let next = next_time(time, now);
                (next, next - now)
            }
        };
        if max_age < 0 {
            return set(response, time, b"no-cache");
        }
        set(response, time, format!("max-age={max_age}").as_bytes());
    }
}

fn set(response: &mut Response, time: i64, cache_control: &[u8]) {
    set_text(response, &date::format_http(time), cache_control);
}

fn set_text(response: &mut Response, expires: &[u8], cache_control: &[u8]) {
    response.headers.set(HeaderId::Expires, expires);
    response.headers.set(HeaderId::CacheControl, cache_control);
}

/// The next moment of this local time of the day.
fn next_time(time: i64, now: i64) -> i64 {
    let zone = TimeZone::system();
    let Ok(today) = Timestamp::from_second(now).map(|now| now.to_zoned(zone.clone()).date()) else { return -1 };
    let of_day = |date: jiff::civil::Date| {
        let civil = date.at(0, 0, 0, 0).checked_add(SignedDuration::from_secs(time)).ok()?;
        Some(civil.to_zoned(zone.clone()).ok()?.timestamp().as_second())
    };
    match of_day(today) {
        Some(next) if next > now => next,
        _ => today.tomorrow().ok().and_then(of_day).unwrap_or(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let access = |text: &str| Expires::parse(text.as_bytes(), Base::Access);
        assert_eq!(access("epoch"), Ok(Expires::Epoch));
        assert_eq!(access("max"), Ok(Expires::Max));
        assert_eq!(access("off"), Ok(Expires::Off));
        assert_eq!(access("1h30m"), Ok(Expires::Access(5400)));
        assert_eq!(access("+1"), Ok(Expires::Access(1)));
        assert_eq!(access("-1m"), Ok(Expires::Access(-60)));
        assert_eq!(access("@15h30m"), Ok(Expires::Daily(55_800)));
        assert_eq!(access("@24h"), Ok(Expires::Daily(86_400)));
        assert_eq!(access("@24h1s"), Err("daily time value must be less than 24 hours"));
        assert_eq!(access(""), Err("invalid value"));
        assert_eq!(access("tomorrow"), Err("invalid value"));
    }

    #[test]
    fn reads_modified_times() {
        let modified = |text: &str| Expires::parse(text.as_bytes(), Base::Modified);
        assert_eq!(modified("1h"), Ok(Expires::Modified(3600)));
        assert_eq!(modified("-1h"), Ok(Expires::Modified(-3600)));
        assert_eq!(modified("max"), Err("invalid value"));
        assert_eq!(modified("@1h"), Err("daily time cannot be used with \"modified\" parameter"));
    }

    #[test]
    fn finds_the_next_time_of_day() {
        let now = 1_700_000_000;
        for time in [0, 1, 43_200, DAY - 1, DAY] {
            let next = next_time(time, now);
            assert!(next > now && next <= now + DAY + 3600 * 2, "{time}: {next}");
        }
    }
}
