//! What nginx settles when a response's head is written, whatever the protocol: redirects, and the order of fields.

use crate::http::date::DateCache;
use crate::http::{HeaderId, Request, Response, date};

/// What is true of every head: the file behind an error page does not say when it was changed, and redirects
/// are made absolute.
pub(crate) fn settle(r: &Request, response: &mut Response) {
    if !matches!(response.status, 200 | 206 | 304) {
        response.last_modified = None;
    }
    settle_location(r, response);
}

/// A redirect of our own to a path becomes absolute: scheme, host, and the port where it is not the usual one.
fn settle_location(r: &Request, response: &mut Response) {
    let path = response.headers.get(HeaderId::Location).filter(|path| response.redirect && path.starts_with(b"/"));
    let Some(path) = path else {
        response.redirect = false;
        return;
    };
    if r.location().core.absolute_redirect {
        let absolute = absolute(r, path);
        response.headers.set(HeaderId::Location, &absolute);
    } else {
        response.redirect = false;
    }
}

fn absolute(r: &Request, path: &[u8]) -> Vec<u8> {
    let core = &r.location().core;
    let secure = r.connection.is_secure();
    let mut out: Vec<u8> = if secure { b"https://".to_vec() } else { b"http://".to_vec() };
    let host = r.host.borrow();
    if core.server_name_in_redirect {
        out.extend_from_slice(&r.server().name);
    } else if host.is_empty() {
        match r.connection.local {
            Some(local) => out.extend_from_slice(local.ip().to_string().as_bytes()),
            None => out.extend_from_slice(b"unix:"),
        }
    } else {
        out.extend_from_slice(&host);
    }
    let usual = if secure { 443 } else { 80 };
    let port = r.connection.local.map(|local| local.port());
    if let Some(port) = port.filter(|port| core.port_in_redirect && *port != usual) {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    out.extend_from_slice(path);
    out
}

/// Calls back for each field of the head but those that frame HTTP/1's messages, in nginx's order.
pub(super) fn each_field(r: &Request, response: &Response, dates: &mut DateCache, field: &mut dyn FnMut(&[u8], &[u8])) {
    let headers = &response.headers;
    if says_server(response) {
        field(b"Server", r.location().core.server_tokens.name().as_bytes());
    }
    if says_date(response) {
        field(b"Date", dates.at(unix_now()));
    }
    if let Some(content_type) = &response.content_type {
        match &response.charset {
            Some(charset) => field(b"Content-Type", &[content_type, &b"; charset="[..], charset].concat()),
            None => field(b"Content-Type", content_type),
        }
    }
    if let Some(length) = response.content_length.filter(|_| !headers.has(HeaderId::ContentLength)) {
        field(b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
    }
    if let Some(time) = own_last_modified(response) {
        field(b"Last-Modified", &date::format_http(time));
    }
    if response.redirect
        && let Some(location) = headers.get(HeaderId::Location)
    {
        field(b"Location", location);
    }
    if response.gzip_vary {
        field(b"Vary", b"Accept-Encoding");
    }
    for (id, name, value) in headers.iter() {
        if !(response.redirect && id == HeaderId::Location) {
            field(name, value);
        }
    }
}

/// Whether we name ourselves: an upstream's `Server`, or its lack of one, may be passed on in our place.
pub(super) fn says_server(response: &Response) -> bool {
    !response.headers.has(HeaderId::Server) && !response.no_server
}

/// Whether we say the time ourselves.
pub(super) fn says_date(response: &Response) -> bool {
    !response.headers.has(HeaderId::Date) && !response.no_date
}

/// When the response was last modified, where that stands in no header yet. Only of what was asked for is it said.
pub(super) fn own_last_modified(response: &Response) -> Option<i64> {
    let says = matches!(response.status, 200 | 206 | 304) && !response.headers.has(HeaderId::LastModified);
    response.last_modified.filter(|_| says)
}

fn unix_now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec
}
