//! The request line, read by nginx's state machine: it stops at the same byte for the same reason.

use super::scan;
use crate::http::method::Method;
use crate::http::version::Version;
use std::ops::Range;

/// Why a request line is refused; see [`super::error::HeadError`] for the sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFault {
    Method,
    Request,
    Version,
    /// A request line without a version asks for HTTP/0.9, which has only GET.
    MethodIn09,
}

/// The parts of a request line, as places in the bytes read so far, and where reading stands.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestLine {
    state: State,
    /// The next byte to read.
    pub(super) pos: usize,
    /// The first byte of the method; empty lines before it are skipped.
    pub(super) start: usize,
    /// The end of the line, without line end.
    pub(super) end: usize,
    pub(super) method_end: usize,
    pub(super) method: Method,
    /// The raw target. For `http://host` it is one of the slashes.
    pub(super) target: Range<usize>,
    /// Where the arguments begin. Not to be used if the target is to be normalised.
    pub(super) args: Option<usize>,
    /// Where the extension begins. Not to be used if the target is to be normalised.
    pub(super) extension: Option<usize>,
    /// The host of an absolute target, without port.
    pub(super) host: Option<Range<usize>>,
    scheme_end: usize,
    /// Where `HTTP/` stands.
    pub(super) protocol: Option<usize>,
    major: u32,
    minor: u32,
    /// The path has `//`, `/.` or a fragment.
    pub(super) complex: bool,
    /// The path has an escape.
    pub(super) quoted: bool,
    /// The path has a `+`.
    pub(super) plus: bool,
    /// The target is `http://host?…`.
    pub(super) empty_path: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Method,
    SpacesBeforeTarget,
    Scheme,
    SchemeSlash,
    SchemeSlashSlash,
    HostStart,
    Host,
    HostLiteral,
    HostEnd,
    Port,
    AfterSlash,
    Path,
    Rest,
    AfterTarget,
    Protocol,
    FirstMajor,
    Major,
    FirstMinor,
    Minor,
    SpacesAfterVersion,
    AlmostDone,
    Done,
}

impl RequestLine {
    /// Has nothing but empty lines been read?
    pub(super) fn is_blank(&self) -> bool {
        self.state == State::Start
    }

    pub(super) fn version(&self) -> Version {
        Version::new(self.major, self.minor)
    }

    /// Reads on; true when the line is complete and `pos` stands behind it. On a fault `pos` is at the bad byte.
    #[inline]
    pub(super) fn read(&mut self, input: &[u8]) -> Result<bool, LineFault> {
        if self.state == State::Start && self.read_usual(input).is_some() {
            return Ok(true);
        }
        self.read_on(input)
    }

    #[inline(never)]
    fn read_on(&mut self, input: &[u8]) -> Result<bool, LineFault> {
        while let Some(&byte) = input.get(self.pos) {
            self.step(input, byte)?;
            self.pos += 1;
            if self.state == State::Done {
                return self.check_09();
            }
        }
        Ok(false)
    }

    fn check_09(&self) -> Result<bool, LineFault> {
        if self.version() == Version::HTTP_09 && self.method != Method::Get {
            return Err(LineFault::MethodIn09);
        }
        Ok(true)
    }

    fn step(&mut self, input: &[u8], byte: u8) -> Result<(), LineFault> {
        use State::*;
        match self.state {
            Start | Method => self.in_method(input, byte),
            SpacesBeforeTarget | Scheme | SchemeSlash | SchemeSlashSlash => self.in_scheme(byte),
            HostStart | Host | HostLiteral | HostEnd | Port => self.in_host(byte),
            AfterSlash | Path | Rest => self.in_target(byte),
            AfterTarget | Protocol => self.in_protocol(byte),
            FirstMajor | Major | FirstMinor | Minor => self.in_version(byte),
            SpacesAfterVersion | AlmostDone | Done => self.in_end(byte),
        }
    }

    fn in_method(&mut self, input: &[u8], byte: u8) -> Result<(), LineFault> {
        if self.state == State::Start {
            self.start = self.pos;
        }
        match (byte, self.state) {
            (b'\r' | b'\n', State::Start) => {}
            (b' ', State::Method) => {
                self.method_end = self.pos;
                self.method = Method::of(&input[self.start..self.pos]);
                self.state = State::SpacesBeforeTarget;
            }
            (byte, _) if is_method_byte(byte) => self.state = State::Method,
            _ => return Err(LineFault::Method),
        }
        Ok(())
    }

