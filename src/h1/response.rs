//! Reading the head of an upstream's answer, by nginx's rules.

use super::header_line::{Field, HeaderReader, InvalidLine, Line, Sender, Usual, Wanted};
use super::status_line::{NoStatusLine, StatusLine};
use crate::http::header_id::HeaderId;
use crate::http::headers::{Headers, Piece, parse_length};
use crate::http::version::Version;

/// The head of an answer. `clear` keeps the memory for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamHead {
    pub(crate) version: Version,
    pub(crate) status: u16,
    /// All fields but repeated ones of which nginx takes the first. Their arena is the head itself.
    pub(crate) headers: Headers,
    /// The checked `Content-Length`.
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    /// The upstream ends the connection after this answer: `Connection: close`, or an old protocol.
    pub(crate) close: bool,
    /// For each repeated field that was dropped, the sentence that nginx logs at level `warn`.
    pub(crate) dropped: Vec<Vec<u8>>,
    status_line: Piece,
}

impl UpstreamHead {
    pub(crate) fn new() -> UpstreamHead {
        UpstreamHead::default()
    }

    pub(crate) fn clear(&mut self) {
        self.headers.clear();
        self.dropped.clear();
        (self.version, self.status, self.status_line) = Default::default();
        (self.content_length, self.chunked, self.close) = Default::default();
    }

    /// Code and reason as sent: `200 OK`; empty where only a code was.
    pub(crate) fn status_line(&self) -> &[u8] {
        self.headers.bytes(self.status_line)
    }

    /// Copies what has come of a head that will not be complete, so that its fields can be looked at.
    pub(crate) fn give_up(&mut self, input: &[u8]) {
        if !self.headers.has_arena() {
            self.headers.adopt(input);
        }
    }

    /// Takes a field that came by itself, as HTTP/2 brings them.
    ///
    /// # Errors
    /// What nginx has to say against it.
    pub(crate) fn take_named(&mut self, name: &[u8], value: &[u8]) -> Result<(), UpstreamError> {
        let id = HeaderId::of(name);
        if SPECIAL & id.bit() != 0 && self.headers.has(id) {
            let before = self.headers.get(id).unwrap_or_default();
            let parts: [&[u8]; 9] = [
                b"upstream sent duplicate header line: \"",
                name,
                b": ",
                value,
                b"\", previous value: \"",
                name,
                b": ",
                before,
                b"\"",
            ];
            let sentence = parts.concat();
            if id == HeaderId::ContentLength {
                return Err(UpstreamError::InvalidHeader(sentence));
            }
            self.dropped.push([&sentence[..], b", ignored"].concat());
            return Ok(());
        }
        if id == HeaderId::ContentLength {
            self.content_length = parse_length(value);
            if self.content_length.is_none() {
                let parts = [b"upstream sent invalid \"Content-Length\" header: \"", name, b": ", value, b"\""];
                return Err(UpstreamError::InvalidHeader(parts.concat()));
            }
        }
        self.headers.push(name, value);
        Ok(())
    }

    /// Takes the status as CGI has it (RFC 3875 section 6.3), where there was no status line: from `Status`, else
    /// 302 with a `Location`, else 200.
    ///
    /// # Errors
    /// The sentence that nginx logs where `Status` begins with anything but three digits.
    pub(crate) fn settle_cgi_status(&mut self) -> Result<(), UpstreamError> {
        if self.status != 0 {
            return Ok(());
        }
        let Some((_, piece)) = self.headers.pieces(HeaderId::Status) else {
            self.status = if self.headers.has(HeaderId::Location) { 302 } else { 200 };
            return Ok(());
        };
        let value = self.headers.bytes(piece);
        let Some(code) = value.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit)) else {
            let parts: [&[u8]; 3] = [b"upstream sent invalid status \"", value, b"\""];
            return Err(UpstreamError::InvalidHeader(parts.concat()));
        };
        self.status = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if piece.len() > 3 {
            self.status_line = piece;
        }
        Ok(())
    }
}

