//! Patterns, right and wrong, with what PCRE2 10.42 says of them.

use super::*;

fn words(pattern: &str) -> Result<String, (&'static str, &str)> {
    translate(pattern.as_bytes()).map_err(|fault| (fault.message, pattern.get(fault.at..).unwrap_or("?")))
}

#[test]
fn complains_in_the_words_of_pcre() {
    for (pattern, message, behind) in [
        ("a(b", "missing closing parenthesis", ""),
        ("(?", "missing closing parenthesis", ""),
        ("(?i", "missing closing parenthesis", ""),
        ("a)b", "unmatched closing parenthesis", ")b"),
        ("*", NOT_REPEATABLE, "*"),
        ("a**", NOT_REPEATABLE, "*"),
        ("a|*", NOT_REPEATABLE, "*"),
        ("(+x)", NOT_REPEATABLE, "+x)"),
        ("^*", NOT_REPEATABLE, "*"),
        ("a??*", NOT_REPEATABLE, "*"),
        ("\\b+", NOT_REPEATABLE, "+"),
        ("(?i)*", NOT_REPEATABLE, "*"),
        ("(?#x)*", NOT_REPEATABLE, "*"),
        ("{2}", NOT_REPEATABLE, "}"),
        ("a{1}{2}", NOT_REPEATABLE, "}"),
        ("a{2,1}", "numbers out of order in {} quantifier", "}"),
        ("a{99999}", "number too big in {} quantifier", "}"),
        ("[a", "missing terminating ] for character class", ""),
        ("[]", "missing terminating ] for character class", ""),
        ("[^]", "missing terminating ] for character class", ""),
        ("[[:alpha:", "missing terminating ] for character class", ""),
        ("x[z-a]y", "range out of order in character class", "a]y"),
        ("[\\d-z]", "invalid range in character class", "-z]"),
        ("[a-\\d]", "invalid range in character class", "]"),
        ("[[:foo:]]", "unknown POSIX class name", "foo:]]"),
        ("[[:^foo:]]", "unknown POSIX class name", "foo:]]"),
        ("[:alpha:]", "POSIX named classes are supported only within a class", "[:alpha:]"),
        ("[[.a.]]", "POSIX collating elements are not supported", "[.a.]]"),
        ("a\\", "\\ at end of pattern", ""),
        ("[\\", "\\ at end of pattern", ""),
        ("a\\yb", "unrecognized character follows \\", "yb"),
        ("\\u", "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u", ""),
        ("\\x{zz}", "non-hex character in \\x{} (closing brace missing?)", "zz}"),
        ("\\c", "\\c at end of pattern", ""),
        ("(?<", "subpattern name expected", ""),
        ("(?<>x)", "subpattern name expected", ">x)"),
        ("(?<1a>x)", "subpattern name must start with a non-digit", "1a>x)"),
        ("(?<a", "syntax error in subpattern name (missing terminator?)", ""),
        ("(?<a-b>x)", "syntax error in subpattern name (missing terminator?)", "-b>x)"),
        ("(?<a>x)(?<a>y)", "two named subpatterns have the same name (PCRE2_DUPNAMES not set)", "y)"),
        ("(?Q)", "unrecognized character after (? or (?-", "Q)"),
        ("(?PQ)", "unrecognized character after (?P", "Q)"),
        ("(?#", "missing ) after (?# comment", ""),
        ("\\1", "reference to non-existent subpattern", "1"),
        ("(a)\\2", "reference to non-existent subpattern", "2"),
    ] {
        assert_eq!(words(pattern), Err((message, behind)), "{pattern}");
    }
}

#[test]
fn says_the_same_to_the_engine() {
    for (pattern, translated) in [
        ("^/a.b(c|d)?$", "^/a.b(c|d)?$"),
        ("\\.(gif|jpe?g)$", "\\.(gif|jpe?g)$"),
        ("(?<n>\\d+)", "(?P<n>\\d+)"),
        ("a{2,3}+b{x}{,3}", "a{2,3}+b\\{x\\}\\{,3\\}"),
        ("[]a-c-][^[&&]", "[\\x5Da-c\\x2D][^\\x5B\\x26\\x26]"),
        ("[[:alpha:]_\\w.-]", "[[:alpha:]_\\w\\x2E\\x2D]"),
        ("\\<a\\/\\_\\-", "<a/_\\-"),
        ("\\Qa.b\\E*", "a\\.b*"),
        ("\\h\\x41\\x{42}\\103\\n", "[\\t\\x20\\xA0]ABC\\x0A"),
        ("é", "\\xC3\\xA9"),
        ("(?i:a)(?#no)b(?=c)(?!d)(?<=e)", "(?i:a)b(?=c)(?!d)(?<=e)"),
        ("(a)\\1", "(a)\\1"),
    ] {
        assert_eq!(words(pattern).as_deref(), Ok(translated), "{pattern}");
    }
}

#[test]
fn the_engine_takes_all_of_it() {
    for (pattern, subject, matches) in [
        (&b"^/\\w{2,3}\\.ph[p5]{1}$"[..], &b"/ab.php"[..], true),
        (b"[^\\x20-\\x7e]", b"/\xc3\xa9", true),
        (b"\xc3\xa9+$", b"/\xc3\xa9", true),
        (b"[[:punct:]]{3}", b"a.&[b", true),
        (b"a{b}", b"xa{b}", true),
        (b"^(?<x>a+)(?:b|c)\\1$", b"aabaa", true),
        (b"(?i)^/A\\Q.*\\E", b"/a.*", true),
        (b"\\bx\\b", b"a x", true),
        (b"^.{1,}$", b"a\nb", false),
        (b"[\\H\\n]", b"\t", false),
        (b"^\\p{N}+\\PL\\p{^Lu}$", b"12\xb2-a", true),
        (b"\\/\\~\\#\\ \\@\\!", b"/~# @!", true),
    ] {
        let translated = translate(pattern).unwrap();
        let name = |_: &str| crate::http::VarIndex(0);
        let regex = crate::http::Regex::new(pattern, &translated, false, name).unwrap();
        assert_eq!(regex.is_match(subject), Ok(matches), "{translated}");
    }
}
