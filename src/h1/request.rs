//! Reading a request head, by nginx's rules, however the bytes arrive.

use super::error::{HeadError, HeadFault};
use super::head::{Persistence, RequestHead};
use super::header_line::{Field, HeaderReader, InvalidLine, Line, Sender, Usual, Wanted};
use super::limits::{Buffers, HeadLimits};
use super::request_line::{LineFault, RequestLine};
use crate::http::header_id::HeaderId;
use crate::http::headers::{Piece, parse_length};
use crate::http::method::Method;
use crate::http::version::Version;
use crate::http::{host, uri};

/// What [`RequestParser::parse`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parse {
    /// All bytes so far are empty lines before a request: forget them and begin with the next ones.
    Blank,
    /// More bytes are needed.
    Partial,
    /// `head.host` is known now: choose the server, then parse on with its limits. At most once a request;
    /// without it the server is the one for no host.
    Host,
    /// The head is complete and takes this many bytes.
    Done(usize),
}

/// Reads one request head after the other.
///
/// `parse` is given all bytes of the connection that are not consumed yet, from the beginning each time, and goes
/// on where it stopped: however slowly a head drips in, each byte is looked at about once.
#[derive(Clone, Debug)]
pub(crate) struct RequestParser {
    stage: Stage,
    line: RequestLine,
    lines: HeaderReader,
    buffers: Buffers,
    /// Empty lines came before the request.
    has_blank: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    RequestLine,
    Headers,
}

/// Fields that [`take_special`] looks at.
const SPECIAL: u64 = HeaderId::UNIQUE | HeaderId::Connection.bit();

impl RequestParser {
    /// For a new connection; `limits` are those of the address's default server (or of the one that SNI chose).
    pub(crate) fn new(limits: &HeadLimits) -> RequestParser {
        RequestParser {
            stage: Stage::RequestLine,
            line: RequestLine::default(),
            lines: HeaderReader::default(),
            buffers: Buffers::new(limits),
            has_blank: false,
        }
    }

    /// Makes ready for the next request of the connection. `pipelined` says that bytes of it were already there
    /// when the last head ended, at `consumed`; then nginx goes on in the buffer it has.
    pub(crate) fn next_request(&mut self, limits: &HeadLimits, pipelined: Option<usize>) {
        let buffers = match pipelined {
            Some(consumed) => self.buffers.pipelined(consumed),
            None => Buffers::new(limits),
        };
        *self = RequestParser { buffers, ..RequestParser::new(limits) };
    }

    /// Has any byte of a request been read, be it of an empty line before it? An idle connection may be closed
    /// without an answer.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_blank || self.stage != Stage::RequestLine || !self.line.is_blank()
    }

    /// Reads on in `input`, into `head`, which must be clear when a request begins.
    ///
    /// On `Done` and on an error `head` is filled and holds a copy of its bytes.
    pub(crate) fn parse(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Parse, HeadError> {
        let parsed = self.parse_on(input, limits, head);
        match &parsed {
            Ok(Parse::Done(consumed)) => {
                head.length = consumed - self.line.start;
                head.headers.adopt(&input[..*consumed]);
            }
            Err(_) => self.keep_refused(input, head),
            Ok(_) => {}
        }
        parsed
    }

    fn parse_on(&mut self, input: &[u8], limits: &HeadLimits, head: &mut RequestHead) -> Result<Parse, HeadError> {
        if u32::try_from(input.len()).is_err() {
            return Err(HeadError::new(HeadFault::TooLargeRequest));
        }
        if self.stage == Stage::RequestLine
            && let Some(parse) = self.request_line(input, limits, head)?
        {
            return Ok(parse);
        }
        self.headers(input, limits, head)
    }
}

