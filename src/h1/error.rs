//! Why a request head is refused, with the status and the error-log sentence that nginx has for it.

/// A refused request head. nginx logs `message` at level `info` and answers with `status`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.message))]
pub(crate) struct HeadError {
    pub(crate) fault: HeadFault,
    /// The sentence, holding raw bytes of the request where nginx quotes them.
    pub(crate) message: Vec<u8>,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFault {
    InvalidMethod,
    InvalidRequest,
    InvalidVersion,
    InvalidMethodIn09,
    InvalidHostInLine,
    TooLongUri,
    TooLargeRequest,
    TooLongHeaderLine,
    InvalidHeaderLine,
    DuplicateHost,
    DuplicateHeader,
    InvalidHost,
    NoHost,
    InvalidContentLength,
    TransferEncodingIn10,
    LengthAndTransferEncoding,
    UnknownTransferEncoding,
    Connect,
    Trace,
}

/// A part of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Line,
    Headers,
}

impl HeadFault {
    /// The status to answer with; 494 is nginx's own and is said as 400 after `error_page` has had its chance.
    pub(crate) fn status(self) -> u16 {
        match self {
            HeadFault::TooLongUri => 414,
            HeadFault::TooLargeRequest | HeadFault::TooLongHeaderLine => 494,
            HeadFault::InvalidVersion => 505,
            HeadFault::UnknownTransferEncoding => 501,
            HeadFault::Connect | HeadFault::Trace => 405,
            _ => 400,
        }
    }

    /// Whether it is found when the whole head was read.
    pub(crate) fn is_of_whole_head(self) -> bool {
        matches!(
            self,
            HeadFault::NoHost
                | HeadFault::InvalidContentLength
                | HeadFault::TransferEncodingIn10
                | HeadFault::LengthAndTransferEncoding
                | HeadFault::UnknownTransferEncoding
                | HeadFault::Connect
                | HeadFault::Trace
        )
    }

    /// What nginx was reading when it found the fault.
    pub(crate) fn part(self) -> Part {
        match self {
            HeadFault::InvalidMethod
            | HeadFault::InvalidRequest
            | HeadFault::InvalidVersion
            | HeadFault::InvalidMethodIn09
            | HeadFault::InvalidHostInLine
            | HeadFault::TooLongUri => Part::Line,
            _ => Part::Headers,
        }
    }

    /// The sentence where it quotes nothing; its beginning where it does.
    fn sentence(self) -> &'static str {
        match self {
            HeadFault::InvalidMethod => "client sent invalid method",
            HeadFault::InvalidRequest => "client sent invalid request",
            HeadFault::InvalidVersion => "client sent invalid version",
            HeadFault::InvalidMethodIn09 => "client sent invalid method in HTTP/0.9 request",
            HeadFault::InvalidHostInLine => "client sent invalid host in request line",
            HeadFault::TooLongUri => "client sent too long URI",
            HeadFault::TooLargeRequest => "client sent too large request",
            HeadFault::TooLongHeaderLine => "client sent too long header line: ",
            HeadFault::InvalidHeaderLine => "client sent invalid header line: ",
            HeadFault::DuplicateHost => "client sent duplicate host header: ",
            HeadFault::DuplicateHeader => "client sent duplicate header line: ",
            HeadFault::InvalidHost => "client sent invalid host header",
            HeadFault::NoHost => "client sent HTTP/1.1 request without \"Host\" header",
            HeadFault::InvalidContentLength => "client sent invalid \"Content-Length\" header",
            HeadFault::TransferEncodingIn10 => "client sent HTTP/1.0 request with \"Transfer-Encoding\" header",
            HeadFault::LengthAndTransferEncoding => {
                "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time"
            }
            HeadFault::UnknownTransferEncoding => "client sent unknown \"Transfer-Encoding\": ",
            HeadFault::Connect => "client sent CONNECT method",
            HeadFault::Trace => "client sent TRACE method",
        }
    }
}

/// nginx cuts what it quotes of a line that is too long.
const LONGEST_QUOTE: usize = 2048 - 300;

impl HeadError {
    #[cold]
    pub(super) fn new(fault: HeadFault) -> HeadError {
        HeadError { fault, message: fault.sentence().into() }
    }

    #[cold]
    pub(super) fn too_long_line(line: &[u8]) -> HeadError {
        let quote = &line[..line.len().min(LONGEST_QUOTE)];
        HeadError::quoting(HeadFault::TooLongHeaderLine, &[b"\"", quote, b"...\""])
    }

    /// The line up to the byte that is wrong, and that byte.
    #[cold]
    pub(super) fn invalid_line(line: &[u8], byte: u8) -> HeadError {
        let byte = format!("\\x{byte:02x}...\"");
        HeadError::quoting(HeadFault::InvalidHeaderLine, &[b"\"", line, byte.as_bytes()])
    }

    /// Name and value of this header and of the one before it.
    #[cold]
    pub(super) fn duplicate(fault: HeadFault, this: [&[u8]; 2], previous: [&[u8]; 2]) -> HeadError {
        let parts = [b"\"", this[0], b": ", this[1], b"\", previous value: \"", previous[0], b": ", previous[1], b"\""];
        HeadError::quoting(fault, &parts)
    }

    #[cold]
    pub(super) fn unknown_transfer_encoding(value: &[u8]) -> HeadError {
        HeadError::quoting(HeadFault::UnknownTransferEncoding, &[b"\"", value, b"\""])
    }

    fn quoting(fault: HeadFault, parts: &[&[u8]]) -> HeadError {
        let mut error = HeadError::new(fault);
        error.message.extend(parts.concat());
        error
    }
}
