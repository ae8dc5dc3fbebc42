//! One header line, read by nginx's state machine; requests, responses and trailers share it.

use super::scan;
use crate::http::header_id::{HeaderId, LONGEST, name_words};
use crate::http::headers::{Headers, Piece};

/// Who sent the line. nginx skips the second status line that some servers send among their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Upstream,
}

/// What reading has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Field(Field),
    /// The empty line that ends a head.
    Last,
    Partial,
}

/// A complete header line, as places in the bytes read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) id: HeaderId,
    pub(super) name: Piece,
    pub(super) value: Piece,
}

impl Field {
    /// Does nginx call the name valid? Others are dropped, unless `ignore_invalid_headers` is off.
    pub(super) fn has_valid_name(&self, input: &[u8], underscores: bool) -> bool {
        self.id != HeaderId::Other || Spelling::of(self.name.of(input)).is_valid(underscores)
    }
}

/// What a name is made of: nothing but letters, digits and hyphens, or a set of odd things.
#[derive(Clone, Copy)]
struct Spelling(u8);

impl Spelling {
    const UNDERSCORE: u8 = 1;
    const OTHER: u8 = 2;
    /// Not a byte of a name at all.
    const BAD: u8 = 4;

    fn of(name: &[u8]) -> Spelling {
        Spelling(name.iter().fold(0, |found, &byte| found | NAME_BYTES[usize::from(byte)]))
    }

    fn is_valid(self, underscores: bool) -> bool {
        self.0 <= if underscores { Spelling::UNDERSCORE } else { 0 }
    }
}

static NAME_BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => 0,
            b'_' => Spelling::UNDERSCORE,
            0..=b' ' | 0x7f | b':' => Spelling::BAD,
            _ => Spelling::OTHER,
        };
        byte += 1;
    }
    bytes
};

/// What [`HeaderReader::read_usual`] stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    /// A line that means something to the caller, who notes it.
    Special(Field),
    /// The empty line that ends a head.
    Last,
    /// An unusual line, or one that is not whole.
    Odd,
}

/// Which lines [`HeaderReader::read_usual`] reads, and which of them it hands out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Lines must end before this place.
    pub(super) end: usize,
    /// Are underscores valid in names?
    pub(super) underscores: bool,
    /// The bits of the ids that mean something to the caller.
    pub(super) special: u64,
}

/// The line is refused. The bytes from the reader's `start` to `at`, and the one at `at`, go into the error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidLine {
    pub(super) at: usize,
}

/// Reads line after line; `pos` is the next byte to read, `start` where the current or last line begins.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderReader {
    state: State,
    pub(super) pos: usize,
    pub(super) start: usize,
    name_end: usize,
    value_start: usize,
    value_end: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Name,
    SpaceBeforeValue,
    Value,
    IgnoredLine,
    AlmostDone,
    HeadAlmostDone,
}

impl HeaderReader {
    pub(super) fn at(pos: usize) -> HeaderReader {
        HeaderReader { pos, start: pos, ..HeaderReader::default() }
    }

    /// Has no byte of the current line been read?
    pub(super) fn is_between_lines(&self) -> bool {
        self.state == State::Start
    }

    /// Notes whole, usual lines in `headers`, up to a special one, which it returns, to the empty one, or to one that
    /// [`HeaderReader::read`] must look at.
    #[inline(never)]
    pub(super) fn read_usual(&mut self, input: &[u8], wanted: &Wanted, headers: &mut Headers) -> Usual {
        if self.state != State::Start {
            return Usual::Odd;
        }
        let (mut start, mut pos, mut found) = (self.start, self.pos, Usual::Odd);
        while let Some((field, next)) = usual_field(input, pos, wanted.underscores) {
            if next > wanted.end {
                break;
            }
            (start, pos) = (pos, next);
            if wanted.special & field.id.bit() != 0 {
                found = Usual::Special(field);
                break;
            }
            headers.push_pieces(field.id, field.name, field.value);
        }
        if let (Usual::Odd, Some([b'\r', b'\n', ..])) = (found, input.get(pos..wanted.end.min(input.len()))) {
            (start, pos, found) = (pos, pos + 2, Usual::Last);
        }
        (self.start, self.pos) = (start, pos);
        found
    }

    /// Reads on, one line at the most.
    #[inline(never)]
    pub(super) fn read(&mut self, input: &[u8], sender: Sender) -> Result<Line, InvalidLine> {
        while let Some(&byte) = input.get(self.pos) {
            let line = match self.state {
                State::Start => self.in_start(byte)?,
                State::Name => self.in_name(input, byte, sender)?,
                State::SpaceBeforeValue | State::Value => self.in_value(input, byte)?,
                State::IgnoredLine => self.in_ignored(byte),
                State::AlmostDone | State::HeadAlmostDone => self.in_end(byte)?,
            };
            self.pos += 1;
            match line {
                Ended::No => {}
                Ended::Field => return Ok(Line::Field(self.field(input))),
                Ended::Head => return Ok(Line::Last),
            }
        }
        Ok(Line::Partial)
    }

