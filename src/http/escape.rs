//! Percent-escaping of URIs in nginx's several ways, its forgiving way back, and HTML text.

use std::borrow::Cow;

/// What is escaped: each is a set of bytes nginx escapes for one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// A path: what no URI may hold, and `#`, `%`, `?`.
    Uri,
    /// Arguments: as a path, and `&`, `+`, `;`.
    Args,
    /// All but letters, digits, `-`, `.`, `_`, `~`.
    UriComponent,
    /// A link inside an HTML attribute.
    Html,
    /// A `Refresh` link.
    Refresh,
    /// A memcached key: spaces, control bytes and `%`.
    Memcached,
    /// The credentials in the mail proxy's `auth_http` request; the same set as for memcached.
    MailAuth,
    /// SMTP's xtext: `+` is the escape character.
    MailXtext,
}

/// The bytes of the eight sets, one bit for each of 256 bytes.
type Set = [u32; 8];

const CONTROLS: &[u8] = b"\0\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\
    \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ";

const fn set(bases: &[&[u8]], high: bool) -> Set {
    let mut bits = if high { [0, 0, 0, 0, !0, !0, !0, !0] } else { [0; 8] };
    let mut base = 0;
    while base < bases.len() {
        let mut at = 0;
        while at < bases[base].len() {
            let byte = bases[base][at];
            bits[byte as usize / 32] |= 1 << (byte % 32);
            at += 1;
        }
        base += 1;
    }
    bits
}

static URI: Set = set(&[CONTROLS, b"\"<>\\^`{|}\x7f", b"#%?"], true);
static ARGS: Set = set(&[CONTROLS, b"\"<>\\^`{|}\x7f", b"#%?&+;"], true);
static URI_COMPONENT: Set = set(&[CONTROLS, b"!\"#$%&'()*+,/:;<=>?@[\\]^`{|}\x7f"], true);
static HTML: Set = set(&[CONTROLS, b"\"<>\\^`{|}\x7f", b"#%'"], true);
// nginx leaves `}` and escapes `~` here.
static REFRESH: Set = set(&[CONTROLS, b"\"<>\\^`{|~\x7f", b"'"], true);
static MEMCACHED: Set = set(&[CONTROLS, b"%"], false);
static MAIL_XTEXT: Set = set(&[CONTROLS, b"+=\x7f"], true);

impl Escape {
    fn set(self) -> &'static Set {
        match self {
            Escape::Uri => &URI,
            Escape::Args => &ARGS,
            Escape::UriComponent => &URI_COMPONENT,
            Escape::Html => &HTML,
            Escape::Refresh => &REFRESH,
            Escape::Memcached | Escape::MailAuth => &MEMCACHED,
            Escape::MailXtext => &MAIL_XTEXT,
        }
    }
}

fn holds(set: &Set, byte: u8) -> bool {
    set[usize::from(byte) / 32] & (1 << (byte % 32)) != 0
}

/// How many bytes of `source` need an escape; each adds two bytes.
pub(crate) fn escape_count(source: &[u8], escape: Escape) -> usize {
    let set = escape.set();
    source.iter().filter(|&&byte| holds(set, byte)).count()
}

/// Appends `source`, escaped, to `out`.
pub(crate) fn append_escaped(source: &[u8], escape: Escape, out: &mut Vec<u8>) {
    let (set, prefix) = (escape.set(), if escape == Escape::MailXtext { b'+' } else { b'%' });
    for &byte in source {
        if holds(set, byte) {
            out.extend_from_slice(&[prefix, hex_digit(byte >> 4), hex_digit(byte & 15)]);
        } else {
            out.push(byte);
        }
    }
}

/// `source` with its escapes; borrowed if it needs none.
pub(crate) fn escaped(source: &[u8], escape: Escape) -> Cow<'_, [u8]> {
    let count = escape_count(source, escape);
    if count == 0 {
        return Cow::Borrowed(source);
    }
    let mut out = Vec::with_capacity(source.len() + 2 * count);
    append_escaped(source, escape, &mut out);
    Cow::Owned(out)
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}

/// The value of a hexadecimal digit in either case.
#[inline]
pub(crate) fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// How far [`unescape`] goes and what it undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unescape {
    /// Every escape.
    All,
    /// Every escape up to the first `?`, escaped or not, which is the last byte written.
    Uri,
    /// As `Uri`, but only escapes of visible ASCII above `%`: the others are left as they are.
    Redirect,
}

