//! Bytes to lexemes, with nginx's rules: nom parsers that never fail hard, so that a broken file still has lexemes.
//!
//! Bytes, not characters: a byte-order mark or a no-break space is an ordinary byte of a word. Every function is a
//! production of `grammar/nginx.ebnf`.

use std::borrow::Cow;

use memchr::memchr;
use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take, take_till, take_while, take_while1},
    character::complete::one_of,
    combinator::{opt, recognize},
    multi::{many0_count, many1_count},
    sequence::pair,
};

/// What is left to read; always a suffix of the text.
pub(super) type Rest<'a> = &'a [u8];

/// The raw bytes between two quotes, escapes not resolved.
pub(super) struct Quoted<'a> {
    /// What stands behind the opening quote.
    pub(super) content: &'a [u8],
    /// Whether the closing quote was found before the end of the text.
    pub(super) closed: bool,
}

/// Whether a byte separates words: space, tab, CR or LF. VT and FF do not.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `space = ( " " | TAB | CR | LF ) +`
pub(super) fn space(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    take_while1(is_space).parse(rest)
}

/// `comment = "#" { any byte but LF }`: only where a word could start.
pub(super) fn comment(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    recognize(pair(tag("#"), take_till(|byte| byte == b'\n'))).parse(rest)
}

/// `bare_word = ( escape | variable_open | plain ) +`: `#`, `}`, quotes and brackets inside it are plain bytes.
pub(super) fn bare_word(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    // Nearly all words are plain to their end.
    match plain(rest) {
        Ok((behind, word)) if !matches!(behind, [b'\\' | b'$', ..]) => Ok((behind, word)),
        _ => recognize(many1_count(alt((plain, escape, variable_open)))).parse(rest),
    }
}

/// `plain = any byte but space, ";", "{", "\", "$"`
fn plain(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    take_while1(|byte| PLAIN[usize::from(byte)]).parse(rest)
}

static PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut ends: &[u8] = b" \t\r\n;{\\$";
    while let [byte, rest @ ..] = ends {
        plain[*byte as usize] = false;
        ends = rest;
    }
    plain
};

/// `escape = "\" [ any byte ]`: the byte behind a backslash never ends a word.
fn escape(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    recognize(pair(tag("\\"), opt(take(1usize)))).parse(rest)
}

/// `variable_open = "$" { "{" }`: a `{` right behind `$` does not end a word.
fn variable_open(rest: Rest<'_>) -> IResult<Rest<'_>, &[u8]> {
    recognize(pair(tag("$"), take_while(|byte| byte == b'{'))).parse(rest)
}

/// `quoted_word = '"' { escape | any byte but '"' } '"' | "'" { escape | any byte but "'" } "'"`
///
/// Without a closing quote the word goes on to the end of the text.
pub(super) fn quoted_word(rest: Rest<'_>) -> IResult<Rest<'_>, Quoted<'_>> {
    let (rest, quote) = one_of("\"'").parse(rest)?;
    let quote = quote as u8;
    let inside = take_while1(move |byte| byte != quote && byte != b'\\');
    let (rest, content) = recognize(many0_count(alt((inside, escape)))).parse(rest)?;
    let (rest, close) = opt(tag(&[quote][..])).parse(rest)?;
    Ok((rest, Quoted { content, closed: close.is_some() }))
}

/// The length of what is left of a quantifier behind its `{`: `2}`, `2,}` or `2,3}`.
pub(super) fn quantifier(rest: Rest<'_>) -> Option<usize> {
    let close = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b',')?;
    (rest[close] == b'}' && rest[0].is_ascii_digit()).then_some(close + 1)
}

/// The length of what is left of a placeholder behind its first `{`: `{ name }}` on one line.
pub(super) fn placeholder(rest: Rest<'_>) -> Option<usize> {
    let line = rest.strip_prefix(b"{")?.split(|&byte| byte == b'\n').next()?;
    line.windows(2).position(|pair| pair == b"}}").map(|close| close + 3)
}

/// The bytes that nginx would keep of a word: `\"`, `\'` and `\\` lose the backslash, `\t`, `\r` and `\n` become the
/// control byte, and every other pair stays as it was written.
pub(super) fn resolve_escapes(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut value = raw[..first].to_vec();
    let mut bytes = raw[first..].iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        match bytes.next() {
            Some(kept @ (b'"' | b'\'' | b'\\')) => value.push(kept),
            Some(b't') => value.push(b'\t'),
            Some(b'r') => value.push(b'\r'),
            Some(b'n') => value.push(b'\n'),
            Some(other) => value.extend([b'\\', other]),
            None => value.push(b'\\'),
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> (&str, &str) {
        let (rest, word) = bare_word(text.as_bytes()).expect("a word");
        (std::str::from_utf8(word).unwrap(), std::str::from_utf8(rest).unwrap())
    }

    #[test]
    fn a_bare_word_ends_at_space_semicolon_and_brace_only() {
        assert_eq!(bare("80}; x"), ("80}", "; x"));
        assert_eq!(bare("/a#b c"), ("/a#b", " c"));
        assert_eq!(bare("a\"b'(){"), ("a\"b'()", "{"));
        assert_eq!(bare("a\x0bb\tc"), ("a\x0bb", "\tc"));
    }

    #[test]
    fn braces_right_behind_a_dollar_belong_to_the_word() {
        assert_eq!(bare("${uri}x;"), ("${uri}x", ";"));
        assert_eq!(bare("$a{"), ("$a", "{"));
        assert_eq!(bare("${{a{"), ("${{a", "{"));
    }

    #[test]
    fn a_backslash_guards_the_next_byte() {
        assert_eq!(bare("a\\ b\\;c\\{d;"), ("a\\ b\\;c\\{d", ";"));
        assert_eq!(bare("$\\{a{"), ("$\\{a", "{"));
        assert_eq!(bare("a\\"), ("a\\", ""));
    }

    #[test]
    fn a_quoted_word_ends_at_its_own_quote() {
        let (rest, word) = quoted_word(b"\"a'b;{#\\\"c\nd\" e").expect("a word");
        assert_eq!((rest, word.content, word.closed), (&b" e"[..], &b"a'b;{#\\\"c\nd"[..], true));
        let (rest, word) = quoted_word(b"'' ").expect("a word");
        assert_eq!((rest, word.content, word.closed), (&b" "[..], &b""[..], true));
        let (rest, word) = quoted_word(b"'never").expect("a word");
        assert_eq!((rest, word.content, word.closed), (&b""[..], &b"never"[..], false));
    }

    #[test]
    fn escapes_resolve_as_nginx_does() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"plain", b"plain"),
            (b"\\\"\\'\\\\", b"\"'\\"),
            (b"a\\tb\\rc\\nd", b"a\tb\rc\nd"),
            (b"\\.\\ \\;", b"\\.\\ \\;"),
            (b"end\\", b"end\\"),
            (b"a\\\nb", b"a\\\nb"),
        ];
        for (raw, value) in cases {
            assert_eq!(&*resolve_escapes(raw), value);
        }
    }
}
