//! A request head: the bytes as they came, and what nginx reads out of them.

use crate::http::Head;
use crate::http::header_id::HeaderId;
use crate::http::headers::{Headers, Piece};
use crate::http::method::Method;
use crate::http::version::Version;

/// What the last telling `Connection` field asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// No word: close for HTTP/1.0, keep for later versions.
    #[default]
    Unsaid,
    Close,
    KeepAlive,
}

/// One request head. [`super::request::RequestParser`] fills it, also as far as it came when it refuses a request,
/// so that the refusal can be logged and answered. `clear` keeps the memory for the next request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// All fields, in order. Their arena is the head itself.
    pub(crate) headers: Headers,
    /// The path in nginx's normal form, without arguments; empty if the request line was refused.
    pub(crate) uri: Vec<u8>,
    /// The host that was asked for, of the target or else of `Host`: lower case, without port; or empty.
    pub(crate) host: Vec<u8>,
    /// The checked `Content-Length`.
    pub(crate) content_length: Option<u64>,
    /// Is there a chunked body?
    pub(crate) chunked: bool,
    pub(crate) persistence: Persistence,
    /// The path had escapes (nginx's `quoted_uri`), so it must be escaped again if it is sent on.
    pub(crate) quoted_uri: bool,
    /// The path had `//`, `/.` or a fragment (nginx's `complex_uri`).
    pub(crate) complex_uri: bool,
    /// The path has a `+`.
    pub(crate) plus_in_uri: bool,
    /// The target was `http://host?…` (nginx's `empty_path_in_uri`): it cannot be sent on as it is.
    pub(crate) empty_path: bool,
    /// Bytes of the head: from the method to the end of the last complete line (nginx's `request_length`).
    pub(crate) length: usize,
    /// Lines that were dropped because of their name: nginx logs at level `info`
    /// `client sent invalid header line: "…"` for each; see [`RequestHead::dropped`].
    /// Each with the number of fields before it.
    pub(super) dropped: Vec<(Piece, usize)>,
    pub(super) line: Piece,
    pub(super) method_name: Piece,
    pub(super) target: Piece,
    pub(super) protocol: Piece,
    pub(super) args: Piece,
    /// Where the extension begins in `uri`; it ends with it.
    pub(super) extension: Option<usize>,
}

impl RequestHead {
    pub(crate) fn new() -> RequestHead {
        RequestHead::default()
    }

    pub(crate) fn clear(&mut self) {
        self.headers.clear();
        self.uri.clear();
        self.host.clear();
        self.dropped.clear();
        (self.method, self.version, self.persistence) = Default::default();
        (self.content_length, self.chunked, self.extension, self.length) = Default::default();
        (self.quoted_uri, self.complex_uri, self.plus_in_uri, self.empty_path) = Default::default();
        (self.line, self.method_name, self.target, self.protocol, self.args) = Default::default();
    }

    /// nginx's `$request`: the line as sent, without line end; of a refused line what there is of it.
    pub(crate) fn request_line(&self) -> &[u8] {
        self.headers.bytes(self.line)
    }

    /// nginx's `$request_method`: any token; empty if the request line was refused.
    pub(crate) fn method_name(&self) -> &[u8] {
        self.headers.bytes(self.method_name)
    }

    /// nginx's `$request_uri`: the target as sent; of an absolute one the part behind the authority.
    pub(crate) fn target(&self) -> &[u8] {
        self.headers.bytes(self.target)
    }

    /// nginx's `$server_protocol`: `HTTP/1.1` as sent; empty for HTTP/0.9.
    pub(crate) fn protocol(&self) -> &[u8] {
        self.headers.bytes(self.protocol)
    }

    /// What later phases ask of the head as it came.
    pub(crate) fn as_it_came(&self) -> Head {
        // Of a refused line there may be less than its parts.
        let within = |part: Piece| match part.start().checked_sub(self.line.start()) {
            Some(start) if part.end() <= self.line.end() => start..start + part.len(),
            _ => 0..0,
        };
        let line = self.request_line().to_vec();
        let mut head = Head::of_line(line, within(self.method_name), within(self.target), within(self.protocol));
        head.method = self.method;
        head.version = self.version;
        head.valid_target = self.has_valid_target();
        head.length = self.length as u64;
        head
    }

    /// nginx's `$args`: what follows `?`, raw.
    pub(crate) fn args(&self) -> &[u8] {
        self.headers.bytes(self.args)
    }

    /// What follows the last dot of the last segment of `uri`.
    pub(crate) fn extension(&self) -> Option<&[u8]> {
        self.extension.and_then(|at| self.uri.get(at..))
    }

    /// Can the target be sent to an upstream as it is (nginx's `valid_unparsed_uri`)?
    pub(crate) fn has_valid_target(&self) -> bool {
        !self.target.is_empty() && !self.empty_path
    }

    /// Does the client wait for `100 Continue` before it sends the body?
    pub(crate) fn expects_continue(&self) -> bool {
        let expect = || self.headers.get(HeaderId::Expect);
        self.version >= Version::HTTP_11 && expect().is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// May the connection serve another request, as far as this head says?
    pub(crate) fn wants_keep_alive(&self) -> bool {
        match self.persistence {
            Persistence::Unsaid => self.version > Version::HTTP_10,
            Persistence::Close => false,
            Persistence::KeepAlive => true,
        }
    }

    /// The lines that were dropped because of an invalid name, without line end, each with the number of fields before it.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.dropped.iter().map(|&(line, before)| (self.headers.bytes(line), before))
    }
}
