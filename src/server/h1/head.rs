//! What is settled when a response's head is written on an HTTP/1 connection: framing, and what becomes of the connection.

use super::super::head::{own_last_modified, says_date, says_server, settle};
use crate::h1::write::{Connection, ResponseHead};
use crate::http::date::{self, DateCache};
use crate::http::{HeaderId, Method, Request, Response, Version};

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
pub(super) fn is_header_only(method: Method, version: Version, response: &mut Response) -> bool {
    match response.status {
        204 if response.verbatim => response.header_only = true,
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
    // HTTP/0.9 has no HEAD: its answers are bodies.
    response.header_only || (method == Method::Head && version >= Version::HTTP_10)
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

/// Appends the head. An HTTP/0.9 client gets none.
pub(super) fn write(
    out: &mut Vec<u8>,
    r: &Request,
    version: Version,
    response: &mut Response,
    framing: Framing,
    dates: &mut DateCache,
) {
    settle(r, response);
    if version < Version::HTTP_10 {
        return;
    }
    let headers = &response.headers;
    let core = &r.location().core;
    let last_modified = own_last_modified(response).map(date::format_http);
    let connection = match r.out.keep_alive.get() {
        _ if response.upgrade || response.status == 101 => Connection::Upgrade,
        true => Connection::KeepAlive { header: core.keepalive_header },
        false => Connection::Close,
    };
    let head = ResponseHead {
        status: response.status,
        status_line: response.status_line.as_deref(),
        server: says_server(response).then_some(core.server_tokens),
        date: if says_date(response) { Some(dates.at(unix_now())) } else { None },
        content_type: response.content_type.as_deref(),
        charset: response.charset.as_deref(),
        content_length: response.content_length.filter(|_| !headers.has(HeaderId::ContentLength)),
        last_modified: last_modified.as_ref(),
        location: headers.get(HeaderId::Location).filter(|_| response.redirect),
        chunked: framing == Framing::Chunked,
        connection,
        vary: response.gzip_vary,
        headers,
    };
    head.append_to(out);
}

fn unix_now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec
}
