//! nginx's value parsers, as pure functions with its exact rules: `None` is what nginx calls invalid.
//!
//! Source: the behaviour of `ngx_parse_size`, `ngx_parse_offset`, `ngx_parse_time` and of the slots of nginx 1.28.3.

use std::time::Duration;

/// The largest number of nginx on a 64-bit machine, whatever it counts.
const MAX: u64 = i64::MAX as u64;

/// `on` or `off`, in any letter case.
pub fn flag(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"on") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"off") {
        Some(false)
    } else {
        None
    }
}

/// Decimal digits, at least one, no sign; at most 2^63 - 1.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| push_digit(value, byte))
}

fn push_digit(value: u64, byte: u8) -> Option<u64> {
    let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
    value.checked_mul(10)?.checked_add(digit).filter(|&value| value <= MAX)
}

/// A size in bytes: digits, then `k` or `m` in either case or nothing.
pub fn size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = split_unit(text)?;
    match unit {
        b'k' | b'K' => scaled(digits, 1 << 10),
        b'm' | b'M' => scaled(digits, 1 << 20),
        _ => number(text),
    }
}

/// A size of a file or a body in bytes: as [`size`], and `g` too.
pub fn offset(text: &[u8]) -> Option<u64> {
    let (digits, unit) = split_unit(text)?;
    match unit {
        b'g' | b'G' => scaled(digits, 1 << 30),
        _ => size(text),
    }
}

fn split_unit(text: &[u8]) -> Option<(&[u8], u8)> {
    text.split_last().map(|(&unit, digits)| (digits, unit))
}

fn scaled(digits: &[u8], scale: u64) -> Option<u64> {
    number(digits).filter(|&value| value <= MAX / scale).map(|value| value * scale)
}

/// A time kept in milliseconds: `1h30m`, `500ms`, `60`; units `w d h m s ms` in falling order, each once,
/// bare digits are seconds.
pub fn msec(text: &[u8]) -> Option<Duration> {
    time(text, Precision::Milliseconds).map(Duration::from_millis)
}

/// A time kept in seconds: units `y M w d h m s`, otherwise as [`msec`].
pub fn sec(text: &[u8]) -> Option<Duration> {
    time(text, Precision::Seconds).map(Duration::from_secs)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Precision {
    Seconds,
    Milliseconds,
}

/// How small the last unit was: a unit must be smaller than the one before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start,
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    /// A space behind bare digits, which are seconds; no unit may follow.
    Last,
}

fn time(text: &[u8], precision: Precision) -> Option<u64> {
    let (mut total, mut value, mut valid) = (0u64, 0u64, false);
    let mut step = if precision == Precision::Seconds { Step::Start } else { Step::Month };
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte.is_ascii_digit() {
            value = push_digit(value, byte)?;
            valid = true;
            rest = after;
            continue;
        }
        let (next, scale, after) = unit(byte, after, step, precision)?;
        step = next;
        total = add(total, value, scale)?;
        value = 0;
        rest = skip_spaces(after);
    }
    let scale = if precision == Precision::Seconds { 1 } else { 1000 };
    if valid { add(total, value, scale) } else { None }
}

fn add(total: u64, value: u64, scale: u64) -> Option<u64> {
    if value > MAX / scale {
        return None;
    }
    Some(total + value * scale).filter(|&total| total <= MAX)
}

/// The unit that starts with `byte`, where it may follow `step`: the new step, its scale, and what is behind it.
fn unit(byte: u8, after: &[u8], step: Step, precision: Precision) -> Option<(Step, u64, &[u8])> {
    let is_msec = byte == b'm' && after.first() == Some(&b's');
    let (next, seconds, allowed) = match byte {
        b'y' => (Step::Year, 365 * 86_400, step <= Step::Start),
        b'M' => (Step::Month, 30 * 86_400, step < Step::Month),
        b'w' => (Step::Week, 7 * 86_400, step < Step::Week),
        b'd' => (Step::Day, 86_400, step < Step::Day),
        b'h' => (Step::Hour, 3600, step < Step::Hour),
        b'm' if is_msec => (Step::Millisecond, 1, precision == Precision::Milliseconds && step < Step::Millisecond),
        b'm' => (Step::Minute, 60, step < Step::Minute),
        b's' => (Step::Second, 1, step < Step::Second),
        b' ' => (Step::Last, 1, step < Step::Second),
        _ => return None,
    };
    let scale = if next == Step::Millisecond || precision == Precision::Seconds { seconds } else { seconds * 1000 };
    allowed.then_some((next, scale, if is_msec { &after[1..] } else { after }))
}

/// Spaces only: a tab is not one to nginx here.
fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|&&byte| byte == b' ').count();
    &text[spaces..]
}