    fn in_scheme(&mut self, byte: u8) -> Result<(), LineFault> {
        self.state = match (self.state, byte) {
            (State::SpacesBeforeTarget, b' ') => return Ok(()),
            (State::SpacesBeforeTarget, b'/') => return self.begin_target(),
            (State::SpacesBeforeTarget, byte) if byte.is_ascii_alphabetic() => State::Scheme,
            (State::Scheme, b'+' | b'-' | b'.') => return Ok(()),
            (State::Scheme, byte) if byte.is_ascii_alphanumeric() => return Ok(()),
            (State::Scheme, b':') => {
                self.scheme_end = self.pos;
                State::SchemeSlash
            }
            (State::SchemeSlash, b'/') => State::SchemeSlashSlash,
            (State::SchemeSlashSlash, b'/') => State::HostStart,
            _ => return Err(LineFault::Request),
        };
        Ok(())
    }

    fn in_host(&mut self, byte: u8) -> Result<(), LineFault> {
        if self.state == State::HostStart {
            self.host = Some(self.pos..self.pos);
            if byte == b'[' {
                self.state = State::HostLiteral;
                return Ok(());
            }
            self.state = State::Host;
        }
        match (self.state, byte) {
            (State::HostLiteral, b']') => self.state = State::HostEnd,
            (State::HostLiteral, byte) if is_literal_byte(byte) => {}
            (State::HostLiteral, _) => return Err(LineFault::Request),
            (State::Host, b'.' | b'-') => {}
            (State::Host, byte) if byte.is_ascii_alphanumeric() => {}
            (State::Port, byte) if byte.is_ascii_digit() => {}
            _ => return self.after_host(byte),
        }
        Ok(())
    }

    /// The byte after the host or the port.
    fn after_host(&mut self, byte: u8) -> Result<(), LineFault> {
        if let (Some(host), true) = (&mut self.host, self.state != State::Port) {
            host.end = self.pos;
        }
        match byte {
            b':' if self.state != State::Port => self.state = State::Port,
            b'/' => return self.begin_target(),
            b'?' => {
                self.target = self.pos..self.pos;
                self.args = Some(self.pos + 1);
                self.empty_path = true;
                self.state = State::Rest;
            }
            b' ' => {
                self.target = self.scheme_end + 1..self.scheme_end + 2;
                self.state = State::AfterTarget;
            }
            _ => return Err(LineFault::Request),
        }
        Ok(())
    }

    fn begin_target(&mut self) -> Result<(), LineFault> {
        self.target = self.pos..self.pos;
        self.state = State::AfterSlash;
        Ok(())
    }

    fn in_target(&mut self, byte: u8) -> Result<(), LineFault> {
        match (byte, self.state) {
            (b' ' | b'\r' | b'\n', _) => {
                self.target.end = self.pos;
                self.state = State::AfterTarget;
                return self.in_protocol(byte);
            }
            (0..b' ' | 0x7f, _) => return Err(LineFault::Request),
            (b'#', _) | (b'/' | b'.', State::AfterSlash) => {
                self.complex = true;
                self.state = State::Rest;
            }
            (_, State::Rest) => {}
            (b'%', _) => {
                self.quoted = true;
                self.state = State::Rest;
            }
            (b'?', _) => {
                self.args = Some(self.pos + 1);
                self.state = State::Rest;
            }
            (b'/', _) => {
                self.extension = None;
                self.state = State::AfterSlash;
            }
            (b'.', _) => self.extension = Some(self.pos + 1),
            (b'+', _) => self.plus = true,
            _ => self.state = State::Path,
        }
        Ok(())
    }

    fn in_protocol(&mut self, byte: u8) -> Result<(), LineFault> {
        if self.state == State::Protocol {
            let matched = self.pos - self.protocol.unwrap_or(self.pos);
            if PROTOCOL.get(matched) != Some(&byte) {
                return Err(LineFault::Request);
            }
            if matched + 1 == PROTOCOL.len() {
                self.state = State::FirstMajor;
            }
            return Ok(());
        }
        match byte {
            b' ' => {}
            b'\r' | b'\n' => {
                self.minor = 9;
                return self.in_end(byte);
            }
            b'H' => {
                self.protocol = Some(self.pos);
                self.state = State::Protocol;
            }
            _ => return Err(LineFault::Request),
        }
        Ok(())
    }

    fn in_version(&mut self, byte: u8) -> Result<(), LineFault> {
        let digit = byte.wrapping_sub(b'0');
        match (self.state, byte) {
            (State::FirstMajor, b'1'..=b'9') | (State::Major, b'0'..=b'9') => {
                self.major = self.major * 10 + u32::from(digit);
                if self.major > 1 {
                    return Err(LineFault::Version);
                }
                self.state = State::Major;
            }
            (State::Major, b'.') => self.state = State::FirstMinor,
            (State::FirstMinor | State::Minor, b'0'..=b'9') if self.minor <= 99 => {
                self.minor = self.minor * 10 + u32::from(digit);
                self.state = State::Minor;
            }
            (State::Minor, b' ') => self.state = State::SpacesAfterVersion,
            (State::Minor, b'\r' | b'\n') => return self.in_end(byte),
            _ => return Err(LineFault::Request),
        }
        Ok(())
    }

