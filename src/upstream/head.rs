//! The head of an answer, in whatever protocol the peer speaks.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::buffer::Buffer;
use super::decode::Framing;
use super::fastcgi::{FastCgiBody, FastCgiHead};
use super::grpc::{GrpcHead, SharedHttp2};
use super::memcached::{Lookup, Value};
use crate::h1::response::{UpstreamError, UpstreamHead, UpstreamParse, UpstreamParser};
use crate::http::{Method, Request};
use crate::log::Level;

/// What a peer speaks.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// HTTP/1.
    Http,
    /// Answers as CGI programs give them, perhaps with a status line: uwsgi, SCGI.
    Cgi,
    FastCgi(Arc<FastCgi>),
    Memcached(Lookup),
    /// HTTP/2, with a stream at a time.
    Grpc,
}

/// How a location speaks FastCGI.
#[derive(Clone, Debug)]
pub(crate) struct FastCgi {
    /// `fastcgi_keep_conn`
    pub(crate) keep_conn: bool,
    /// `fastcgi_catch_stderr`
    pub(crate) catch_stderr: Vec<Bytes>,
}

impl Protocol {
    /// Whether it is HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Protocol::Http)
    }

    /// Reads a head that was [kept](HeadReader::head_to_keep); `None` where it makes no sense.
    pub(super) fn read_kept(&self, bytes: &[u8]) -> Option<UpstreamHead> {
        let mut head = UpstreamHead::new();
        let mut parser = UpstreamParser::new();
        match self {
            Protocol::Http => {
                let parsed = parser.parse(bytes, usize::MAX, &mut head).ok()?;
                matches!(parsed, UpstreamParse::Done(_)).then_some(head)
            }
            Protocol::Cgi | Protocol::FastCgi(_) => {
                let read = read_cgi(&mut parser, bytes, usize::MAX, &mut head).ok()?;
                matches!(read, HeadRead::Done(_)).then_some(head)
            }
            // Nothing of it is kept.
            Protocol::Memcached(_) | Protocol::Grpc => None,
        }
    }

    /// Whether a request's body goes in FastCGI's records.
    pub(super) fn sends_records(&self) -> bool {
        matches!(self, Protocol::FastCgi(_))
    }
}

/// Reads the head of one answer.
pub(super) enum HeadReader {
    Http(UpstreamParser),
    Cgi(UpstreamParser),
    FastCgi(Box<FastCgiHead>),
    Memcached(Lookup),
    Grpc(GrpcHead),
}

/// How far the head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadRead {
    Partial,
    /// It is complete, and the body begins there.
    Done(usize),
    /// There is none: all is body.
    Bare(usize),
}

/// The head makes no sense; the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Takes sentences for the error log.
pub(super) type Say<'s> = &'s mut dyn FnMut(Level, &[u8]);

impl HeadReader {
    /// `http2` is the connection where it is HTTP/2.
    pub(super) fn new(protocol: &Protocol, http2: Option<&SharedHttp2>) -> Self {
        match protocol {
            Protocol::Http => HeadReader::Http(UpstreamParser::new()),
            Protocol::Cgi => HeadReader::Cgi(UpstreamParser::new()),
            Protocol::FastCgi(conf) => HeadReader::FastCgi(Box::new(FastCgiHead::new(conf.clone()))),
            Protocol::Memcached(lookup) => HeadReader::Memcached(lookup.clone()),
            Protocol::Grpc => HeadReader::Grpc(GrpcHead::new(http2.cloned().unwrap_or_default())),
        }
    }