    fn in_start(&mut self, byte: u8) -> Result<Ended, InvalidLine> {
        self.start = self.pos;
        match byte {
            b'\r' => self.state = State::HeadAlmostDone,
            b'\n' => return Ok(Ended::Head),
            0..=b' ' | 0x7f | b':' => return Err(InvalidLine { at: self.pos }),
            _ => self.state = State::Name,
        }
        Ok(Ended::No)
    }

    fn in_name(&mut self, input: &[u8], byte: u8, sender: Sender) -> Result<Ended, InvalidLine> {
        match byte {
            b':' => {
                self.name_end = self.pos;
                self.state = State::SpaceBeforeValue;
            }
            b'\r' | b'\n' => {
                self.name_end = self.pos;
                return Ok(self.end_value(self.pos..self.pos, byte));
            }
            b'/' if sender == Sender::Upstream && &input[self.start..self.pos] == b"HTTP" => {
                self.state = State::IgnoredLine;
            }
            0..=b' ' | 0x7f => return Err(InvalidLine { at: self.pos }),
            _ => {}
        }
        Ok(Ended::No)
    }

    fn in_value(&mut self, input: &[u8], byte: u8) -> Result<Ended, InvalidLine> {
        let is_before = self.state == State::SpaceBeforeValue;
        match byte {
            b'\0' => return Err(InvalidLine { at: self.pos }),
            b'\r' | b'\n' if is_before => return Ok(self.end_value(self.pos..self.pos, byte)),
            b'\r' | b'\n' => {
                let length = trimmed_length(&input[self.value_start..self.pos]);
                return Ok(self.end_value(self.value_start..self.value_start + length, byte));
            }
            b' ' if is_before => {}
            _ if is_before => {
                self.value_start = self.pos;
                self.state = State::Value;
            }
            _ => {}
        }
        Ok(Ended::No)
    }

    fn end_value(&mut self, value: std::ops::Range<usize>, byte: u8) -> Ended {
        (self.value_start, self.value_end) = (value.start, value.end);
        if byte == b'\n' {
            self.state = State::Start;
            return Ended::Field;
        }
        self.state = State::AlmostDone;
        Ended::No
    }

    fn in_ignored(&mut self, byte: u8) -> Ended {
        if byte == b'\n' {
            self.state = State::Start;
        }
        Ended::No
    }

    /// After CR: LF, or any number of further CRs at the end of a field.
    fn in_end(&mut self, byte: u8) -> Result<Ended, InvalidLine> {
        let is_field = self.state == State::AlmostDone;
        match byte {
            b'\n' => {
                self.state = State::Start;
                Ok(if is_field { Ended::Field } else { Ended::Head })
            }
            b'\r' if is_field => Ok(Ended::No),
            _ => Err(InvalidLine { at: if is_field { self.value_end } else { self.start } }),
        }
    }

    fn field(&self, input: &[u8]) -> Field {
        let name = &input[self.start..self.name_end];
        Field {
            id: HeaderId::of(name),
            name: Piece::new(self.start, self.name_end),
            value: Piece::new(self.value_start, self.value_end),
        }
    }
}

/// A whole line at `pos`, with a valid name and without NUL or a lone CR; and where the next line begins.
/// Almost all lines are like that, so it is worth its own way.
#[inline(always)]
fn usual_field(input: &[u8], pos: usize, underscores: bool) -> Option<(Field, usize)> {
    let line = input.get(pos..)?;
    let words = name_words(line);
    if words[0] as u8 <= b' ' {
        return None;
    }
    let name_length = match scan::colon(&words) {
        Some(length) => length,
        None => long_name(line)?,
    };
    let id = HeaderId::of_words(&words, name_length);
    if id == HeaderId::Other && !is_usual_name(line.get(..name_length)?, underscores) {
        return None;
    }
    // Behind the colon and, almost always, one space.
    let mut value = line.get(name_length + 1..)?;
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    let start = input.len() - value.len();
    let mut length = scan::control(value);
    let after = loop {
        match value.get(length..)? {
            [b'\r', b'\n', ..] => break length + 2,
            [b'\n', ..] => break length + 1,
            [b'\t', rest @ ..] => length += 1 + scan::control(rest),
            _ => return None,
        }
    };
    let value = Piece::new(start, start + trimmed_length(&value[..length]));
    Some((Field { id, name: Piece::new(pos, pos + name_length), value }, start + after))
}

