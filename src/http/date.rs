//! HTTP dates: nginx's formatter, its forgiving parser, and a date that is formatted once a second.

use std::io::Write;

use rustix::time::{ClockId, clock_gettime};

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7), always 29 bytes.
pub(crate) type HttpDate = [u8; 29];

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_A_DAY: i64 = 86_400;
/// December 31, 9999: years have four digits.
const LAST_DAY: i64 = 2_932_896;

/// A moment in UTC, broken down; `month` and `day` count from 1, `weekday` from Sunday as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utc {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) weekday: u32,
}

impl Utc {
    /// Seconds since 1970, held between 1970 and 9999 as nginx holds them.
    pub(crate) fn from_unix(time: i64) -> Utc {
        let time = time.clamp(0, LAST_DAY * SECONDS_A_DAY + SECONDS_A_DAY - 1);
        let (days, seconds) = ((time / SECONDS_A_DAY) as u32, (time % SECONDS_A_DAY) as u32);
        let (year, month, day) = civil(days);
        Utc {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            weekday: (days + 4) % 7,
        }
    }
}

/// Year, month and day of a count of days since 1970-01-01, reckoned in 400-year eras that begin on March 1.
fn civil(days: u32) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

/// Seconds since 1970, from the clock that ticks a few hundred times a second and costs no system call.
pub(crate) fn now() -> i64 {
    clock_gettime(ClockId::RealtimeCoarse).tv_sec
}

/// The date that `Date`, `Last-Modified` and `Expires` carry.
pub(crate) fn format_http(time: i64) -> HttpDate {
    let utc = Utc::from_unix(time);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(DAYS[utc.weekday as usize].as_bytes());
    two_digits(&mut date, 5, utc.day);
    date[8..11].copy_from_slice(MONTHS[utc.month as usize - 1].as_bytes());
    two_digits(&mut date, 12, utc.year / 100);
    two_digits(&mut date, 14, utc.year % 100);
    two_digits(&mut date, 17, utc.hour);
    two_digits(&mut date, 20, utc.minute);
    two_digits(&mut date, 23, utc.second);
    date
}

/// Appends the date of a cookie's `expires`: the old Netscape form, with two-digit years up to 2037.
pub(crate) fn append_cookie(out: &mut Vec<u8>, time: i64) {
    let utc = Utc::from_unix(time);
    let (day, month) = (DAYS[utc.weekday as usize], MONTHS[utc.month as usize - 1]);
    let year = if utc.year > 2037 { utc.year } else { utc.year % 100 };
    write!(out, "{day}, {:02}-{month}-{year:02} {:02}:{:02}:{:02} GMT", utc.day, utc.hour, utc.minute, utc.second)
        .expect("a Vec takes every write");
}

fn two_digits(date: &mut HttpDate, at: usize, number: u32) {
    date[at] = b'0' + (number / 10) as u8;
    date[at + 1] = b'0' + (number % 10) as u8;
}

/// The current date, formatted anew only when the second has changed. One for each thread.
#[derive(Clone, Debug)]
pub(crate) struct DateCache {
    second: i64,
    date: HttpDate,
}

impl DateCache {
    pub(crate) fn new() -> DateCache {
        DateCache { second: 0, date: format_http(0) }
    }

    /// The date at `now`, in seconds since 1970.
    #[inline]
    pub(crate) fn at(&mut self, now: i64) -> &HttpDate {
        if self.second != now {
            self.second = now;
            self.date = format_http(now);
        }
        &self.date
    }
}

/// Seconds since 1970 of an HTTP date in any of the three forms of RFC 9110 section 5.6.7, read as loosely
/// as nginx does: the weekday, the zone and whatever follows are not looked at.
pub(crate) fn parse_http(value: &[u8]) -> Option<i64> {
    let stop = value.iter().position(|&byte| byte == b',' || byte == b' ');
    let asctime = stop.is_some_and(|at| value[at] == b' ');
    let rest = value.get(stop?.checked_add(1)?..)?;
    let skipped = rest.iter().take_while(|&&byte| byte == b' ').count();
    let mut reader = Reader { rest: &rest[skipped..] };
    if reader.rest.len() < 18 {
        return None;
    }
    let date = if asctime { reader.asctime()? } else { reader.day_first()? };
    date.to_unix()
}

struct Parts {
    year: u64,
    month: u64,
    day: u64,
    time: (u64, u64, u64),
}