/// The request line.
impl RequestParser {
    /// `None` when the line is done and header lines follow.
    #[inline]
    fn request_line(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Option<Parse>, HeadError> {
        let read = self.line.read(input);
        if read == Ok(false) && self.line.is_blank() {
            self.line.pos = 0;
            self.has_blank |= !input.is_empty();
            self.buffers.forget(input.len());
            return Ok(Some(Parse::Blank));
        }
        // A complete line has all its bytes in the buffer; of others one more would not fit.
        let is_whole = matches!(read, Ok(true) | Err(LineFault::MethodIn09));
        let reach = if is_whole { self.line.pos - 1 } else { self.line.pos };
        let start = self.line.start;
        self.buffers.pass_blank(start);
        head.method = self.line.method;
        if self.buffers.hold(start, reach, limits).is_err() {
            head.line = Piece::new(start, self.buffers.end());
            return Err(HeadError::new(HeadFault::TooLongUri));
        }
        match read {
            Ok(true) => self.take_line(input, limits, head),
            Ok(false) => Ok(Some(Parse::Partial)),
            Err(fault) => {
                if fault == LineFault::MethodIn09 {
                    head.version = Version::HTTP_09;
                }
                Err(HeadError::new(fault.into()))
            }
        }
    }

    #[inline]
    fn take_line(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Option<Parse>, HeadError> {
        let line = &self.line;
        head.version = line.version();
        head.line = Piece::new(line.start, line.end);
        head.method_name = Piece::new(line.start, line.method_end);
        head.protocol = line.protocol.map(|at| Piece::new(at, line.end)).unwrap_or_default();
        self.stage = Stage::Headers;
        self.lines = HeaderReader::at(line.pos);
        self.take_target(input, limits, head)?;
        if let Some(place) = self.line.host.clone() {
            host::append_valid(&input[place], &mut head.host)
                .ok_or_else(|| HeadError::new(HeadFault::InvalidHostInLine))?;
            return Ok(Some(Parse::Host));
        }
        Ok(None)
    }

    #[inline]
    fn take_target(&self, input: &[u8], limits: &HeadLimits, head: &mut RequestHead) -> Result<(), HeadError> {
        let line = &self.line;
        let target = line.target.clone();
        head.quoted_uri = line.quoted;
        head.complex_uri = line.complex;
        head.plus_in_uri = line.plus;
        head.empty_path = line.empty_path;
        if line.complex || line.quoted || line.empty_path {
            let found = uri::normalise(&input[target.clone()], limits.slashes, &mut head.uri).map_err(|_| {
                head.uri.clear();
                HeadError::new(HeadFault::InvalidRequest)
            })?;
            head.quoted_uri |= found.quoted;
            head.plus_in_uri |= found.plus;
            head.extension = found.extension;
            let args = found.args.map(|args| Piece::new(target.start + args.start, target.start + args.end));
            head.args = args.unwrap_or_default();
        } else {
            let path_end = line.args.map_or(target.end, |args| args - 1);
            head.uri.extend_from_slice(&input[target.start..path_end]);
            head.extension = line.extension.map(|at| at - target.start);
            head.args = line.args.map(|args| Piece::new(args, target.end)).unwrap_or_default();
        }
        head.target = Piece::new(target.start, target.end);
        Ok(())
    }
}

/// The header lines.
impl RequestParser {
    fn headers(&mut self, input: &[u8], limits: &HeadLimits, head: &mut RequestHead) -> Result<Parse, HeadError> {
        if head.version < Version::HTTP_10 {
            return Ok(Parse::Done(self.lines.pos));
        }
        loop {
            let wanted = Wanted { end: self.buffers.end(), underscores: limits.underscores, special: SPECIAL };
            match self.lines.read_usual(input, &wanted, &mut head.headers) {
                Usual::Special(field) if take_special(field, input, head)? => return Ok(Parse::Host),
                Usual::Special(_) => continue,
                Usual::Last => break,
                Usual::Odd => {}
            }
            match self.odd_line(input, limits, head)? {
                Some(Parse::Done(_)) => break,
                Some(parse) => return Ok(parse),
                None => {}
            }
        }
        finish(input, head)?;
        Ok(Parse::Done(self.lines.pos))
    }

    /// A line that wants a closer look; `Done` if it is the last one.
    fn odd_line(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Option<Parse>, HeadError> {
        let read = self.lines.read(input, Sender::Client);
        self.hold_line(&read, input, limits)?;
        match read {
            Ok(Line::Field(field)) if limits.ignore_invalid && !field.has_valid_name(input, limits.underscores) => {
                let line = Piece::new(self.lines.start, field.value.end());
                head.dropped.push((line, head.headers.len()));
                Ok(None)
            }
            Ok(Line::Field(field)) => Ok(take_special(field, input, head)?.then_some(Parse::Host)),
            Ok(Line::Last) => Ok(Some(Parse::Done(self.lines.pos))),
            Ok(Line::Partial) => Ok(Some(Parse::Partial)),
            Err(InvalidLine { at }) => Err(HeadError::invalid_line(&input[self.lines.start..at], input[at])),
        }
    }

    /// Would nginx's buffers hold the line as far as it was read?
    fn hold_line(
        &mut self,
        read: &Result<Line, InvalidLine>,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<(), HeadError> {
        let reach = match read {
            Ok(Line::Field(_) | Line::Last) => self.lines.pos - 1,
            Ok(Line::Partial) | Err(_) => self.lines.pos,
        };
        let has_begun = *read != Ok(Line::Partial) || !self.lines.is_between_lines();
        let start = if has_begun { self.lines.start } else { reach };
        if self.buffers.hold(start, reach, limits).is_err() {
            return Err(self.too_large(start, input));
        }
        Ok(())
    }

    /// nginx quotes the line that does not fit, or the last one if the buffers ran out between two lines.
    #[cold]
    fn too_large(&mut self, start: usize, input: &[u8]) -> HeadError {
        let (first, end) = (self.line.pos, self.buffers.end());
        self.lines.pos = start;
        if start < end {
            return HeadError::too_long_line(&input[start..end]);
        }
        if start == first {
            return HeadError::new(HeadFault::TooLargeRequest);
        }
        let last = input[first..start - 1].iter().rposition(|&byte| byte == b'\n').map_or(first, |at| first + at + 1);
        HeadError::too_long_line(&input[last..end])
    }

    /// Ends a head that breaks off: the client left, or was too slow.
    #[cold]
    pub(crate) fn abandon(&self, input: &[u8], head: &mut RequestHead) {
        self.keep_refused(input, head);
    }

    /// Has the client sent more than was read until the fault was found?
    #[cold]
    pub(crate) fn leaves_unread(&self, fault: HeadFault, input: &[u8]) -> bool {
        !fault.is_of_whole_head() || self.lines.pos < input.len()
    }

    /// Bytes that are left in the buffer of a head that ended at `consumed`.
    pub(crate) fn room(&self, consumed: usize) -> usize {
        self.buffers.end().saturating_sub(consumed)
    }

    /// Has the whole request line been read?
    pub(crate) fn has_line(&self) -> bool {
        self.stage == Stage::Headers
    }

    /// Keeps what nginx's logs and error pages show of a refused request.
    #[cold]
    fn keep_refused(&self, input: &[u8], head: &mut RequestHead) {
        if head.line == Piece::default() {
            let read = &input[..input.len().min(self.buffers.end())];
            let start = self.line.start.min(read.len());
            let end = read[start..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            head.line = Piece::new(start, end.map_or(read.len(), |at| start + at));
            head.protocol = self.line.protocol.map(|at| Piece::new(at, at)).unwrap_or_default();
        }
        if self.stage == Stage::Headers {
            let complete = if self.lines.is_between_lines() { self.lines.pos } else { self.lines.start };
            head.length = complete - self.line.start;
        }
        head.headers.adopt(input);
    }
}

/// Notes a header line that may mean something here; true if it told the host.
#[inline]
fn take_special(field: Field, input: &[u8], head: &mut RequestHead) -> Result<bool, HeadError> {
    if HeaderId::UNIQUE & field.id.bit() != 0 && head.headers.has(field.id) {
        return Err(duplicate(field, input, head));
    }
    head.headers.push_pieces(field.id, field.name, field.value);
    match field.id {
        HeaderId::Host => return take_host(field.value.of(input), head),
        HeaderId::Connection => take_connection(field.value.of(input), head),
        _ => {}
    }
    Ok(false)
}

fn take_host(value: &[u8], head: &mut RequestHead) -> Result<bool, HeadError> {
    let known = head.host.len();
    host::append_valid(value, &mut head.host).ok_or_else(|| HeadError::new(HeadFault::InvalidHost))?;
    if known > 0 {
        head.host.truncate(known);
    }
    Ok(known == 0)
}

fn take_connection(value: &[u8], head: &mut RequestHead) {
    let has = |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if value == b"keep-alive" {
        head.persistence = Persistence::KeepAlive;
    } else if has(b"close") {
        head.persistence = Persistence::Close;
    } else if has(b"keep-alive") {
        head.persistence = Persistence::KeepAlive;
    }
}

#[cold]
fn duplicate(field: Field, input: &[u8], head: &RequestHead) -> HeadError {
    let fault = if field.id == HeaderId::Host { HeadFault::DuplicateHost } else { HeadFault::DuplicateHeader };
    let (name, value) = head.headers.pieces(field.id).unwrap_or_default();
    HeadError::duplicate(fault, [field.name.of(input), field.value.of(input)], [name.of(input), value.of(input)])
}

/// What nginx checks when the head is complete, in its order.
fn finish(input: &[u8], head: &mut RequestHead) -> Result<(), HeadError> {
    let refuse = |fault| Err(HeadError::new(fault));
    if head.version > Version::HTTP_10 && !head.headers.has(HeaderId::Host) {
        return refuse(HeadFault::NoHost);
    }
    if let Some((_, value)) = head.headers.pieces(HeaderId::ContentLength) {
        head.content_length = parse_length(value.of(input));
        if head.content_length.is_none() {
            return refuse(HeadFault::InvalidContentLength);
        }
    }
    if let Some((_, value)) = head.headers.pieces(HeaderId::TransferEncoding) {
        if head.version < Version::HTTP_11 {
            return refuse(HeadFault::TransferEncodingIn10);
        }
        if !value.of(input).eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::unknown_transfer_encoding(value.of(input)));
        }
        if head.content_length.is_some() {
            return refuse(HeadFault::LengthAndTransferEncoding);
        }
        head.chunked = true;
    }
    match head.method {
        Method::Connect => refuse(HeadFault::Connect),
        Method::Trace => refuse(HeadFault::Trace),
        _ => Ok(()),
    }
}

impl From<LineFault> for HeadFault {
    fn from(fault: LineFault) -> HeadFault {
        match fault {
            LineFault::Method => HeadFault::InvalidMethod,
            LineFault::Request => HeadFault::InvalidRequest,
            LineFault::Version => HeadFault::InvalidVersion,
            LineFault::MethodIn09 => HeadFault::InvalidMethodIn09,
        }
    }
}

#[cfg(test)]
mod tests;