    /// Reads on in the buffer, of which `limit` bytes may be the head.
    pub(super) fn read(
        &mut self,
        buffer: &mut Buffer,
        limit: usize,
        head: &mut UpstreamHead,
        say: Say<'_>,
    ) -> Result<HeadRead, Refused> {
        match self {
            HeadReader::Http(parser) => match parser.parse(buffer, limit, head) {
                Ok(UpstreamParse::Partial) => Ok(HeadRead::Partial),
                Ok(UpstreamParse::Done(length)) => Ok(HeadRead::Done(length)),
                Err(error) => {
                    say(Level::Error, &error.message());
                    let UpstreamError::NoStatusLine { body } = error else { return Err(Refused) };
                    (head.status, head.close) = (200, true);
                    Ok(HeadRead::Bare(body))
                }
            },
            HeadReader::Cgi(parser) => {
                let parsed = read_cgi(parser, buffer, limit, head);
                parsed.map_err(|error| refuse(&error, say))
            }
            HeadReader::FastCgi(reader) => reader.read(buffer, limit, head, say),
            HeadReader::Memcached(lookup) => lookup.read(buffer, limit, head, say),
            HeadReader::Grpc(reader) => reader.read(buffer, limit, head, say),
        }
    }

    /// How the body behind the head ends.
    pub(super) fn framing(self, r: &Request, head: &UpstreamHead, buffered: bool, trailers: Option<usize>) -> Framing {
        let keeps = r.method.get() != Method::Head;
        match self {
            HeadReader::Http(_) if head.chunked => Framing::chunked(trailers),
            HeadReader::Http(_) | HeadReader::Cgi(_) => head.content_length.map_or(Framing::Close, Framing::Length),
            HeadReader::FastCgi(reader) => {
                let length = if matches!(head.status, 204 | 304) { Some(0) } else { head.content_length };
                Framing::FastCgi(Box::new(FastCgiBody::new(*reader, length, buffered, keeps)))
            }
            HeadReader::Grpc(reader) => Framing::Grpc(Box::new(reader.body(head.content_length, keeps))),
            HeadReader::Memcached(_) => Framing::Value(Box::new(Value::new(head.content_length.unwrap_or(0), keeps))),
        }
    }

    /// The head as it is kept; one in records as CGI has it.
    pub(super) fn head_to_keep<'h>(&self, head: &UpstreamHead, bytes: &'h [u8]) -> Cow<'h, [u8]> {
        if !matches!(self, HeadReader::FastCgi(_)) {
            return Cow::Borrowed(bytes);
        }
        let mut kept = Vec::with_capacity(bytes.len());
        for (_, name, value) in head.headers.iter() {
            kept.extend([name, b": ", value, b"\r\n"].concat());
        }
        kept.extend_from_slice(b"\r\n");
        Cow::Owned(kept)
    }

    /// Whether it is HTTP.
    pub(super) fn speaks_http(&self) -> bool {
        matches!(self, HeadReader::Http(_))
    }

    /// Whether the answer ends with its head, as one of HTTP/2 may, and the connection may serve another request.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, HeadReader::Grpc(reader) if reader.has_ended())
    }

    /// Whether the body has an end of its own, even where the head says that there is nothing in it.
    pub(super) fn marks_end(&self) -> bool {
        matches!(self, HeadReader::FastCgi(_) | HeadReader::Memcached(_) | HeadReader::Grpc(_))
    }
}

/// Says why a head is refused.
pub(super) fn refuse(error: &UpstreamError, say: Say<'_>) -> Refused {
    say(Level::Error, &error.message());
    Refused
}

fn read_cgi(
    parser: &mut UpstreamParser,
    buffer: &[u8],
    limit: usize,
    head: &mut UpstreamHead,
) -> Result<HeadRead, UpstreamError> {
    let parsed = match parser.parse(buffer, limit, head) {
        Err(UpstreamError::NoStatusLine { .. }) => {
            *parser = UpstreamParser::without_status_line();
            parser.parse(buffer, limit, head)
        }
        parsed => parsed,
    };
    match parsed? {
        UpstreamParse::Partial => Ok(HeadRead::Partial),
        UpstreamParse::Done(length) => {
            head.close = true;
            head.chunked = false;
            head.settle_cgi_status()?;
            Ok(HeadRead::Done(length))
        }
    }
}