/// What [`UpstreamParser::parse`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamParse {
    Partial,
    /// The head is complete and takes this many bytes.
    Done(usize),
}

/// Why an answer is refused, with the sentence that nginx logs at level `error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// nginx passes the bytes from `body` on as an HTTP/0.9 answer: status 200, to the client without a head too.
    #[error("upstream sent no valid HTTP/1.0 header")]
    NoStatusLine { body: usize },
    /// `proxy_buffer_size` bytes hold no complete head.
    #[error("upstream sent too big header")]
    TooBig,
    /// The sentence holds raw bytes; see [`UpstreamError::message`].
    #[error("{}", String::from_utf8_lossy(.0))]
    InvalidHeader(Vec<u8>),
}

impl UpstreamError {
    /// The sentence, as bytes.
    pub(crate) fn message(&self) -> Vec<u8> {
        match self {
            UpstreamError::InvalidHeader(message) => message.clone(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// Fields of which the first counts and others are dropped.
const ONCE: u64 = HeaderId::Status.bit()
    | HeaderId::ContentType.bit()
    | HeaderId::Date.bit()
    | HeaderId::LastModified.bit()
    | HeaderId::ETag.bit()
    | HeaderId::Server.bit()
    | HeaderId::Location.bit()
    | HeaderId::Refresh.bit()
    | HeaderId::Expires.bit()
    | HeaderId::XAccelExpires.bit()
    | HeaderId::XAccelRedirect.bit()
    | HeaderId::XAccelLimitRate.bit();

/// Fields that [`take_special`] looks at.
const SPECIAL: u64 =
    ONCE | HeaderId::ContentLength.bit() | HeaderId::TransferEncoding.bit() | HeaderId::Connection.bit();

/// Reads the head of one answer.
///
/// `parse` is given all bytes so far from the beginning each time, and goes on where it stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamParser {
    status_line: StatusLine,
    lines: Option<HeaderReader>,
    /// Where nginx's buffer stood when it last asked for more bytes.
    asked_at: usize,
}

impl UpstreamParser {
    pub(crate) fn new() -> UpstreamParser {
        UpstreamParser::default()
    }

    /// For protocols whose answers begin with header lines, such as FastCGI; their status stands in a field.
    pub(crate) fn without_status_line() -> UpstreamParser {
        UpstreamParser { lines: Some(HeaderReader::at(0)), ..UpstreamParser::default() }
    }

    /// Reads on in `input`, of which `limit` bytes (`proxy_buffer_size`) may be the head, into `head`, which must be
    /// clear when an answer begins. On `Done` it holds a copy of the head.
    pub(crate) fn parse(
        &mut self,
        input: &[u8],
        limit: usize,
        head: &mut UpstreamHead,
    ) -> Result<UpstreamParse, UpstreamError> {
        let window = &input[..input.len().min(limit)];
        let parsed = self.parse_in(window, head)?;
        match parsed {
            UpstreamParse::Done(consumed) => head.headers.adopt(&window[..consumed]),
            UpstreamParse::Partial if window.len() == limit => return Err(UpstreamError::TooBig),
            UpstreamParse::Partial => {}
        }
        Ok(parsed)
    }

    fn parse_in(&mut self, input: &[u8], head: &mut UpstreamHead) -> Result<UpstreamParse, UpstreamError> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => {
                let read = self.status_line.read(input);
                if !read.map_err(|NoStatusLine| UpstreamError::NoStatusLine { body: self.asked_at })? {
                    self.asked_at = input.len();
                    return Ok(UpstreamParse::Partial);
                }
                head.version = self.status_line.version();
                head.status = self.status_line.code;
                head.status_line = Piece::new(self.status_line.line.start, self.status_line.line.end);
                head.close = head.version < Version::HTTP_11;
                self.lines.insert(HeaderReader::at(self.status_line.pos))
            }
        };
        read_fields(lines, input, head)
    }
}

fn read_fields(
    lines: &mut HeaderReader,
    input: &[u8],
    head: &mut UpstreamHead,
) -> Result<UpstreamParse, UpstreamError> {
    let wanted = Wanted { end: input.len(), underscores: true, special: SPECIAL };
    loop {
        match lines.read_usual(input, &wanted, &mut head.headers) {
            Usual::Special(field) => {
                take_field(field, input, head)?;
                continue;
            }
            Usual::Last => return Ok(UpstreamParse::Done(lines.pos)),
            Usual::Odd => {}
        }
        match lines.read(input, Sender::Upstream) {
            Ok(Line::Field(field)) => take_field(field, input, head)?,
            Ok(Line::Last) => return Ok(UpstreamParse::Done(lines.pos)),
            Ok(Line::Partial) => return Ok(UpstreamParse::Partial),
            Err(invalid) => return Err(invalid_line(b"header", lines.start, invalid, input)),
        }
    }
}

fn take_field(field: Field, input: &[u8], head: &mut UpstreamHead) -> Result<(), UpstreamError> {
    if SPECIAL & field.id.bit() != 0 && !take_special(field, input, head)? {
        return Ok(());
    }
    head.headers.push_pieces(field.id, field.name, field.value);
    Ok(())
}

/// Notes what a field says about the answer; false if it is to be dropped.
fn take_special(field: Field, input: &[u8], head: &mut UpstreamHead) -> Result<bool, UpstreamError> {
    let value = field.value.of(input);
    let repeated = head.headers.has(field.id);
    match field.id {
        HeaderId::Connection => {
            head.close |= value.windows(5).any(|part| part.eq_ignore_ascii_case(b"close"));
        }
        HeaderId::ContentLength | HeaderId::TransferEncoding if repeated => {
            return Err(UpstreamError::InvalidHeader(duplicate(field, input, head)));
        }
        HeaderId::ContentLength => {
            no_other_framing(head, HeaderId::TransferEncoding)?;
            head.content_length = parse_length(value);
            if head.content_length.is_none() {
                let name = field.name.of(input);
                let parts = [b"upstream sent invalid \"Content-Length\" header: \"", name, b": ", value, b"\""];
                return Err(UpstreamError::InvalidHeader(parts.concat()));
            }
        }
        HeaderId::TransferEncoding => {
            no_other_framing(head, HeaderId::ContentLength)?;
            if !value.eq_ignore_ascii_case(b"chunked") {
                let parts: [&[u8]; 3] = [b"upstream sent unknown \"Transfer-Encoding\": \"", value, b"\""];
                return Err(UpstreamError::InvalidHeader(parts.concat()));
            }
            head.chunked = true;
        }
        _ if repeated => {
            let mut sentence = duplicate(field, input, head);
            sentence.extend_from_slice(b", ignored");
            head.dropped.push(sentence);
            return Ok(false);
        }
        _ => {}
    }
    Ok(true)
}

fn no_other_framing(head: &UpstreamHead, other: HeaderId) -> Result<(), UpstreamError> {
    if !head.headers.has(other) {
        return Ok(());
    }
    let sentence = b"upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time";
    Err(UpstreamError::InvalidHeader(sentence.to_vec()))
}

#[cold]
fn duplicate(field: Field, input: &[u8], head: &UpstreamHead) -> Vec<u8> {
    let (name, value) = head.headers.pieces(field.id).unwrap_or_default();
    [
        b"upstream sent duplicate header line: \"",
        field.name.of(input),
        b": ",
        field.value.of(input),
        b"\", previous value: \"",
        name.of(input),
        b": ",
        value.of(input),
        b"\"",
    ]
    .concat()
}

/// The line up to the byte that is wrong, and that byte.
#[cold]
fn invalid_line(kind: &[u8], start: usize, invalid: InvalidLine, input: &[u8]) -> UpstreamError {
    let byte = format!("\\x{:02x}...\"", input[invalid.at]);
    let line = &input[start..invalid.at];
    UpstreamError::InvalidHeader([b"upstream sent invalid ", kind, b": \"", line, byte.as_bytes()].concat())
}

/// Reads the trailer section behind a chunked body; see [`super::framing::Trailers::Keep`].
#[derive(Clone, Debug, Default)]
pub(crate) struct TrailerParser {
    lines: HeaderReader,
}

impl TrailerParser {
    /// Reads on in `input`, all bytes behind the last chunk, of which `limit` may be trailers. On `Done` `trailers`
    /// holds a copy of them.
    pub(crate) fn parse(
        &mut self,
        input: &[u8],
        limit: usize,
        trailers: &mut Headers,
    ) -> Result<UpstreamParse, UpstreamError> {
        let window = &input[..input.len().min(limit)];
        loop {
            match self.lines.read(window, Sender::Upstream) {
                Ok(Line::Field(field)) => trailers.push_pieces(field.id, field.name, field.value),
                Ok(Line::Last) => {
                    trailers.adopt(&window[..self.lines.pos]);
                    return Ok(UpstreamParse::Done(self.lines.pos));
                }
                Ok(Line::Partial) if window.len() == limit => {
                    return Err(UpstreamError::InvalidHeader(b"upstream sent too big trailers".to_vec()));
                }
                Ok(Line::Partial) => return Ok(UpstreamParse::Partial),
                Err(invalid) => return Err(invalid_line(b"trailer", self.lines.start, invalid, window)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, step: usize) -> (Result<UpstreamParse, UpstreamError>, UpstreamHead) {
        let (mut parser, mut head) = (UpstreamParser::new(), UpstreamHead::new());
        let mut have = 0;
        loop {
            have = (have + step).min(input.len());
            let parsed = parser.parse(&input.as_bytes()[..have], 4096, &mut head);
            if parsed != Ok(UpstreamParse::Partial) || have == input.len() {
                return (parsed, head);
            }
        }
    }

    fn head(input: &str) -> UpstreamHead {
        let (parsed, head) = read(input, input.len());
        let UpstreamParse::Done(consumed) = parsed.expect(input) else { panic!("{input:?} is not complete") };
        for step in [1, 7] {
            let (again, pieced) = read(input, step);
            assert_eq!(again, Ok(UpstreamParse::Done(consumed)));
            assert!(pieced.headers.iter().eq(head.headers.iter()), "{input:?}");
        }
        head
    }

    fn refusal(input: &str) -> String {
        let (parsed, _) = read(input, input.len());
        assert_eq!(read(input, 1).0.is_err(), parsed.is_err());
        parsed.expect_err(input).to_string()
    }

    #[test]
    fn reads_an_answer() {
        let head =
            head("HTTP/1.1 404 Not here\r\nserver: x\r\nSet-Cookie: a\r\nset_cookie: b\r\nContent-Length: 5\r\n\r\nab");
        assert_eq!((head.status, head.status_line(), head.version), (404, &b"404 Not here"[..], Version::HTTP_11));
        assert_eq!((head.content_length, head.chunked, head.close), (Some(5), false, false));
        assert_eq!(head.headers.get(HeaderId::Server), Some(&b"x"[..]));
        assert_eq!(head.headers.find(b"set_cookie"), Some(&b"b"[..]));
    }

    #[test]
    fn knows_framing_and_persistence() {
        assert!(head("HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n").chunked);
        assert!(head("HTTP/1.0 200 OK\r\n\r\n").close);
        assert!(head("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n").close);
        assert!(!head("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n").close);
        assert_eq!(head("HTTP/1.1 101\n\n").status, 101);
    }

    #[test]
    fn takes_the_first_of_some_fields() {
        let head = head("HTTP/1.1 200 OK\r\nDate: a\r\ndate: b\r\nVary: c\r\nVary: d\r\nHTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(head.headers.get_all(HeaderId::Date).collect::<Vec<_>>(), [b"a"]);
        assert_eq!(head.headers.get_all(HeaderId::Vary).count(), 2);
        let sentence = "upstream sent duplicate header line: \"date: b\", previous value: \"Date: a\", ignored";
        assert_eq!(head.dropped, [sentence.as_bytes()]);
    }

    #[test]
    fn refuses_as_nginx_does() {
        let with = |fields: &str| refusal(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(
            with("Content-Length: 1\r\nContent-length: 1\r\n"),
            "upstream sent duplicate header line: \"Content-length: 1\", previous value: \"Content-Length: 1\""
        );
        let both = "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time";
        assert_eq!(with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), both);
        assert_eq!(with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), both);
        assert_eq!(
            with("Content-Length: x\r\n"),
            "upstream sent invalid \"Content-Length\" header: \"Content-Length: x\""
        );
        assert_eq!(with("Transfer-Encoding: x\r\n"), "upstream sent unknown \"Transfer-Encoding\": \"x\"");
        assert_eq!(with("A b: c\r\n"), "upstream sent invalid header: \"A\\x20...\"");
        assert_eq!(refusal(&format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(4096))), "upstream sent too big header");
        assert_eq!(refusal("<html>"), "upstream sent no valid HTTP/1.0 header");
    }

    #[test]
    fn passes_on_what_has_no_status_line() {
        let (mut parser, mut head) = (UpstreamParser::new(), UpstreamHead::new());
        assert_eq!(parser.parse(b"HT", 4096, &mut head), Ok(UpstreamParse::Partial));
        assert_eq!(parser.parse(b"HTML", 4096, &mut head), Err(UpstreamError::NoStatusLine { body: 2 }));
    }

    #[test]
    fn reads_fields_alone() {
        let (mut parser, mut head) = (UpstreamParser::without_status_line(), UpstreamHead::new());
        let input = b"Status: 404 No\r\nX: y\r\n\r\nbody";
        assert_eq!(parser.parse(input, 4096, &mut head), Ok(UpstreamParse::Done(24)));
        assert_eq!(head.headers.get(HeaderId::Status), Some(&b"404 No"[..]));
        assert_eq!(head.settle_cgi_status(), Ok(()));
        assert_eq!((head.status, head.status_line()), (404, &b"404 No"[..]));
    }

    #[test]
    fn settles_the_status_of_cgi() {
        let settled = |fields: &str| {
            let (mut parser, mut head) = (UpstreamParser::without_status_line(), UpstreamHead::new());
            parser.parse(format!("{fields}\r\n").as_bytes(), 4096, &mut head).unwrap();
            let outcome = head.settle_cgi_status().map_err(|error| error.to_string());
            outcome.map(|()| format!("{} {}", head.status, String::from_utf8_lossy(head.status_line())))
        };
        assert_eq!(settled("X: y\r\n"), Ok("200 ".into()));
        assert_eq!(settled("Location: /\r\n"), Ok("302 ".into()));
        assert_eq!(settled("Location: /\r\nStatus: 201\r\n"), Ok("201 ".into()));
        assert_eq!(settled("Status: 20\r\n"), Err("upstream sent invalid status \"20\"".into()));
    }

    #[test]
    fn reads_trailers() {
        let (mut parser, mut trailers) = (TrailerParser::default(), Headers::new());
        let input = b"A: b\r\nC: d\r\n\r\nHTTP";
        assert_eq!(parser.parse(&input[..8], 100, &mut trailers), Ok(UpstreamParse::Partial));
        assert_eq!(parser.parse(input, 100, &mut trailers), Ok(UpstreamParse::Done(14)));
        assert_eq!((trailers.len(), trailers.find(b"c")), (2, Some(&b"d"[..])));
        let refused = TrailerParser::default().parse(b"A: b", 4, &mut Headers::new());
        assert_eq!(refused.map_err(|error| error.to_string()), Err("upstream sent too big trailers".to_string()));
        let refused = TrailerParser::default().parse(b"A b", 9, &mut Headers::new());
        assert_eq!(
            refused.map_err(|error| error.to_string()),
            Err("upstream sent invalid trailer: \"A\\x20...\"".to_string())
        );
    }
}
