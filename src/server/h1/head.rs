//! What nginx settles when a response's head is written: framing, redirects, the order of the fields.

use bytes::Bytes;

use crate::http::date::DateCache;
use crate::http::{HeaderId, Headers, Method, Request, Response, Version, date, status};

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
    settle_location(r, version, response);
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
    let core = &r.location().core;
    if !response.headers.has(HeaderId::Server) {
        field(out, b"Server", core.server_tokens.name().as_bytes());
    }
    if !response.headers.has(HeaderId::Date) {
        field(out, b"Date", dates.at(unix_now()));
    }
    if let Some(content_type) = &response.content_type {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type);
        if let Some(charset) = &response.charset {
            out.extend_from_slice(b"; charset=");
            out.extend_from_slice(charset);
        }
        out.extend_from_slice(b"\r\n");
    }
    if let Some(length) = response.content_length.filter(|_| !response.headers.has(HeaderId::ContentLength)) {
        field(out, b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
    }
    if let Some(time) = response.last_modified.filter(|_| !response.headers.has(HeaderId::LastModified)) {
        field(out, b"Last-Modified", &date::format_http(time));
    }
    if response.redirect
        && let Some(location) = response.headers.get(HeaderId::Location).map(Bytes::copy_from_slice)
    {
        response.headers.remove(HeaderId::Location);
        field(out, b"Location", &location);
    }
    if framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    connection(out, r, response);
    if response.gzip_vary {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    fields(out, &response.headers);
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

/// A redirect of our own to a path becomes absolute: scheme, host, and the port where it is not the usual one.
fn settle_location(r: &Request, _version: Version, response: &mut Response) {
    let core = &r.location().core;
    let Some(path) = response.headers.get(HeaderId::Location) else {
        response.redirect = false;
        return;
    };
    if !response.redirect || !path.starts_with(b"/") {
        response.redirect = false;
        return;
    }
    if !core.absolute_redirect {
        return;
    }
    let absolute = absolute(r, path);
    response.headers.set(HeaderId::Location, &absolute);
}

fn absolute(r: &Request, path: &[u8]) -> Vec<u8> {
    let core = &r.location().core;
    let secure = r.connection.secure;
    let mut out: Vec<u8> = if secure { b"https://".to_vec() } else { b"http://".to_vec() };
    let host = r.host.borrow();
    if core.server_name_in_redirect {
        out.extend_from_slice(&r.server().name);
    } else if host.is_empty() {
        match r.connection.local {
            Some(local) => out.extend_from_slice(local.ip().to_string().as_bytes()),
            None => out.extend_from_slice(b"unix"),
        }
    } else {
        out.extend_from_slice(&host);
    }
    let usual = if secure { 443 } else { 80 };
    if let Some(port) =
        r.connection.local.map(|local| local.port()).filter(|port| core.port_in_redirect && *port != usual)
    {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    out.extend_from_slice(path);
    out
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

fn unix_now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec
}