    /// The end of the line: LF, or CR and LF.
    fn in_end(&mut self, byte: u8) -> Result<(), LineFault> {
        match (byte, self.state) {
            (b'\n', State::AlmostDone) => self.state = State::Done,
            (b'\n', _) => {
                self.end = self.pos;
                self.state = State::Done;
            }
            (_, State::AlmostDone) => return Err(LineFault::Request),
            (b'\r', _) => {
                self.end = self.pos;
                self.state = State::AlmostDone;
            }
            (b' ', _) => {}
            _ => return Err(LineFault::Request),
        }
        Ok(())
    }
}

/// The usual line in one go: a plain path, arguments, `HTTP/1.0` or `HTTP/1.1`, CR LF.
impl RequestLine {
    /// `None`, and nothing changed, if the line is not whole or not usual.
    #[inline]
    fn read_usual(&mut self, input: &[u8]) -> Option<()> {
        let start = self.pos;
        let line = &input[start..];
        let (method, method_end) = match u64::from_le_bytes(*line.first_chunk::<8>()?) & FIVE_BYTES {
            GET_SLASH => (Method::Get, 3),
            _ => other_method(line)?,
        };
        let target = method_end + 1;
        let path = UsualPath::read(line, target)?;
        let (mut end, mut args) = (path.end, None);
        if line[end] == b'?' {
            args = Some(start + end + 1);
            end += 1 + scan::args_end(&line[end + 1..]);
        }
        let [front @ .., minor @ b'0'..=b'1', b'\r', b'\n'] = *line.get(end..)?.first_chunk::<11>()? else {
            return None;
        };
        if u64::from_le_bytes(front) != VERSION {
            return None;
        }
        self.state = State::Done;
        self.pos = start + end + 11;
        self.start = start;
        self.end = start + end + 9;
        self.method_end = start + method_end;
        self.method = method;
        self.target = start + target..start + end;
        self.extension = path.extension.map(|at| start + at);
        self.protocol = Some(start + end + 1);
        (self.major, self.minor) = (1, u32::from(minor - b'0'));
        self.args = args;
        self.plus = path.plus;
        Some(())
    }
}

/// Bytes are compared a word at a time.
const FIVE_BYTES: u64 = u64::from_le_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
const GET_SLASH: u64 = u64::from_le_bytes(*b"GET /\0\0\0");
const VERSION: u64 = u64::from_le_bytes(*b" HTTP/1.");

/// A method before a space and a slash, and its length.
fn other_method(line: &[u8]) -> Option<(Method, usize)> {
    let end = line.iter().position(|&byte| !is_method_byte(byte))?;
    let is_usual = end > 0 && matches!(line[end..], [b' ', b'/', ..]);
    is_usual.then(|| (Method::of(&line[..end]), end))
}

struct UsualPath {
    /// At a space or `?`.
    end: usize,
    extension: Option<usize>,
    plus: bool,
}

impl UsualPath {
    /// Reads the path of `line` that begins with a slash at `start`.
    #[inline]
    fn read(line: &[u8], start: usize) -> Option<UsualPath> {
        let mut path = UsualPath { end: start, extension: None, plus: false };
        loop {
            let rest = line.get(path.end..)?;
            path.end += rest.iter().position(|&byte| !matches!(PATH_BYTES[usize::from(byte)], PathByte::Usual))?;
            match PATH_BYTES[usize::from(line[path.end])] {
                PathByte::Slash => {
                    path.extension = None;
                    if matches!(line.get(path.end + 1)?, b'/' | b'.' | b'+') {
                        return None;
                    }
                }
                PathByte::Dot => path.extension = Some(path.end + 1),
                PathByte::Plus => path.plus = true,
                PathByte::End => return Some(path),
                PathByte::Odd | PathByte::Usual => return None,
            }
            path.end += 1;
        }
    }
}

#[derive(Clone, Copy)]
enum PathByte {
    Usual,
    Slash,
    Dot,
    Plus,
    /// A space or `?`.
    End,
    Odd,
}

static PATH_BYTES: [PathByte; 256] = {
    let mut bytes = [PathByte::Usual; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = match byte as u8 {
            b' ' | b'?' => PathByte::End,
            0..b' ' | b'#' | b'%' | 0x7f => PathByte::Odd,
            b'/' => PathByte::Slash,
            b'.' => PathByte::Dot,
            b'+' => PathByte::Plus,
            _ => PathByte::Usual,
        };
        byte += 1;
    }
    bytes
};

const PROTOCOL: &[u8] = b"HTTP/";

/// Method names are upper-case letters, `_` and `-`.
#[inline]
fn is_method_byte(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'_' | b'-')
}

/// What may stand between the brackets of an IP literal (RFC 3986 section 3.2.2).
fn is_literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-._~!$&'()*+,;=".contains(&byte)
}
