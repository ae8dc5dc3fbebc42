//! What stands between `[` and `]`.

use super::escape::{Escaped, put_member};
use super::{Fault, Reader, Repeat};

const POSIX: [&str; 14] = [
    "alpha", "lower", "upper", "alnum", "ascii", "blank", "cntrl", "digit", "graph", "print", "punct", "space", "word",
    "xdigit",
];

const BAD_RANGE: &str = "invalid range in character class";

impl Reader<'_> {
    pub(super) fn class(&mut self) -> Result<(), Fault> {
        if self.posix_end().is_some() {
            return self.fault("POSIX named classes are supported only within a class");
        }
        self.copy(1);
        if self.peek() == Some(b'^') {
            self.copy(1);
        }
        let mut first = true;
        loop {
            match self.peek() {
                None => return self.fault("missing terminating ] for character class"),
                Some(b']') if !first => break,
                Some(_) => self.member()?,
            }
            first = false;
        }
        self.copy(1);
        self.repeat = Repeat::Yes;
        Ok(())
    }

    /// One member, or a range.
    fn member(&mut self) -> Result<(), Fault> {
        let Some(from) = self.single()? else { return self.no_range_behind_set() };
        let [b'-', behind, ..] = self.rest() else {
            put_member(&mut self.out, from);
            return Ok(());
        };
        if *behind == b']' {
            put_member(&mut self.out, from);
            return Ok(());
        }
        self.at += 1;
        let place = self.at;
        let mark = self.out.len();
        let Some(to) = self.single()? else {
            self.out.truncate(mark);
            return self.fault(BAD_RANGE);
        };
        if to < from {
            self.at = place;
            return self.fault("range out of order in character class");
        }
        put_member(&mut self.out, from);
        self.out.push('-');
        put_member(&mut self.out, to);
        Ok(())
    }

    /// `[\d-z]` is none.
    fn no_range_behind_set(&self) -> Result<(), Fault> {
        match self.rest() {
            [b'-', behind, ..] if *behind != b']' => self.fault(BAD_RANGE),
            _ => Ok(()),
        }
    }

    /// A byte; sets are written at once.
    fn single(&mut self) -> Result<Option<u8>, Fault> {
        match self.peek() {
            Some(b'[') if self.posix_end().is_some() => self.posix().map(|()| None),
            Some(b'\\') => match self.escaped()? {
                Escaped::Byte(byte) => Ok(Some(byte)),
                Escaped::Set(set) => {
                    self.out.push_str(set);
                    Ok(None)
                }
                Escaped::Not(set) => {
                    self.out.push_str("[^");
                    self.out.push_str(set);
                    self.out.push(']');
                    Ok(None)
                }
                Escaped::Quoted(length) => {
                    let quoted = self.at..self.at + length;
                    self.text[quoted].iter().for_each(|byte| put_member(&mut self.out, *byte));
                    self.at += length;
                    Ok(None)
                }
                Escaped::Nothing | Escaped::Same => Ok(None),
            },
            Some(byte) => {
                self.at += 1;
                Ok(Some(byte))
            }
            None => self.fault("missing terminating ] for character class"),
        }
    }

    /// The length of `[:alpha:]` and its like, right or wrong.
    fn posix_end(&self) -> Option<usize> {
        let [b'[', kind @ (b':' | b'.' | b'='), rest @ ..] = self.rest() else { return None };
        let length = rest.iter().position(|byte| !byte.is_ascii_alphabetic() && *byte != b'^')?;
        (rest[length..].starts_with(&[*kind, b']'])).then_some(length + 4)
    }

    fn posix(&mut self) -> Result<(), Fault> {
        let length = self.posix_end().unwrap_or(0);
        let text = &self.rest()[..length];
        if text[1] != b':' {
            return self.fault("POSIX collating elements are not supported");
        }
        let negated = text[2] == b'^';
        let start = if negated { 3 } else { 2 };
        let name = &text[start..length - 2];
        if !POSIX.iter().any(|known| known.as_bytes() == name) {
            self.at += start;
            return self.fault("unknown POSIX class name");
        }
        self.copy(length);
        Ok(())
    }
}
