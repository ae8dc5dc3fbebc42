//! Patterns in `include`: glob(3) as nginx calls it, over any [`Files`].

use std::os::unix::ffi::OsStrExt;

use super::files::{Files, path};

/// Whether nginx takes a name for a pattern.
pub(super) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[".contains(byte))
}

/// The paths that match, sorted by their bytes; a pattern without a match gives none.
pub(super) fn glob(files: &dyn Files, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    expand(files, Vec::new(), pattern, &mut found);
    found.sort();
    found
}

/// `done` is the path so far, up to a slash; `rest` the pattern behind it.
fn expand(files: &dyn Files, mut done: Vec<u8>, rest: &[u8], found: &mut Vec<Vec<u8>>) {
    let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
    let (slashes, rest) = rest.split_at(slashes);
    done.extend(slashes);
    let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (part, behind) = rest.split_at(length);
    if part.is_empty() {
        if files.exists(path(&done)) {
            found.push(done);
        }
    } else if is_pattern(part) {
        let folder = if done.is_empty() { path(b".") } else { path(&done) };
        for name in files.list(folder).unwrap_or_default() {
            let name = name.as_bytes();
            if matches(part, name) && (name[0] != b'.' || part[0] == b'.') {
                step(files, [&done, name].concat(), behind, found);
            }
        }
    } else {
        done.extend(unescaped(part));
        step(files, done, behind, found);
    }
}

fn step(files: &dyn Files, done: Vec<u8>, behind: &[u8], found: &mut Vec<Vec<u8>>) {
    if !behind.is_empty() {
        expand(files, done, behind, found);
    } else if files.exists(path(&done)) {
        found.push(done);
    }
}

fn unescaped(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.iter().copied();
    std::iter::from_fn(|| bytes.next().map(|byte| if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte }))
        .collect()
}

/// Whether a name matches one part of a pattern: `*`, `?`, `[a-z]`, `[!a]` and `\` before any of them.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        [b'?', rest @ ..] => !name.is_empty() && matches(rest, &name[1..]),
        [b'[', rest @ ..] => match (bracket(rest), name.split_first()) {
            (Some((set, rest)), Some((&byte, name))) => set.holds(byte) && matches(rest, name),
            (Some(_), None) => false,
            (None, _) => name.first() == Some(&b'[') && matches(rest, &name[1..]),
        },
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => name.first() == Some(byte) && matches(rest, &name[1..]),
    }
}

/// What stands in brackets.
struct Set<'a> {
    negated: bool,
    members: &'a [u8],
}

impl Set<'_> {
    fn holds(&self, byte: u8) -> bool {
        let mut members = self.members;
        let mut held = false;
        while let Some((&first, rest)) = members.split_first() {
            if let [b'-', last, behind @ ..] = rest {
                held |= (first..=*last).contains(&byte);
                members = behind;
            } else {
                held |= first == byte;
                members = rest;
            }
        }
        held != self.negated
    }
}

/// The set, and what is behind its `]`; none where it is never closed. A `]` that stands first is a member.
fn bracket(rest: &[u8]) -> Option<(Set<'_>, &[u8])> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let rest = if negated { &rest[1..] } else { rest };
    let close = 1 + rest.get(1..)?.iter().position(|&byte| byte == b']')?;
    Some((Set { negated, members: &rest[..close] }, &rest[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Memory;

    #[test]
    fn names_match_as_glob_matches_them() {
        let cases: [(&str, &str, bool); 14] = [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a]x", "bx", true),
            ("[]]x", "]x", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*a*b", "xaxxb", true),
            ("[0-9][0-9]-*", "10-site", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    fn found(pattern: &str) -> Vec<String> {
        let files = ["b.conf", "a.conf", ".hidden.conf", "sub/x.conf", "sub2/x.conf", "sub2/y"];
        let files = files.iter().fold(Memory::default(), |files, name| files.with(format!("/etc/{name}"), ""));
        glob(&files, pattern.as_bytes()).into_iter().map(|path| String::from_utf8(path).expect("text")).collect()
    }

    #[test]
    fn paths_come_sorted() {
        assert_eq!(found("/etc/*.conf"), ["/etc/a.conf", "/etc/b.conf"]);
        assert_eq!(found("/etc/sub*/x.conf"), ["/etc/sub/x.conf", "/etc/sub2/x.conf"]);
        assert_eq!(found("/etc/*/y"), ["/etc/sub2/y"]);
        assert_eq!(found("/etc/[bc].conf"), ["/etc/b.conf"]);
        assert_eq!(found("/etc//a.con?"), ["/etc//a.conf"]);
    }

    #[test]
    fn nothing_matches_nothing() {
        assert_eq!(found("/etc/*.none"), Vec::<String>::new());
        assert_eq!(found("/none/*.conf"), Vec::<String>::new());
        assert_eq!(found("/etc/.*.conf"), ["/etc/.hidden.conf"]);
    }
}
