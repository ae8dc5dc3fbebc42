//! The time at the head of a line: local, to the second, kept per thread so that nobody waits for anybody.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, clock_gettime};

/// Length of `2026/11/22 08:00:00`.
const LEN: usize = 19;

/// A time as the error log has it, `2026/11/22 08:00:00`.
type ErrorTime = [u8; LEN];

/// A time as `$time_local` has it, `22/Nov/2026:08:00:00 +0000`.
pub type LocalTime = [u8; 26];

/// A time as `$time_iso8601` has it, `2026-11-22T08:00:00+00:00`.
pub type IsoTime = [u8; 25];

/// A time as syslog has it, `Nov 22 08:00:00`, the day with a space before it where it has one digit.
type SyslogTime = [u8; 15];

/// Counts changes of the system's time zone that we were told of.
static ZONE_GENERATION: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

struct Clock {
    generation: u32,
    zone: TimeZone,
    second: i64,
    texts: Texts,
}

/// One second in all forms.
struct Texts {
    error: ErrorTime,
    local: LocalTime,
    iso: IsoTime,
    syslog: SyslogTime,
}

/// Makes every thread look up the time zone again: nginx does so whenever it reads its configuration.
pub fn refresh_zone() {
    ZONE_GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The time of now, as nginx's error log writes it.
pub(super) fn now() -> ErrorTime {
    with_now(|texts| texts.error)
}

/// The time of now for `$time_local`.
pub fn time_local() -> LocalTime {
    with_now(|texts| texts.local)
}

/// The time of now for `$time_iso8601`.
pub fn time_iso8601() -> IsoTime {
    with_now(|texts| texts.iso)
}

/// The time of now for a message to syslog.
pub(super) fn time_syslog() -> SyslogTime {
    with_now(|texts| texts.syslog)
}

fn with_now<T>(pick: fn(&Texts) -> T) -> T {
    let second = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
    let generation = ZONE_GENERATION.load(Ordering::Relaxed);
    CLOCK.with_borrow_mut(|clock| match clock {
        Some(clock) if clock.generation == generation => pick(clock.at(second)),
        _ => pick(clock.insert(Clock::new(generation, second)).at(second)),
    })
}

impl Clock {
    fn new(generation: u32, second: i64) -> Self {
        let zone = TimeZone::system();
        Self { generation, second, texts: format(second, &zone), zone }
    }

    fn at(&mut self, second: i64) -> &Texts {
        if second != self.second {
            self.texts = format(second, &self.zone);
            self.second = second;
        }
        &self.texts
    }
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

fn format(second: i64, zone: &TimeZone) -> Texts {
    let time = Timestamp::from_second(second).unwrap_or_default().to_zoned(zone.clone());
    let year = u16::try_from(time.year()).unwrap_or_default();
    let fields = [time.month(), time.day(), time.hour(), time.minute(), time.second()]
        .map(|field| u16::from(field.unsigned_abs()));
    let mut error = *b"0000/00/00 00:00:00";
    let mut local = *b"00/xxx/0000:00:00:00 +0000";
    let mut iso = *b"0000-00-00T00:00:00+00:00";
    let mut syslog = *b"xxx 00 00:00:00";
    decimal(&mut error[..4], year);
    decimal(&mut local[7..11], year);
    decimal(&mut iso[..4], year);
    for (place, value) in [5, 8, 11, 14, 17].into_iter().zip(fields) {
        decimal(&mut error[place..place + 2], value);
        decimal(&mut iso[place..place + 2], value);
    }
    for (place, value) in [0, 12, 15, 18].into_iter().zip(&fields[1..]) {
        decimal(&mut local[place..place + 2], *value);
    }
    let month = 3 * usize::from(fields[0] - 1);
    local[3..6].copy_from_slice(&MONTHS[month..month + 3]);
    syslog[..3].copy_from_slice(&MONTHS[month..month + 3]);
    for (place, value) in [4, 7, 10, 13].into_iter().zip(&fields[1..]) {
        decimal(&mut syslog[place..place + 2], *value);
    }
    if syslog[4] == b'0' {
        syslog[4] = b' ';
    }
    let offset = time.offset().seconds();
    let sign = if offset < 0 { b'-' } else { b'+' };
    let minutes = u16::try_from(offset.unsigned_abs() / 60).unwrap_or_default();
    (local[21], iso[19]) = (sign, sign);
    decimal(&mut local[22..24], minutes / 60);
    decimal(&mut local[24..], minutes % 60);
    decimal(&mut iso[20..22], minutes / 60);
    decimal(&mut iso[23..], minutes % 60);
    Texts { error, local, iso, syslog }
}

fn decimal(digits: &mut [u8], mut value: u16) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(second: i64, zone: &TimeZone) -> String {
        String::from_utf8(format(second, zone).error.to_vec()).unwrap()
    }

    #[test]
    fn writes_the_forms_of_access_logs() {
        let kathmandu = TimeZone::fixed(jiff::tz::Offset::from_seconds(20_700).unwrap());
        let texts = format(1_795_334_409, &kathmandu);
        assert_eq!(texts.local, *b"22/Nov/2026:13:45:09 +0545");
        assert_eq!(texts.iso, *b"2026-11-22T13:45:09+05:45");
        assert_eq!(texts.syslog, *b"Nov 22 13:45:09");
        assert_eq!(format(0, &kathmandu).syslog, *b"Jan  1 05:45:00");
        let newfoundland = TimeZone::fixed(jiff::tz::Offset::from_seconds(-12_600).unwrap());
        assert_eq!(format(0, &newfoundland).local, *b"31/Dec/1969:20:30:00 -0330");
    }

    #[test]
    fn writes_local_time() {
        let saigon = TimeZone::fixed(jiff::tz::offset(7));
        assert_eq!(text(1_795_334_400, &TimeZone::UTC), "2026/11/22 08:00:00");
        assert_eq!(text(1_795_334_400, &saigon), "2026/11/22 15:00:00");
        assert_eq!(text(0, &TimeZone::UTC), "1970/01/01 00:00:00");
    }

    #[test]
    fn now_is_a_time() {
        let now = now();
        assert_eq!((now[4], now[7], now[10], now[13], now[16]), (b'/', b'/', b' ', b':', b':'));
    }
}
