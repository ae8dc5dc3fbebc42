//! `Accept-Encoding`, read as nginx reads it: does the client take gzip?

/// Whether the value names gzip, and not with a quality of zero.
pub(super) fn accepts_gzip(value: &[u8]) -> bool {
    if value.len() < 4 {
        return false;
    }
    value.starts_with(b"gzip,") || behind_name(value).is_some_and(is_wanted)
}

/// What follows the name where it stands first or behind a comma or space.
fn behind_name(value: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while let Some(found) = value[at..].windows(4).position(|name| name.eq_ignore_ascii_case(b"gzip")) {
        let start = at + found;
        if start == 0 || matches!(value[start - 1], b',' | b' ') {
            return Some(&value[start + 4..]);
        }
        at = start + 4;
    }
    None
}

fn is_wanted(rest: &[u8]) -> bool {
    let Some((first, rest)) = without_spaces(rest) else { return true };
    match first {
        b',' => return true,
        b';' => {}
        _ => return false,
    }
    let Some((first, rest)) = without_spaces(rest) else { return true };
    matches!(first, b'q' | b'Q')
        && rest.len() >= 2
        && rest.strip_prefix(b"=").is_some_and(|quality| hundredths(quality) != 0)
}

fn without_spaces(rest: &[u8]) -> Option<(u8, &[u8])> {
    let start = rest.iter().position(|byte| *byte != b' ')?;
    Some((rest[start], &rest[start + 1..]))
}

/// A quality between 0.001 and 1.000; 0 for what is none. The digits behind the point are summed up, which
/// tells nothing from something.
fn hundredths(quality: &[u8]) -> u32 {
    let (whole, rest) = match quality {
        [digit @ (b'0' | b'1'), rest @ ..] => (u32::from(digit - b'0') * 100, rest),
        _ => return 0,
    };
    let rest = match rest {
        [] | [b',' | b' ', ..] => return whole,
        [b'.', rest @ ..] => rest,
        _ => return 0,
    };
    let end = rest.iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len());
    let digits = &rest[..end];
    if !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let sum = whole + digits.iter().map(|digit| u32::from(digit - b'0')).sum::<u32>();
    if sum > 100 || digits.len() > 3 { 0 } else { sum }
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn takes_what_nginx_takes() {
        for value in [
            "gzip",
            "gzip,deflate",
            "deflate, gzip",
            "GZIP",
            "gzip ",
            "gzip;",
            "gzip; q=0.5",
            "gzip;q=1",
            "gzip;q=1.000",
            "gzip;q=0.001, br",
            "x-gzip, gzip",
            "deflate,gzip;q=1.0,*;q=0.5",
        ] {
            assert!(accepts_gzip(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn refuses_what_nginx_refuses() {
        for value in [
            "",
            "gzi",
            "deflate",
            "x-gzip",
            "gzipped",
            "gzip;q=0",
            "gzip; q=0.000",
            "gzip;q=0.0000",
            "gzip;q=1.001",
            "gzip;q=2",
            "gzip;q",
            "gzip;q=",
            "gzip;level=1",
            "*",
        ] {
            assert!(!accepts_gzip(value.as_bytes()), "{value}");
        }
    }
}
