//! What nginx settles when a response's head is written: framing, redirects, the order of the fields.

use super::super::head::{first_fields, last_fields, settle_location};
use crate::http::date::DateCache;
use crate::http::{HeaderId, Headers, Method, Request, Response, Version, status};

/// How the client finds the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length, or there is none.
    Length,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Settles whether only the head is sent.
pub(super) fn is_header_only(method: Method, response: &mut Response) -> bool {
    match response.status {
        204 => {
            response.content_type = None;
            response.last_modified = None;
            response.headers.remove(HeaderId::LastModified);
            response.clear_content_length();
            response.header_only = true;
        }
        304 => response.header_only = true,
        _ => {}
    }
    response.header_only || method == Method::Head
}

/// Chooses the framing; a client that cannot know the end otherwise has its connection closed.
pub(super) fn frame(r: &Request, version: Version, response: &mut Response, has_body: bool) -> Framing {
    if !has_body || response.status < 200 {
        return Framing::Length;
    }
    if response.content_length.is_some() && !response.expect_trailers {
        return Framing::Length;
    }
    if version >= Version::HTTP_11 && r.location().core.chunked_transfer_encoding {
        response.clear_content_length();
        return Framing::Chunked;
    }
    if response.content_length.is_some() {
        return Framing::Length;
    }
    r.out.keep_alive.set(false);
    Framing::Close
}

/// Appends the head in nginx's order. An HTTP/0.9 client gets none.
pub(super) fn write(
    out: &mut Vec<u8>,
    r: &Request,
    version: Version,
    response: &mut Response,
    framing: Framing,
    dates: &mut DateCache,
) {
    settle_location(r, response);
    if version < Version::HTTP_10 {
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    match (&response.status_line, status::status_line(response.status)) {
        (Some(line), _) => out.extend_from_slice(line),
        (None, Some(line)) => out.extend_from_slice(line.as_bytes()),
        (None, None) => out.extend_from_slice(format!("{:03} ", response.status).as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
    first_fields(r, response, dates, &mut |name, value| field(out, name, value));
    if framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    connection(out, r, response);
    last_fields(response, &mut |name, value| field(out, name, value));
    out.extend_from_slice(b"\r\n");
}

fn connection(out: &mut Vec<u8>, r: &Request, response: &Response) {
    if response.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    } else if r.out.keep_alive.get() {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
        let seconds = r.location().core.keepalive_header;
        if seconds > 0 {
            out.extend_from_slice(format!("Keep-Alive: timeout={seconds}\r\n").as_bytes());
        }
    } else {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

/// Appends fields as they are.
pub(super) fn fields(out: &mut Vec<u8>, headers: &Headers) {
    headers.iter().for_each(|(_, name, value)| field(out, name, value));
}

/// CR, LF and NUL cannot stand in a field: what a configuration lets in is cut out here.
fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
        out.extend(value.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
    } else {
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk's first line.
pub(super) fn chunk_size(out: &mut Vec<u8>, length: u64) {
    use std::io::Write as _;
    // Writing to memory does not fail.
    let _ = write!(out, "{length:x}\r\n");
}
