//! The time at the head of a line: local, to the second, kept per thread so that nobody waits for anybody.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, clock_gettime};

/// Length of `2026/11/22 08:00:00`.
const LEN: usize = 19;

/// Counts changes of the system's time zone that we were told of.
static ZONE_GENERATION: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

struct Clock {
    generation: u32,
    zone: TimeZone,
    second: i64,
    text: [u8; LEN],
}

/// Makes every thread look up the time zone again: nginx does so whenever it reads its configuration.
pub fn refresh_zone() {
    ZONE_GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The time of now, as nginx's error log writes it.
pub(super) fn now() -> [u8; LEN] {
    let second = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
    let generation = ZONE_GENERATION.load(Ordering::Relaxed);
    CLOCK.with_borrow_mut(|clock| match clock {
        Some(clock) if clock.generation == generation => clock.at(second),
        _ => clock.insert(Clock::new(generation)).at(second),
    })
}

impl Clock {
    fn new(generation: u32) -> Self {
        Self { generation, zone: TimeZone::system(), second: i64::MIN, text: [b'0'; LEN] }
    }

    fn at(&mut self, second: i64) -> [u8; LEN] {
        if second != self.second {
            self.text = format(second, &self.zone);
            self.second = second;
        }
        self.text
    }
}

fn format(second: i64, zone: &TimeZone) -> [u8; LEN] {
    let time = Timestamp::from_second(second).unwrap_or_default().to_zoned(zone.clone());
    let mut text = *b"0000/00/00 00:00:00";
    let year = u16::try_from(time.year()).unwrap_or_default();
    decimal(&mut text[0..4], year);
    for (place, value) in
        [(5, time.month()), (8, time.day()), (11, time.hour()), (14, time.minute()), (17, time.second())]
    {
        decimal(&mut text[place..place + 2], u16::from(value.unsigned_abs()));
    }
    text
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
        String::from_utf8(format(second, zone).to_vec()).unwrap()
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