/// Appends `source` without its escapes to `out`; returns how many bytes of `source` were read.
///
/// As in nginx, a `%` before something that is not hexadecimal vanishes, together with a first digit.
pub(crate) fn unescape(source: &[u8], unescape: Unescape, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            if byte == b'?' && unescape != Unescape::All {
                break;
            }
            continue;
        }
        let Some(&first) = source.get(at) else { break };
        at += 1;
        let Some(high) = hex_value(first) else {
            out.push(first);
            continue;
        };
        let Some(&second) = source.get(at) else { break };
        at += 1;
        let Some(low) = hex_value(second) else { continue };
        let decoded = high << 4 | low;
        if decoded == b'?' && unescape != Unescape::All {
            out.push(decoded);
            break;
        }
        if unescape == Unescape::Redirect && !(b'&'..0x7f).contains(&decoded) {
            out.extend_from_slice(&[b'%', first, second]);
        } else {
            out.push(decoded);
        }
    }
    at
}

/// Appends `text` with `<`, `>`, `&` and `"` as HTML entities.
pub(crate) fn append_html(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(*byte),
        }
    }
}

/// Appends text as it may stand inside a JSON string; bytes that are not UTF-8 stay as they are.
pub(crate) fn append_json(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(source: &str, escape: Escape) -> String {
        String::from_utf8(escaped(source.as_bytes(), escape).into_owned()).expect("ASCII")
    }

    #[test]
    fn sets_are_nginx_bitmaps() {
        assert_eq!(URI[1..4], [0xd000_002d, 0x5000_0000, 0xb800_0001]);
        assert_eq!(ARGS[1..4], [0xd800_086d, 0x5000_0000, 0xb800_0001]);
        assert_eq!(URI_COMPONENT[1..4], [0xfc00_9fff, 0x7800_0001, 0xb800_0001]);
        assert_eq!(HTML[1..4], [0x5000_00ad, 0x5000_0000, 0xb800_0001]);
        assert_eq!(REFRESH[1..4], [0x5000_0085, 0x5000_0000, 0xd800_0001]);
        assert_eq!(MEMCACHED[1..], [0x21, 0, 0, 0, 0, 0, 0]);
        assert_eq!(MAIL_XTEXT[1..4], [0x2000_0801, 0, 0x8000_0000]);
        for set in [&URI, &ARGS, &URI_COMPONENT, &HTML, &REFRESH, &MAIL_XTEXT] {
            assert_eq!((set[0], set[4], set[7]), (!0, !0, !0));
        }
    }

    #[test]
    fn escapes_by_use() {
        assert_eq!(escape("/a b?c#d%é", Escape::Uri), "/a%20b%3Fc%23d%25%C3%A9");
        assert_eq!(escape("a&b+c;d=e/f", Escape::Args), "a%26b%2Bc%3Bd=e/f");
        assert_eq!(escape("a/b:c~", Escape::UriComponent), "a%2Fb%3Ac~");
        assert_eq!(escape("a+b=c", Escape::MailXtext), "a+2Bb+3Dc");
        assert!(matches!(escaped(b"/plain/path.html", Escape::Uri), Cow::Borrowed(_)));
    }

    #[test]
    fn unescapes_as_nginx_does() {
        let undo = |source: &str, how| {
            let mut out = Vec::new();
            let read = unescape(source.as_bytes(), how, &mut out);
            (String::from_utf8_lossy(&out).into_owned(), read)
        };
        assert_eq!(undo("a%20b%2f?c", Unescape::All), ("a b/?c".into(), 10));
        assert_eq!(undo("a%20b?c%20", Unescape::Uri), ("a b?".into(), 6));
        assert_eq!(undo("a%3fb", Unescape::Uri), ("a?".into(), 4));
        assert_eq!(undo("a%20%41%25%2f%3Fb", Unescape::Redirect), ("a%20A%25/?".into(), 16));
        assert_eq!(undo("%zz%4zx%4", Unescape::All), ("zzx".into(), 9));
    }

    #[test]
    fn escapes_html() {
        let mut out = Vec::new();
        append_html(b"<a href=\"x\">&'", &mut out);
        assert_eq!(out, b"&lt;a href=&quot;x&quot;&gt;&amp;'");
    }

    #[test]
    fn escapes_json() {
        let mut out = Vec::new();
        append_json(b"a\"\\\n\x08\x1f\xff", &mut out);
        assert_eq!(out, b"a\\\"\\\\\\n\\b\\u001F\xff");
    }
}
