//! Request targets: nginx's normal form of a path, its arguments, its extension, and what it calls unsafe.

use super::escape::{Unescape, hex_value, unescape};
use std::borrow::Cow;
use std::ops::Range;

/// `merge_slashes`: do two or more slashes in a row count as one?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slashes {
    #[default]
    Merge,
    Keep,
}

/// The target is no path that nginx serves: it climbs above the root, or holds a broken escape or NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client sent invalid request")]
pub(crate) struct InvalidUri;

/// What [`normalise`] found besides the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Normalised {
    /// The arguments, in the target.
    pub(crate) args: Option<Range<usize>>,
    /// Where the extension begins in the path; it ends with the path.
    pub(crate) extension: Option<usize>,
    /// The path held an escape: it must be escaped again if it is sent on.
    pub(crate) quoted: bool,
    /// The path holds a `+`.
    pub(crate) plus: bool,
}

/// Makes nginx's normal form of a raw target: escapes undone, `/./` and `/../` resolved, slashes merged,
/// arguments and fragment cut off. The path replaces what `path` held; it always begins with a slash.
///
/// A target that begins with `?` is one whose path is empty, as `http://host?args` has it.
pub(crate) fn normalise(target: &[u8], slashes: Slashes, path: &mut Vec<u8>) -> Result<Normalised, InvalidUri> {
    path.clear();
    path.reserve(target.len() + 1);
    let mut walk = Walk { path, slashes, place: Place::Usual, found: Normalised::default() };
    if target.first() == Some(&b'?') {
        walk.path.push(b'/');
    }
    let mut at = 0;
    while let Some(&byte) = target.get(at) {
        at += 1;
        match byte {
            b'?' => {
                let args = &target[at..];
                let end = args.iter().position(|&byte| byte == b'#').unwrap_or(args.len());
                walk.found.args = Some(at..at + end);
                break;
            }
            b'#' => break,
            b'%' => {
                walk.quoted(target.get(at..at + 2).ok_or(InvalidUri)?)?;
                at += 2;
            }
            _ => walk.step(byte)?,
        }
    }
    walk.leave_dots()?;
    Ok(walk.found)
}

struct Walk<'a> {
    path: &'a mut Vec<u8>,
    slashes: Slashes,
    place: Place,
    found: Normalised,
}

/// What the path written so far ends with.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Usual,
    Slash,
    Dot,
    DotDot,
}

impl Walk<'_> {
    fn step(&mut self, byte: u8) -> Result<(), InvalidUri> {
        match (byte, self.place) {
            (b'/', Place::Usual) => {
                self.found.extension = None;
                self.path.push(byte);
                self.place = Place::Slash;
            }
            (b'/', Place::Slash) => {
                if self.slashes == Slashes::Keep {
                    self.path.push(byte);
                }
            }
            (b'/', Place::Dot | Place::DotDot) => {
                self.leave_dots()?;
                self.place = Place::Slash;
            }
            (b'.', place) => {
                self.path.push(byte);
                match place {
                    Place::Usual => self.found.extension = Some(self.path.len()),
                    Place::Slash => self.place = Place::Dot,
                    Place::Dot => self.place = Place::DotDot,
                    Place::DotDot => self.place = Place::Usual,
                }
            }
            _ => self.literal(byte),
        }
        Ok(())
    }

    fn literal(&mut self, byte: u8) {
        self.found.plus |= byte == b'+';
        self.path.push(byte);
        self.place = Place::Usual;
    }

    /// The two digits of an escape. An escaped `?`, `#` or `%` is a plain byte of the path; any other byte
    /// counts as if it had been written bare.
    fn quoted(&mut self, digits: &[u8]) -> Result<(), InvalidUri> {
        self.found.quoted = true;
        let (high, low) = (hex_value(digits[0]).ok_or(InvalidUri)?, hex_value(digits[1]).ok_or(InvalidUri)?);
        match high << 4 | low {
            0 => Err(InvalidUri),
            byte @ (b'?' | b'#' | b'%') => {
                self.literal(byte);
                Ok(())
            }
            byte => self.step(byte),
        }
    }

    /// Takes a last `.` off, or a last `..` and the segment before it.
    fn leave_dots(&mut self) -> Result<(), InvalidUri> {
        match self.place {
            Place::Dot => self.path.truncate(self.path.len() - 1),
            Place::DotDot => {
                let parent = self.path.len().checked_sub(3).ok_or(InvalidUri)?;
                let slash = self.path[..parent].iter().rposition(|&byte| byte == b'/').ok_or(InvalidUri)?;
                self.path.truncate(slash + 1);
            }
            Place::Usual | Place::Slash => {}
        }
        Ok(())
    }
}

/// The extension of a path that was set by hand, as by a rewrite: what follows the last dot of the last
/// segment, unless the segment begins with it.
pub(crate) fn extension(path: &[u8]) -> Option<&[u8]> {
    for at in (2..path.len()).rev() {
        match path[at] {
            b'.' if path[at - 1] != b'/' => return Some(&path[at + 1..]),
            b'/' => return None,
            _ => {}
        }
    }
    None
}

/// Splits at the first `?`; the arguments are `None` where there is no `?`.
pub(crate) fn split_args(uri: &[u8]) -> (&[u8], Option<&[u8]>) {
    match uri.iter().position(|&byte| byte == b'?') {
        Some(at) => (&uri[..at], Some(&uri[at + 1..])),
        None => (uri, None),
    }
}

