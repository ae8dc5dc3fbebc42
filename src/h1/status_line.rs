//! The status line of an upstream's answer, read by nginx's state machine.

use super::scan;
use crate::http::version::Version;
use std::ops::Range;

/// This is no status line. nginx then takes all the answer for a body, as from an HTTP/0.9 server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoStatusLine;

#[derive(Clone, Debug, Default)]
pub(super) struct StatusLine {
    state: State,
    /// The next byte to read.
    pub(super) pos: usize,
    major: u32,
    minor: u32,
    pub(super) code: u16,
    digits: u8,
    /// From the code to the end of the reason.
    pub(super) line: Range<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Protocol,
    FirstMajor,
    Major,
    FirstMinor,
    Minor,
    Code,
    AfterCode,
    Reason,
    AlmostDone,
    Done,
}

const PROTOCOL: &[u8] = b"HTTP/";

impl StatusLine {
    pub(super) fn version(&self) -> Version {
        Version::new(self.major, self.minor)
    }

    /// Reads on; true when the line is complete and `pos` stands behind it.
    #[inline]
    pub(super) fn read(&mut self, input: &[u8]) -> Result<bool, NoStatusLine> {
        if self.pos == 0 && self.read_usual(input).is_some() {
            return Ok(true);
        }
        while let Some(&byte) = input.get(self.pos) {
            self.step(byte)?;
            self.pos += 1;
            if self.state == State::Done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A whole line such as `HTTP/1.1 200 OK` in one go. `None`, and nothing changed, if it is not that.
    #[inline]
    fn read_usual(&mut self, input: &[u8]) -> Option<()> {
        let (front, rest) = input.split_first_chunk::<13>()?;
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'1', b' ', code @ .., b' '] = front else {
            return None;
        };
        if !code.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let end = scan::control(rest);
        let [b'\r', b'\n', ..] = rest[end..] else { return None };
        *self = StatusLine {
            state: State::Done,
            pos: 13 + end + 2,
            major: 1,
            minor: u32::from(minor - b'0'),
            code: code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
            digits: 3,
            line: 9..13 + end,
        };
        Some(())
    }

    fn step(&mut self, byte: u8) -> Result<(), NoStatusLine> {
        use State::*;
        match self.state {
            Protocol => self.in_protocol(byte),
            FirstMajor | Major | FirstMinor | Minor => self.in_version(byte),
            Code => self.in_code(byte),
            AfterCode | Reason | AlmostDone | Done => self.in_reason(byte),
        }
    }

    fn in_protocol(&mut self, byte: u8) -> Result<(), NoStatusLine> {
        if PROTOCOL.get(self.pos) != Some(&byte) {
            return Err(NoStatusLine);
        }
        if self.pos + 1 == PROTOCOL.len() {
            self.state = State::FirstMajor;
        }
        Ok(())
    }

    fn in_version(&mut self, byte: u8) -> Result<(), NoStatusLine> {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        match (self.state, byte) {
            (State::FirstMajor, b'1'..=b'9') | (State::Major, b'0'..=b'9') if self.major <= 99 => {
                self.major = self.major * 10 + digit;
                self.state = State::Major;
            }
            (State::Major, b'.') => self.state = State::FirstMinor,
            (State::FirstMinor | State::Minor, b'0'..=b'9') if self.minor <= 99 => {
                self.minor = self.minor * 10 + digit;
                self.state = State::Minor;
            }
            (State::Minor, b' ') => self.state = State::Code,
            _ => return Err(NoStatusLine),
        }
        Ok(())
    }

    /// Three digits, among which nginx does not mind spaces.
    fn in_code(&mut self, byte: u8) -> Result<(), NoStatusLine> {
        match byte {
            b' ' => {}
            b'0'..=b'9' => {
                self.code = self.code * 10 + u16::from(byte - b'0');
                self.digits += 1;
                if self.digits == 3 {
                    self.line.start = self.pos - 2;
                    self.state = State::AfterCode;
                }
            }
            _ => return Err(NoStatusLine),
        }
        Ok(())
    }

    fn in_reason(&mut self, byte: u8) -> Result<(), NoStatusLine> {
        match (byte, self.state) {
            (b'\n', State::AlmostDone) => self.state = State::Done,
            (_, State::AlmostDone) => return Err(NoStatusLine),
            (b'\n', _) => {
                self.line.end = self.pos;
                self.state = State::Done;
            }
            (b'\r', _) => {
                self.line.end = self.pos;
                self.state = State::AlmostDone;
            }
            // Some servers send codes like 403.1.
            (b' ' | b'.', State::AfterCode) => self.state = State::Reason,
            (_, State::Reason) => {}
            _ => return Err(NoStatusLine),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version, code and line of a status line, however it is cut; `None` if it is none.
    fn read(input: &str) -> Option<(Version, u16, &str)> {
        let read = |pieces: bool| {
            let mut line = StatusLine::default();
            for have in if pieces { 0 } else { input.len() }..=input.len() {
                match line.read(&input.as_bytes()[..have]) {
                    Ok(true) => return Some((line.version(), line.code, &input[line.line.clone()])),
                    Ok(false) => {}
                    Err(NoStatusLine) => return None,
                }
            }
            Some((Version::HTTP_09, 0, "partial"))
        };
        assert_eq!(read(true), read(false), "{input:?}");
        read(false)
    }

    #[test]
    fn reads() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nX"), Some((Version::HTTP_11, 200, "200 OK")));
        assert_eq!(read("HTTP/1.0 404 No\tsuch \u{e9}\n"), Some((Version::HTTP_10, 404, "404 No\tsuch é")));
        assert_eq!(read("HTTP/1.1 204\r\n"), Some((Version::HTTP_11, 204, "204")));
        assert_eq!(read("HTTP/1.1 403.1 Odd\r\n"), Some((Version::HTTP_11, 403, "403.1 Odd")));
        assert_eq!(read("HTTP/2.0   5 03 x\r\n"), Some((Version::HTTP_2, 503, " 03 x")));
        assert_eq!(read("HTTP/1.1 20"), Some((Version::HTTP_09, 0, "partial")));
    }

    #[test]
    fn refuses() {
        for input in [
            "<html>",
            "http/1.1 200 OK\r\n",
            "HTTP/0.9 200 OK\r\n",
            "HTTP/1 200 OK\r\n",
            "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 2x0 OK\r\n",
            "HTTP/1.1 200 OK\rX",
            "HTTP/1.1\r\n",
            "HTTP/1000.1 200 OK\r\n",
        ] {
            assert_eq!(read(input), None, "{input:?}");
        }
    }
}