/// The length of a name that no known one is as long as.
#[cold]
fn long_name(line: &[u8]) -> Option<usize> {
    let length = LONGEST + scan::name_end(line.get(LONGEST..)?);
    (line.get(length) == Some(&b':')).then_some(length)
}

fn is_usual_name(name: &[u8], underscores: bool) -> bool {
    !name.is_empty() && Spelling::of(name).is_valid(underscores)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Field,
    Head,
}

/// The length of a value without the spaces, not tabs, behind it.
#[inline(always)]
fn trimmed_length(value: &[u8]) -> usize {
    match value {
        [.., b' '] => value.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1),
        _ => value.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of `input`, read at once or byte by byte.
    fn lines(input: &[u8], sender: Sender, at_once: bool) -> Result<Vec<(String, String)>, (usize, usize)> {
        let mut reader = HeaderReader::at(0);
        let mut found = Vec::new();
        let mut have = if at_once { input.len() } else { 0 };
        loop {
            let wanted = Wanted { end: have, underscores: sender == Sender::Upstream, special: !0 };
            let usual = reader.read_usual(&input[..have], &wanted, &mut Headers::new());
            let read = match usual {
                Usual::Special(field) => Ok(Line::Field(field)),
                Usual::Last => Ok(Line::Last),
                Usual::Odd => reader.read(&input[..have], sender),
            };
            match read {
                Ok(Line::Field(field)) => {
                    let text = |piece: Piece| String::from_utf8_lossy(piece.of(input)).into_owned();
                    found.push((text(field.name), text(field.value)));
                }
                Ok(Line::Last) => return Ok(found),
                Ok(Line::Partial) if have == input.len() => {
                    found.push(("partial".into(), String::new()));
                    return Ok(found);
                }
                Ok(Line::Partial) => have += 1,
                Err(invalid) => return Err((reader.start, invalid.at)),
            }
        }
    }

    fn client(input: &str) -> Result<Vec<(String, String)>, (usize, usize)> {
        let at_once = lines(input.as_bytes(), Sender::Client, true);
        assert_eq!(at_once, lines(input.as_bytes(), Sender::Client, false), "{input:?}");
        at_once
    }

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, (usize, usize)> {
        Ok(expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn reads_lines() {
        assert_eq!(client("Host: a\r\nX:b \r\n\r\n"), pairs(&[("Host", "a"), ("X", "b")]));
        assert_eq!(
            client("A:\nB:  \nC\r\nD: \t x y\t \n\n"),
            pairs(&[("A", ""), ("B", ""), ("C", ""), ("D", "\t x y\t")])
        );
        assert_eq!(client("A: b\r\r\r\n\r\n"), pairs(&[("A", "b")]));
        assert_eq!(client("A(b: c\x01\u{e9}\r\n\r\n"), pairs(&[("A(b", "c\x01\u{e9}")]));
        assert_eq!(client("A: b\r\nC: d"), pairs(&[("A", "b"), ("partial", "")]));
    }

    #[test]
    fn refuses_lines() {
        assert_eq!(client(" A: b\r\n\r\n"), Err((0, 0)));
        assert_eq!(client(": b\r\n\r\n"), Err((0, 0)));
        assert_eq!(client("A : b\r\n\r\n"), Err((0, 1)));
        assert_eq!(client("A\x7f: b\r\n\r\n"), Err((0, 1)));
        assert_eq!(client("A: b\0\r\n\r\n"), Err((0, 4)));
        assert_eq!(client("A: \0\r\n\r\n"), Err((0, 3)));
        assert_eq!(client("A: b  \rc\r\n\r\n"), Err((0, 4)));
        assert_eq!(client("A: b\r\n\rc"), Err((6, 6)));
        assert_eq!(client("A: b\r\n c\r\n\r\n"), Err((6, 6)));
    }

    #[test]
    fn skips_a_second_status_line_of_an_upstream() {
        let input = b"A: b\r\nHTTP/1.1 200 OK\r\nHTTP/x: y\r\nC: d\r\n\r\n";
        let expected = pairs(&[("A", "b"), ("C", "d")]);
        assert_eq!(lines(input, Sender::Upstream, true), expected);
        assert_eq!(lines(input, Sender::Upstream, false), expected);
        assert_eq!(lines(input, Sender::Client, true), Err((6, 14)));
    }

    #[test]
    fn judges_names() {
        let valid = |name: &str, underscores| Spelling::of(name.as_bytes()).is_valid(underscores);
        assert!(valid("X-Ab9", false) && valid("X_a", true));
        assert!(!valid("X_a", false) && !valid("X.a", true) && !valid("é", true));
    }
}