/// The value that nginx's `$arg_NAME` means: raw, of the first argument of that name in any case.
pub(crate) fn arg<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    args.split(|&byte| byte == b'&').find_map(|arg| {
        let (found, value) = arg.split_at_checked(name.len())?;
        let value = value.strip_prefix(b"=")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A URI that a module was handed (by a header, an include, a redirect) would leave the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsafe URI was detected")]
pub(crate) struct UnsafeUri;

/// An unescaped path, and the raw arguments where a `?` stood.
type PathAndArgs<'a> = (Cow<'a, [u8]>, Option<&'a [u8]>);

/// Checks and unescapes a URI that did not come from the request line: the path and the arguments after `?`.
///
/// Unsafe are an empty path, NUL and a `..` segment, escaped or not. (nginx lets one pass that stands last before
/// a `?`; we do not.)
pub(crate) fn parse_unsafe(uri: &[u8]) -> Result<PathAndArgs<'_>, UnsafeUri> {
    if uri.first().is_none_or(|&byte| byte == b'?') {
        return Err(UnsafeUri);
    }
    let (path, args) = split_args(uri);
    if climbs(path) {
        return Err(UnsafeUri);
    }
    if !path.contains(&b'%') {
        return Ok((Cow::Borrowed(path), args));
    }
    let mut plain = Vec::with_capacity(path.len());
    unescape(path, Unescape::All, &mut plain);
    if climbs(&plain) {
        return Err(UnsafeUri);
    }
    Ok((Cow::Owned(plain), args))
}

/// Does the path hold a NUL or a `..` segment?
fn climbs(path: &[u8]) -> bool {
    path.contains(&b'\0') || path.split(|&byte| byte == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path, arguments and extension of a target.
    fn parts(target: &str, slashes: Slashes) -> Option<(String, Option<String>, Option<String>)> {
        let mut path = Vec::new();
        let found = normalise(target.as_bytes(), slashes, &mut path).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let extension = found.extension.map(|at| text(&path[at..]));
        Some((text(&path), found.args.map(|args| target[args].to_string()), extension))
    }

    fn path(target: &str) -> Option<String> {
        parts(target, Slashes::Merge).map(|(path, ..)| path)
    }

    #[test]
    fn normalises() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a/.", "/a/"),
            ("//a///b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2fb", "/a/b"),
            ("/%61%20%C3%A9", "/a é"),
            ("/a%25b%23c%3fd", "/a%b#c?d"),
            ("/a/...", "/a/..."),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/a/b?x=/../", "/a/b"),
            ("/a/..?x", "/"),
            ("/a/..#x", "/"),
            ("/a/.#x", "/a/"),
            ("?x=1", "/"),
        ] {
            assert_eq!(path(target).as_deref(), Some(expected), "{target}");
        }
        assert_eq!(parts("//a//../b", Slashes::Keep).map(|parts| parts.0).as_deref(), Some("//a/b"));
    }

    #[test]
    fn refuses() {
        for target in ["/..", "/../a", "/a/../../b", "/%", "/%4", "/%4g", "/%g4", "/a%00", "/a%2f..%2f..%2f"] {
            assert_eq!(path(target), None, "{target}");
        }
    }

    #[test]
    fn finds_args_and_extension() {
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            parts("/a.b/c.tar.gz?x=%20#f", Slashes::Merge),
            Some(("/a.b/c.tar.gz".into(), some("x=%20"), some("gz")))
        );
        assert_eq!(parts("/a.b/.c?", Slashes::Merge), Some(("/a.b/.c".into(), some(""), None)));
        assert_eq!(parts("/a.b/c", Slashes::Merge), Some(("/a.b/c".into(), None, None)));
    }

    #[test]
    fn notes_escapes_and_pluses() {
        let flags = |target: &str| {
            let found = normalise(target.as_bytes(), Slashes::Merge, &mut Vec::new()).expect("valid");
            (found.quoted, found.plus)
        };
        assert_eq!(flags("/a?%20+"), (false, false));
        assert_eq!(flags("/a%20"), (true, false));
        assert_eq!(flags("/a+"), (false, true));
        assert_eq!(flags("/a%2b"), (true, true));
    }

    #[test]
    fn finds_extensions_of_rewritten_paths() {
        assert_eq!(extension(b"/a/b.html"), Some(&b"html"[..]));
        assert_eq!(extension(b"/a.d/b"), None);
        assert_eq!(extension(b"/a/.b"), None);
        assert_eq!(extension(b"/.b"), None);
        assert_eq!(extension(b"/a."), Some(&b""[..]));
        assert_eq!(extension(b""), None);
    }

    #[test]
    fn splits_and_finds_args() {
        assert_eq!(split_args(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(split_args(b"/a"), (&b"/a"[..], None));
        assert_eq!(arg(b"ab=1&b=2&B=3&c", b"b"), Some(&b"2"[..]));
        assert_eq!(arg(b"B=3", b"b"), Some(&b"3"[..]));
        assert_eq!(arg(b"b=", b"b"), Some(&b""[..]));
        assert_eq!(arg(b"b&xb=1", b"b"), None);
    }

    #[test]
    fn checks_unsafe_uris() {
        assert_eq!(parse_unsafe(b"/a?b"), Ok((Cow::Borrowed(&b"/a"[..]), Some(&b"b"[..]))));
        assert_eq!(parse_unsafe(b"/a%20b"), Ok((Cow::Borrowed(&b"/a b"[..]), None)));
        for uri in ["", "?a", "..", "..?a", "/..?a", "../a", "/../a", "/a/..", "/a/%2e%2e/b", "%2e%2e/a", "/a%00"] {
            assert_eq!(parse_unsafe(uri.as_bytes()), Err(UnsafeUri), "{uri}");
        }
        assert!(parse_unsafe(b"/..a/a..b/...").is_ok());
    }
}
