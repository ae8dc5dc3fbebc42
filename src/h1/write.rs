//! Writing heads: a response's in nginx's order and spelling, a request's to an upstream.
//!
//! Nothing here lets CR, LF or NUL into a line, whatever a configuration builds its values from; nginx does.

use crate::http::date::HttpDate;
use crate::http::header_id::HeaderId;
use crate::http::headers::Headers;
use crate::http::status::{ServerTokens, status_line};

/// All that stands in a response's head, settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: u16,
    /// Code and reason as an upstream sent them; else nginx's reason for the code is taken.
    pub(crate) status_line: Option<&'a [u8]>,
    /// `None` if `headers` has a `Server` of its own.
    pub(crate) server: Option<ServerTokens>,
    /// `None` if `headers` has a `Date` of its own.
    pub(crate) date: Option<&'a HttpDate>,
    pub(crate) content_type: Option<&'a [u8]>,
    /// Goes behind the type, which must be there.
    pub(crate) charset: Option<&'a [u8]>,
    pub(crate) content_length: Option<u64>,
    pub(crate) last_modified: Option<&'a HttpDate>,
    /// An absolute `Location`, in place of the first one in `headers`.
    pub(crate) location: Option<&'a [u8]>,
    /// The body is sent in chunks.
    pub(crate) chunked: bool,
    pub(crate) connection: Connection,
    /// `Vary: Accept-Encoding`, of `gzip_vary`.
    pub(crate) vary: bool,
    /// All other fields.
    pub(crate) headers: &'a Headers,
}

/// What becomes of the connection behind the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Close,
    KeepAlive {
        /// The second value of `keepalive_timeout`, in seconds; 0 for none.
        header: u64,
    },
    /// It becomes another protocol's (101).
    Upgrade,
}

