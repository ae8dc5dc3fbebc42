//! The head of a request as it came, before anything was made of it.

use std::ops::Range;

use super::headers::Piece;
use super::{Method, Version};

/// What stood in the request line (or in HTTP/2's pseudo-headers).
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The protocol's version.
    pub version: Version,
    /// Whether the target may be sent on as it came where `proxy_pass` has no URI.
    pub valid_target: bool,
    /// Bytes of the request line and headers, for `$request_length`.
    pub length: u64,
    line: Vec<u8>,
    method_name: Piece,
    target: Piece,
    protocol: Piece,
    /// Something is missing: there is no line.
    is_broken: bool,
}

impl Head {
    /// A request line without line end, and where in it method, target and protocol stand.
    pub fn of_line(line: Vec<u8>, method_name: Range<usize>, target: Range<usize>, protocol: Range<usize>) -> Self {
        let piece = |range: Range<usize>| Piece::new(range.start, range.end);
        Self {
            method_name: piece(method_name),
            target: piece(target),
            protocol: piece(protocol),
            line,
            ..Self::default()
        }
    }

    /// The same where what would make a line is not all there: to be asked for its parts only.
    #[must_use]
    pub fn broken(self) -> Self {
        Self { is_broken: true, ..self }
    }

    /// The request line without line end, for `$request`.
    pub fn line(&self) -> &[u8] {
        if self.is_broken { &[] } else { &self.line }
    }

    /// Whether there is a request line at all; it is empty where it has hardly begun.
    pub fn has_line(&self) -> bool {
        !self.is_broken
    }

    /// The method's name as sent.
    pub fn method_name(&self) -> &[u8] {
        self.method_name.of(&self.line)
    }

    /// The target as sent, for `$request_uri`: path and arguments.
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.line)
    }

    /// The protocol as sent (`HTTP/1.1`), for `$server_protocol`: empty where its name has begun and makes no sense,
    /// `None` where there is none.
    pub fn protocol(&self) -> Option<&[u8]> {
        (self.protocol != Piece::default()).then(|| self.protocol.of(&self.line))
    }
}
