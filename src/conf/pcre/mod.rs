//! PCRE's language: checks a pattern with PCRE2's own words, and says the same to our engine, whose language is a
//! little different. Bytes are bytes: nginx does not ask for UTF.

mod class;
mod escape;
mod group;

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// PCRE2's sentence.
    pub(super) message: &'static str,
    /// How far PCRE2 had read, in bytes.
    pub(super) at: usize,
}

/// Whether what stands before can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    No,
    Yes,
    /// It is repeated already; one `?` or `+` may follow.
    Done,
}

/// Reads a pattern once from left to right.
struct Reader<'p> {
    text: &'p [u8],
    at: usize,
    out: String,
    repeat: Repeat,
    /// Brackets that are open.
    depth: usize,
    groups: u64,
    names: Vec<&'p [u8]>,
    /// Numbers of groups that are meant, each with the place to complain about.
    references: Vec<(u64, usize)>,
}

const NOT_REPEATABLE: &str = "quantifier does not follow a repeatable item";

/// Checks a pattern and translates it; the result is ASCII.
pub(super) fn translate(pattern: &[u8]) -> Result<String, Fault> {
    let mut reader = Reader {
        text: pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 8),
        repeat: Repeat::No,
        depth: 0,
        groups: 0,
        names: Vec::new(),
        references: Vec::new(),
    };
    while let Some(byte) = reader.peek() {
        reader.item(byte)?;
    }
    if reader.depth > 0 {
        return Err(Fault { message: "missing closing parenthesis", at: pattern.len() });
    }
    match reader.references.iter().find(|(number, _)| *number > reader.groups) {
        Some((_, at)) => Err(Fault { message: "reference to non-existent subpattern", at: *at }),
        None => Ok(reader.out),
    }
}

impl<'p> Reader<'p> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'p [u8] {
        &self.text[self.at..]
    }

    fn fault<T>(&self, message: &'static str) -> Result<T, Fault> {
        Err(Fault { message, at: self.at })
    }

    /// Passes so many bytes on as they are.
    fn copy(&mut self, count: usize) {
        let end = self.at + count;
        let text = &self.text[self.at..end];
        self.out.extend(text.iter().copied().map(char::from));
        self.at = end;
    }

    fn item(&mut self, byte: u8) -> Result<(), Fault> {
        match byte {
            b'\\' => self.escape(),
            b'[' => self.class(),
            b'(' => self.open(),
            b')' if self.depth == 0 => self.fault("unmatched closing parenthesis"),
            b')' => {
                self.depth -= 1;
                self.copy(1);
                self.repeat = Repeat::Yes;
                Ok(())
            }
            b'*' | b'+' | b'?' => self.quantifier(),
            b'{' => self.counted(),
            b'|' | b'^' | b'$' => {
                self.copy(1);
                self.repeat = Repeat::No;
                Ok(())
            }
            b'.' => {
                self.copy(1);
                self.repeat = Repeat::Yes;
                Ok(())
            }
            _ => {
                self.at += 1;
                self.literal(byte);
                Ok(())
            }
        }
    }

    /// A byte that stands for itself.
    fn literal(&mut self, byte: u8) {
        put_literal(&mut self.out, byte);
        self.repeat = Repeat::Yes;
    }

    /// `*`, `+`, `?`, or the `?` or `+` behind one of them.
    fn quantifier(&mut self) -> Result<(), Fault> {
        self.repeat = match (self.repeat, self.peek()) {
            (Repeat::Yes, _) => Repeat::Done,
            (Repeat::Done, Some(b'?' | b'+')) => Repeat::No,
            _ => return self.fault(NOT_REPEATABLE),
        };
        self.copy(1);
        Ok(())
    }

    /// `{2}`, `{2,}`, `{2,3}`; anything else is a bracket that stands for itself.
    fn counted(&mut self) -> Result<(), Fault> {
        const MOST: u64 = 65_535;
        let Some((least, most, length)) = counts(self.rest()) else {
            self.at += 1;
            self.literal(b'{');
            return Ok(());
        };
        let close = self.at + length - 1;
        let fault = |message| Err(Fault { message, at: close });
        if least > MOST || most.is_some_and(|most| most > MOST) {
            return fault("number too big in {} quantifier");
        }
        if most.is_some_and(|most| most < least) {
            return fault("numbers out of order in {} quantifier");
        }
        if self.repeat != Repeat::Yes {
            return fault(NOT_REPEATABLE);
        }
        self.copy(length);
        self.repeat = Repeat::Done;
        Ok(())
    }
}

/// Least and most, and the length of it all. `{2}` has the same twice, `{2,}` has no most.
pub(super) fn counts(text: &[u8]) -> Option<(u64, Option<u64>, usize)> {
    let end = text.iter().position(|byte| *byte == b'}')?;
    let inner = std::str::from_utf8(&text[1..end]).ok()?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (least, most) = match inner.split_once(',') {
        None => (number(inner)?, Some(number(inner)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most)?)),
    };
    Some((least, most, end + 1))
}

/// Writes a byte so that it stands for itself, inside classes too.
fn put_literal(out: &mut String, byte: u8) {
    match byte {
        b'0'..=b'9'
        | b'A'..=b'Z'
        | b'a'..=b'z'
        | b'_'
        | b'/'
        | b'<'
        | b'>'
        | b'\''
        | b'"'
        | b'%'
        | b','
        | b':'
        | b';'
        | b'='
        | b'@'
        | b'`'
        | b'!' => out.push(char::from(byte)),
        b' '..=b'~' => {
            out.push('\\');
            out.push(char::from(byte));
        }
        _ => put_hex(out, byte),
    }
}

fn put_hex(out: &mut String, byte: u8) {
    use std::fmt::Write as _;
    // Writing to a string does not fail.
    let _ = write!(out, "\\x{byte:02X}");
}

#[cfg(test)]
mod tests;
