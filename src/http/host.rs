//! The host a client asked for: nginx's checks and its short form, without port, in lower case.

/// Appends the host in `value` to `out`, lower-cased, without port and final dot; `None` where nginx says
/// that the host is invalid. `value` is a `Host` field or the authority of an absolute request target.
///
/// Loose as nginx is: the port is not looked at, and bytes above 0x7f pass.
pub(crate) fn append_valid(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if let Some(length) = plain_length(value) {
        out.extend_from_slice(&value[..length]);
        return Some(());
    }
    let length = valid_length(value)?;
    let start = out.len();
    out.extend_from_slice(&value[..length]);
    out[start..].make_ascii_lowercase();
    Some(())
}

/// The length of a host in lower case where nothing or a port of digits follows; `None` if the value needs a
/// closer look. Almost all values are like that.
#[inline]
fn plain_length(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += value[at..].iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(value.len() - at);
        match value[at..] {
            [] => return (at > 0).then_some(at),
            [b'.', next, ..] if PLAIN[usize::from(next)] => at += 1,
            [b':', ref port @ ..] => return (at > 0 && port.iter().all(u8::is_ascii_digit)).then_some(at),
            _ => return None,
        }
    }
}

/// The bytes of lower-case host names, but dots.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        byte += 1;
    }
    plain
};

fn valid_length(value: &[u8]) -> Option<usize> {
    let mut length = value.len();
    let mut last_dot = None;
    let mut part = Part::Name;
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            b'.' => {
                if at > 0 && last_dot == Some(at - 1) {
                    return None;
                }
                last_dot = Some(at);
            }
            b':' if part == Part::Name => (length, part) = (at, Part::Rest),
            b'[' if at == 0 => part = Part::Literal,
            b']' if part == Part::Literal => (length, part) = (at + 1, Part::Rest),
            b'/' | 0..=b' ' | 0x7f => return None,
            _ => {}
        }
    }
    if length > 0 && last_dot == Some(length - 1) {
        length -= 1;
    }
    (length > 0).then_some(length)
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Name,
    /// Inside the brackets of an IP literal, where colons do not end the host.
    Literal,
    Rest,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> Option<String> {
        let mut out = Vec::new();
        append_valid(value.as_bytes(), &mut out)?;
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn shortens() {
        for (value, short) in [
            ("Example.COM", "example.com"),
            ("a.b.:8080", "a.b"),
            ("a.b.", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1", "[::1"),
            ("a:x:y", "a"),
            ("a_b", "a_b"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            (".a", ".a"),
            ("a:b.", "a"),
        ] {
            assert_eq!(host(value).as_deref(), Some(short), "{value}");
        }
    }

    #[test]
    fn refuses() {
        for value in ["", ".", ":80", "a..b", "a/b", "a b", "a\tb", "a\0", "a\x7f", "a:8/0", "a:..", ".:80"] {
            assert_eq!(host(value), None, "{value:?}");
        }
    }
}