/// Which of the words it is, in any letter case.
pub fn keyword(text: &[u8], words: &[&str]) -> Option<usize> {
    words.iter().position(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

/// A number of buffers and the size of each; neither may be zero.
pub fn buffers(count: &[u8], each: &[u8]) -> Option<(u64, u64)> {
    let count = number(count).filter(|&count| count > 0)?;
    size(each).filter(|&size| size > 0).map(|size| (count, size))
}

/// The levels of a path with hashed folders: up to three numbers, whose digits make at most ten bytes together.
pub fn levels<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u64>> {
    let levels = texts.into_iter().map(|text| number(text).filter(|&level| level > 0)).collect::<Option<Vec<_>>>()?;
    let length: u64 = levels.iter().fold(0, |sum, level| sum.saturating_add(level.saturating_add(1)));
    (length <= 10 + levels.len() as u64).then_some(levels)
}

/// File permissions as `user:rw group:r all:r`: the mode bits. Without `user:` the user may read and write. The error is the
/// first word at fault.
pub fn access<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<u32, usize> {
    let (mut mode, mut user) = (0, 0o600);
    for (index, text) in texts.into_iter().enumerate() {
        let (shift, rights) = if let Some(rights) = text.strip_prefix(b"user:") {
            user = 0;
            (6, rights)
        } else if let Some(rights) = text.strip_prefix(b"group:") {
            (3, rights)
        } else {
            (0, text.strip_prefix(b"all:").ok_or(index)?)
        };
        let bits = match rights {
            b"rw" => 6,
            b"r" => 4,
            _ => return Err(index),
        };
        mode |= bits << shift;
    }
    Ok(mode | user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_on_and_off_in_any_case() {
        assert_eq!((flag(b"on"), flag(b"OFF"), flag(b"On")), (Some(true), Some(false), Some(true)));
        assert_eq!((flag(b"true"), flag(b""), flag(b"on ")), (None, None, None));
    }

    #[test]
    fn numbers_have_digits_only_and_a_limit() {
        assert_eq!((number(b"0"), number(b"007")), (Some(0), Some(7)));
        assert_eq!(number(b"9223372036854775807"), Some(MAX));
        for text in ["", "-1", "+1", "1.5", "1k", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_one_unit() {
        assert_eq!(
            (size(b"8k"), size(b"1M"), size(b"512"), size(b"0")),
            (Some(8192), Some(1 << 20), Some(512), Some(0))
        );
        assert_eq!((size(b"9007199254740991k"), size(b"9007199254740992k")), (Some((MAX >> 10) << 10), None));
        for text in ["", "k", "1g", "1kb", "1 k", "-1", "1.5m"] {
            assert_eq!(size(text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            (offset(b"4G"), offset(b"2m"), offset(b"g"), offset(b"1t")),
            (Some(4 << 30), Some(2 << 20), None, None)
        );
    }

    #[test]
    fn times_have_falling_units() {
        let ms = |text: &str| msec(text.as_bytes()).map(|time| time.as_millis());
        assert_eq!(
            (ms("60"), ms("1h30m"), ms("500ms"), ms("1s500ms")),
            (Some(60_000), Some(5_400_000), Some(500), Some(1500))
        );
        assert_eq!((ms("5 "), ms("5 5")), (Some(5000), Some(10_000)));
        assert_eq!((ms("1w 2d"), ms("1m 30"), ms("1h  5ms")), (Some(777_600_000), Some(90_000), Some(3_600_005)));
        for text in ["", "s", "1m1h", "1s1s", "10sec", "1y", "1M", "1.5s", "5 5s", "1h\t1m", "1ms1s", "-1"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn times_in_seconds_know_years_but_no_milliseconds() {
        let s = |text: &str| sec(text.as_bytes()).map(|time| time.as_secs());
        assert_eq!(
            (s("1y"), s("1M"), s("1y1M1w"), s("30")),
            (Some(31_536_000), Some(2_592_000), Some(34_732_800), Some(30))
        );
        assert_eq!((s("500ms"), s("1M1y"), s("1y1y")), (None, None, None));
    }

    #[test]
    fn times_do_not_overflow() {
        let ms = |text: &str| msec(text.as_bytes()).map(|time| time.as_millis() as u64);
        assert_eq!(ms("9223372036854775807"), None);
        assert_eq!(ms("9223372036854775"), Some(9_223_372_036_854_775_000));
        assert_eq!(ms("9223372036854775807ms"), Some(MAX));
        assert_eq!(ms("9223372036854775s808ms"), None);
        assert_eq!(ms("9223372036854775808ms"), None);
    }

    #[test]
    fn buffers_are_never_zero() {
        assert_eq!(buffers(b"8", b"4k"), Some((8, 4096)));
        assert_eq!((buffers(b"0", b"4k"), buffers(b"8", b"0"), buffers(b"8", b"4kb")), (None, None, None));
    }

    #[test]
    fn levels_fit_into_ten_digits() {
        let of = |texts: &[&'static str]| levels(texts.iter().map(|text| text.as_bytes()));
        assert_eq!((of(&[]), of(&["1", "2"])), (Some(vec![]), Some(vec![1, 2])));
        assert_eq!((of(&["0"]), of(&["x"]), of(&["10"]), of(&["11"])), (None, None, Some(vec![10]), None));
    }

    #[test]
    fn access_is_read_as_mode_bits() {
        let of = |texts: &[&'static str]| access(texts.iter().map(|text| text.as_bytes()));
        assert_eq!((of(&["user:rw", "group:rw", "all:r"]), of(&["all:r"])), (Ok(0o664), Ok(0o604)));
        assert_eq!((of(&["user:rw", "world:r"]), of(&["user:x"])), (Err(1), Err(0)));
    }
}