impl Parts {
    fn to_unix(&self) -> Option<i64> {
        let (hour, minute, second) = self.time;
        if hour > 23 || minute > 59 || second > 59 || !self.day_exists() {
            return None;
        }
        // Years are counted from March 1, so that a leap day is the last day of its year.
        let (year, month) =
            if self.month > 2 { (self.year, self.month - 2) } else { (self.year.wrapping_sub(1), self.month + 10) };
        let days = year
            .wrapping_mul(365)
            .wrapping_add(year / 4)
            .wrapping_sub(year / 100)
            .wrapping_add(year / 400)
            .wrapping_add(367 * month / 12 + self.day)
            .wrapping_sub(719_527 - 31 - 28 + 30 + 1);
        Some(days.wrapping_mul(86_400).wrapping_add(hour * 3600 + minute * 60 + second) as i64)
    }

    fn day_exists(&self) -> bool {
        const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        (self.day == 29 && self.month == 2 && leap) || self.day <= LENGTHS[self.month as usize - 1]
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// `06 Nov 1994 08:49:37` or `06-Nov-94 08:49:37`.
    fn day_first(&mut self) -> Option<Parts> {
        let day = self.number(2)?;
        let separator = self.byte()?;
        if separator == b' ' && self.rest.len() < 17 {
            return None;
        }
        let month = self.month()?;
        self.expect(separator)?;
        let year = match separator {
            b' ' => self.number(4)?,
            b'-' => match self.number(2)? {
                short @ 0..70 => short + 2000,
                short => short + 1900,
            },
            _ => return None,
        };
        self.expect(b' ')?;
        Some(Parts { year, month, day, time: self.time()? })
    }

    /// `Nov  6 08:49:37 1994`.
    fn asctime(&mut self) -> Option<Parts> {
        let month = self.month()?;
        self.byte()?;
        if self.rest.first() == Some(&b' ') {
            self.byte()?;
        }
        let mut day = self.number(1)?;
        if self.rest.first() != Some(&b' ') {
            day = day * 10 + self.number(1)?;
        }
        self.expect(b' ')?;
        let time = self.time()?;
        self.expect(b' ')?;
        Some(Parts { year: self.number(4)?, month, day, time })
    }

    fn time(&mut self) -> Option<(u64, u64, u64)> {
        let hour = self.number(2)?;
        self.expect(b':')?;
        let minute = self.number(2)?;
        self.expect(b':')?;
        Some((hour, minute, self.number(2)?))
    }

    /// Three letters, of which nginx looks at no more than it needs.
    fn month(&mut self) -> Option<u64> {
        let (name, rest) = self.rest.split_first_chunk::<3>()?;
        self.rest = rest;
        Some(match name {
            [b'J', b'a', _] => 1,
            [b'F', ..] => 2,
            [b'M', _, b'r'] => 3,
            [b'A', b'p', _] => 4,
            [b'M', ..] => 5,
            [b'J', _, b'n'] => 6,
            [b'J', ..] => 7,
            [b'A', ..] => 8,
            [b'S', ..] => 9,
            [b'O', ..] => 10,
            [b'N', ..] => 11,
            [b'D', ..] => 12,
            _ => return None,
        })
    }

    fn number(&mut self, digits: usize) -> Option<u64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time: i64) -> String {
        String::from_utf8(format_http(time).to_vec()).expect("ASCII")
    }

    #[test]
    fn formats_like_nginx() {
        assert_eq!(text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn formats_cookie_dates() {
        let mut out = Vec::new();
        append_cookie(&mut out, 784_111_777);
        append_cookie(&mut out, 2_145_916_800);
        assert_eq!(out, b"Sun, 06-Nov-94 08:49:37 GMTFri, 01-Jan-2038 00:00:00 GMT");
    }

    #[test]
    fn every_day_comes_back() {
        for day in (0..LAST_DAY).step_by(13) {
            let time = day * SECONDS_A_DAY + day % SECONDS_A_DAY;
            assert_eq!(parse_http(&format_http(time)), Some(time));
        }
    }

    #[test]
    fn reads_three_forms() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http(form.as_bytes()), Some(784_111_777), "{form}");
        }
        assert_eq!(parse_http(b"Sun Nov 16 08:49:37 1994"), Some(784_975_777));
        assert_eq!(parse_http(b"x,06 Nov 1994 08:49:37"), Some(784_111_777));
    }

    #[test]
    fn refuses_what_nginx_refuses() {
        for bad in [
            "",
            "now",
            "784111777",
            "Sun, 06 Nov 1994 08:49:3",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06.Nov.1994 08:49:37 GMT",
            "Sun, 06 Xov 1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 94",
        ] {
            assert_eq!(parse_http(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn caches_by_second() {
        let mut cache = DateCache::new();
        assert_eq!(cache.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.at(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(cache.at(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
