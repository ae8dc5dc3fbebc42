//! What stands behind `(`.

use super::{Fault, Reader, Repeat};

const SYNTAX: &str = "syntax error in subpattern name (missing terminator?)";

impl<'p> Reader<'p> {
    pub(super) fn open(&mut self) -> Result<(), Fault> {
        let opens = match self.rest() {
            [b'(', b'?', rest @ ..] => return self.special(rest),
            // Verbs: our engine has none and says so.
            [b'(', b'*', letter, ..] if letter.is_ascii_alphabetic() => 2,
            _ => {
                self.groups += 1;
                1
            }
        };
        self.enter(opens);
        Ok(())
    }

    /// Passes the beginning of a group on.
    fn enter(&mut self, length: usize) {
        self.copy(length);
        self.depth += 1;
        self.repeat = Repeat::No;
    }

    /// Behind `(?`.
    fn special(&mut self, rest: &[u8]) -> Result<(), Fault> {
        match rest {
            [] => {
                self.at = self.text.len();
                self.fault("missing closing parenthesis")
            }
            [b'#', ..] => self.comment(),
            [b'<', b'=' | b'!', ..] => {
                self.enter(4);
                Ok(())
            }
            [b':' | b'|' | b'>' | b'=' | b'!', ..] => {
                self.enter(3);
                Ok(())
            }
            [b'<', ..] => self.named(3, b'>'),
            [b'P', b'<', ..] => self.named(4, b'>'),
            [b'\'', ..] => self.named(3, b'\''),
            [b'P', b'=' | b'>', ..] | [b'&' | b'R' | b'0'..=b'9' | b'+' | b'(' | b'C', ..] => {
                self.enter(2);
                Ok(())
            }
            [b'-', digit, ..] if digit.is_ascii_digit() => {
                self.enter(2);
                Ok(())
            }
            [b'P', ..] => {
                self.at += 3;
                self.fault("unrecognized character after (?P")
            }
            _ => self.options(),
        }
    }

    /// `(?#…)` is nothing.
    fn comment(&mut self) -> Result<(), Fault> {
        match self.rest().iter().position(|byte| *byte == b')') {
            Some(end) => {
                self.at += end + 1;
                Ok(())
            }
            None => {
                self.at = self.text.len();
                self.fault("missing ) after (?# comment")
            }
        }
    }

    /// `(?<name>`, whose name begins `skip` bytes from here.
    fn named(&mut self, skip: usize, end: u8) -> Result<(), Fault> {
        const LONGEST: usize = 32;
        self.at += skip;
        let rest = self.rest();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() {
            return self.fault("subpattern name expected");
        }
        if name[0].is_ascii_digit() {
            return self.fault("subpattern name must start with a non-digit");
        }
        self.at += length;
        if length > LONGEST {
            return self.fault("subpattern name is too long (maximum 32 code units)");
        }
        if self.peek() != Some(end) {
            return self.fault(SYNTAX);
        }
        self.at += 1;
        if self.names.contains(&name) {
            return self.fault("two named subpatterns have the same name (PCRE2_DUPNAMES not set)");
        }
        self.names.push(name);
        self.out.push_str("(?P<");
        self.out.extend(name.iter().copied().map(char::from));
        self.out.push('>');
        self.groups += 1;
        self.depth += 1;
        self.repeat = Repeat::No;
        Ok(())
    }

    /// `(?i)` and `(?i:`.
    fn options(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let letters = rest[2..].iter().position(|byte| !b"imsxnJU-^a".contains(byte)).unwrap_or(rest.len() - 2);
        match rest.get(2 + letters) {
            Some(b')') => {
                self.copy(3 + letters);
                self.repeat = Repeat::No;
                Ok(())
            }
            Some(b':') => {
                self.enter(3 + letters);
                Ok(())
            }
            Some(_) => {
                self.at += 2 + letters;
                self.fault("unrecognized character after (? or (?-")
            }
            None => {
                self.at = self.text.len();
                self.fault("missing closing parenthesis")
            }
        }
    }
}