impl ResponseHead<'_> {
    /// Appends the head with the empty line that ends it.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(512);
        self.append_status(out);
        if let Some(server) = self.server {
            out.extend_from_slice(match server {
                ServerTokens::Off => b"Server: nginx\r\n",
                ServerTokens::On => b"Server: nginx/1.28.3\r\n",
                ServerTokens::Build => {
                    concat!("Server: nginx/1.28.3 (rnginx/", env!("CARGO_PKG_VERSION"), ")\r\n").as_bytes()
                }
            });
        }
        if let Some(date) = self.date {
            append_date(out, b"Date: ", date);
        }
        if let Some(content_type) = self.content_type {
            self.append_type(out, content_type);
        }
        if let Some(length) = self.content_length {
            out.extend_from_slice(b"Content-Length: ");
            append_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(date) = self.last_modified {
            append_date(out, b"Last-Modified: ", date);
        }
        if let Some(location) = self.location {
            append_field(out, b"Location", location);
        }
        if self.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.append_connection(out);
        if self.vary {
            out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
        }
        self.append_headers(out);
        out.extend_from_slice(b"\r\n");
    }

    fn append_status(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        match (self.status_line, status_line(self.status)) {
            (Some(line), _) => append_clean(out, line),
            (None, Some(line)) => out.extend_from_slice(line.as_bytes()),
            (None, None) => out.extend_from_slice(format!("{:03} ", self.status).as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn append_type(&self, out: &mut Vec<u8>, content_type: &[u8]) {
        out.extend_from_slice(b"Content-Type: ");
        append_clean(out, content_type);
        if let Some(charset) = self.charset {
            out.extend_from_slice(b"; charset=");
            append_clean(out, charset);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn append_connection(&self, out: &mut Vec<u8>) {
        match self.connection {
            Connection::Close => out.extend_from_slice(b"Connection: close\r\n"),
            Connection::Upgrade => out.extend_from_slice(b"Connection: upgrade\r\n"),
            Connection::KeepAlive { header } => {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
                if header > 0 {
                    out.extend_from_slice(b"Keep-Alive: timeout=");
                    append_number(out, header);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    fn append_headers(&self, out: &mut Vec<u8>) {
        let mut replaced = self.location.is_some();
        for (id, name, value) in self.headers.iter() {
            if replaced && id == HeaderId::Location {
                replaced = false;
                continue;
            }
            append_field(out, name, value);
        }
    }
}

fn append_date(out: &mut Vec<u8>, name: &[u8], date: &HttpDate) {
    out.extend_from_slice(name);
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\n");
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends all fields as they are spelled: a head's own, or a trailer section's.
pub(crate) fn append_fields(out: &mut Vec<u8>, headers: &Headers) {
    headers.iter().for_each(|(_, name, value)| append_field(out, name, value));
}

/// Appends one field line.
#[inline]
pub(crate) fn append_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    append_clean(out, name);
    out.extend_from_slice(b": ");
    append_clean(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends an upstream's request line, as `GET /path HTTP/1.1`. In the target CR, LF and NUL, which can only come
/// from escapes that were undone, are escaped again.
pub(crate) fn append_request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], protocol: &[u8]) {
    append_clean(out, method);
    out.push(b' ');
    let start = out.len();
    out.extend_from_slice(target);
    if !is_clean(target) {
        out.truncate(start);
        for &byte in target {
            match byte {
                b'\r' => out.extend_from_slice(b"%0D"),
                b'\n' => out.extend_from_slice(b"%0A"),
                b'\0' => out.extend_from_slice(b"%00"),
                _ => out.push(byte),
            }
        }
    }
    out.push(b' ');
    out.extend_from_slice(protocol);
    out.extend_from_slice(b"\r\n");
}

/// Appends bytes of a line without the CR, LF and NUL among them.
#[inline]
fn append_clean(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_clean(bytes) {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | b'\0')));
    }
}

#[inline]
fn is_clean(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        rest = &rest[super::scan::control(rest)..];
        match rest {
            [] => return true,
            [b'\r' | b'\n' | b'\0', ..] => return false,
            [_, after @ ..] => rest = after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &HttpDate = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn plain(headers: &Headers) -> ResponseHead<'_> {
        ResponseHead {
            status: 200,
            status_line: None,
            server: Some(ServerTokens::On),
            date: Some(DATE),
            content_type: None,
            charset: None,
            content_length: None,
            last_modified: None,
            location: None,
            chunked: false,
            connection: Connection::Close,
            vary: false,
            headers,
        }
    }

    fn text(head: ResponseHead<'_>) -> String {
        let mut out = Vec::new();
        head.append_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_in_nginx_order() {
        let mut headers = Headers::new();
        headers.push(b"x-a", b"1");
        headers.push_id(HeaderId::ETag, b"\"x\"");
        let head = ResponseHead {
            content_type: Some(b"text/html"),
            charset: Some(b"utf-8"),
            content_length: Some(12),
            last_modified: Some(DATE),
            chunked: true,
            connection: Connection::KeepAlive { header: 65 },
            vary: true,
            ..plain(&headers)
        };
        assert_eq!(
            text(head),
            "HTTP/1.1 200 OK\r\nServer: nginx/1.28.3\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/html; charset=utf-8\r\nContent-Length: 12\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nTransfer-Encoding: chunked\r\n\
             Connection: keep-alive\r\nKeep-Alive: timeout=65\r\nVary: Accept-Encoding\r\nx-a: 1\r\nETag: \"x\"\r\n\r\n"
        );
    }

    #[test]
    fn writes_status_lines() {
        let headers = Headers::new();
        let line = |head: ResponseHead<'_>| text(head).lines().next().unwrap_or_default().to_string();
        assert_eq!(line(ResponseHead { status: 302, ..plain(&headers) }), "HTTP/1.1 302 Moved Temporarily");
        assert_eq!(line(ResponseHead { status: 203, ..plain(&headers) }), "HTTP/1.1 203 ");
        assert_eq!(line(ResponseHead { status: 7, ..plain(&headers) }), "HTTP/1.1 007 ");
        assert_eq!(line(ResponseHead { status_line: Some(b"200 Fine"), ..plain(&headers) }), "HTTP/1.1 200 Fine");
    }

    #[test]
    fn leaves_out_what_comes_otherwise() {
        let mut headers = Headers::new();
        headers.push_id(HeaderId::Location, b"/a");
        headers.push_id(HeaderId::Server, b"x");
        let head = ResponseHead {
            status: 301,
            server: None,
            date: None,
            location: Some(b"http://h/a"),
            connection: Connection::Upgrade,
            ..plain(&headers)
        };
        assert_eq!(
            text(head),
            "HTTP/1.1 301 Moved Permanently\r\nLocation: http://h/a\r\nConnection: upgrade\r\nServer: x\r\n\r\n"
        );
    }

    #[test]
    fn lets_no_line_be_split() {
        let mut out = Vec::new();
        append_field(&mut out, b"A\r\nB", b"c\td\r\nSet-Cookie: e\0");
        append_request_line(&mut out, b"GET", b"/a\r\nX: y\0 b", b"HTTP/1.1");
        assert_eq!(out, b"AB: c\tdSet-Cookie: e\r\nGET /a%0D%0AX: y%00 b HTTP/1.1\r\n");
    }
}
