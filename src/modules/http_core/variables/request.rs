//! Variables of the request: its line, headers, arguments, file and times.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use super::{join, put, put_number, put_seconds, put_some};
use crate::http::{HeaderId, Request, uri};
use crate::log::{self, Level};

fn header_values(r: &Request, id: HeaderId, separator: &[u8], out: &mut Vec<u8>) -> bool {
    join(out, separator, r.headers.borrow().get_all(id))
}

pub(super) fn http_host(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::Host, b", ", out)
}

pub(super) fn http_user_agent(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::UserAgent, b", ", out)
}

pub(super) fn http_referer(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::Referer, b", ", out)
}

pub(super) fn http_via(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::Via, b", ", out)
}

pub(super) fn http_x_forwarded_for(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::XForwardedFor, b", ", out)
}

pub(super) fn http_cookie(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::Cookie, b"; ", out)
}

pub(super) fn content_type(r: &Request, out: &mut Vec<u8>) -> bool {
    header_values(r, HeaderId::ContentType, b", ", out)
}

/// `$http_NAME`
pub(super) fn header(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    join(out, b", ", r.headers.borrow().find_variable(name))
}

/// As the client said it, or of a chunked body that was read whole.
pub(super) fn content_length(r: &Request, out: &mut Vec<u8>) -> bool {
    if let Some(length) = r.header(HeaderId::ContentLength) {
        return put(out, Some(&length));
    }
    match r.body.length() {
        Some(length) if r.body.exists() => put_number(out, length),
        _ => false,
    }
}

pub(super) fn host(r: &Request, out: &mut Vec<u8>) -> bool {
    let host = r.host.borrow();
    out.extend_from_slice(if host.is_empty() { &r.server().name } else { &host });
    true
}

pub(super) fn server_name(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(&r.server().name))
}

pub(super) fn server_protocol(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.head.protocol())
}

pub(super) fn request_uri(r: &Request, out: &mut Vec<u8>) -> bool {
    put_some(out, r.head.target())
}

pub(super) fn request(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.head.has_line().then(|| r.head.line()))
}

/// Empty where the target could not be read, and not there where there was none.
pub(super) fn uri(r: &Request, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&r.uri.borrow());
    !r.uri.borrow().is_empty() || !r.head.method_name().is_empty()
}

pub(super) fn args(r: &Request, out: &mut Vec<u8>) -> bool {
    put_some(out, &r.args.borrow()) || r.args_are_set.get()
}

pub(super) fn set_args(r: &Request, value: &[u8]) {
    *r.args.borrow_mut() = value.to_vec();
    r.args_are_set.set(true);
    r.unchanged_uri.set(false);
}

pub(super) fn is_args(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(if r.args.borrow().is_empty() { b"" } else { b"?" }))
}

/// `$arg_NAME`
pub(super) fn argument(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    !name.is_empty() && put(out, uri::arg(&r.args.borrow(), name))
}

/// `$cookie_NAME`
pub(super) fn cookie(r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let headers = r.headers.borrow();
    put(out, headers.get_all(HeaderId::Cookie).find_map(|value| find_cookie(value, name)))
}

/// The value of a cookie in one `Cookie` header. Names have no case, and `,` separates as `;` does.
fn find_cookie<'a>(mut rest: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    while !rest.is_empty() {
        if let Some((found, behind)) = rest.split_at_checked(name.len())
            && found.eq_ignore_ascii_case(name)
        {
            rest = skip_spaces(behind);
            if let Some(value) = rest.strip_prefix(b"=") {
                return skip_spaces(value).split(|byte| *byte == b';').next();
            }
        }
        let end = memchr::memchr2(b';', b',', rest)?;
        rest = skip_spaces(&rest[end + 1..]);
    }
    None
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| *byte != b' ').unwrap_or(text.len())..]
}

pub(super) fn document_root(r: &Request, out: &mut Vec<u8>) -> bool {
    r.append_root(out);
    true
}

pub(super) fn realpath_root(r: &Request, out: &mut Vec<u8>) -> bool {
    let mut root = Vec::new();
    r.append_root(&mut root);
    match std::fs::canonicalize(std::ffi::OsStr::from_bytes(&root)) {
        Ok(path) => put(out, Some(path.as_os_str().as_bytes())),
        Err(error) => {
            tell_realpath(r, &root, &error);
            false
        }
    }
}

fn tell_realpath(r: &Request, root: &[u8], error: &io::Error) {
    r.log_with(Level::Crit, |line| {
        line.put("realpath() \"").bytes(root).put("\" failed").error(error);
    });
}

pub(super) fn request_filename(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.map_uri().as_deref())
}

/// The main request's, which an `error_page` turns into GET.
pub(super) fn request_method(r: &Request, out: &mut Vec<u8>) -> bool {
    let main = r.main.as_deref().unwrap_or(r);
    if main.method.get() == r.head.method { put_some(out, r.head.method_name()) } else { put(out, Some(b"GET")) }
}

pub(super) fn remote_user(r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, r.credentials().as_ref().map(|credentials| &credentials.user[..]))
}

/// Only of a body that was read and stayed in memory.
pub(super) fn request_body(r: &Request, out: &mut Vec<u8>) -> bool {
    r.body.stored().is_some_and(|stored| stored.append_to(out))
}

pub(super) fn request_body_file(r: &Request, out: &mut Vec<u8>) -> bool {
    let path = r.body.stored().and_then(|stored| stored.file_path(r));
    put(out, path.as_ref().map(|path| path.as_os_str().as_bytes()))
}

pub(super) fn request_length(r: &Request, out: &mut Vec<u8>) -> bool {
    // A subrequest has no length of its own.
    put_number(out, if r.is_main() { r.head.length + r.body.wire_length() } else { 0 })
}

pub(super) fn request_time(r: &Request, out: &mut Vec<u8>) -> bool {
    put_seconds(out, r.start.elapsed().as_millis())
}

/// 16 random bytes in hexadecimal digits.
pub(super) fn request_id(_r: &Request, out: &mut Vec<u8>) -> bool {
    let mut id = [0; 16];
    // The kernel's generator fails for so few bytes only where the call does not exist.
    let _ = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
    for byte in id {
        out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
    }
    true
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

pub(super) fn msec(_r: &Request, out: &mut Vec<u8>) -> bool {
    put_seconds(out, UNIX_EPOCH.elapsed().unwrap_or_default().as_millis())
}

pub(super) fn time_iso8601(_r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(&log::time_iso8601()))
}

pub(super) fn time_local(_r: &Request, out: &mut Vec<u8>) -> bool {
    put(out, Some(&log::time_local()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cookies_as_nginx_does() {
        let find = |header: &str, name: &str| {
            find_cookie(header.as_bytes(), name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(find("a=1; b=2", "b").as_deref(), Some("2"));
        assert_eq!(find("a=1; B = 2 ; c", "b").as_deref(), Some("2 "));
        assert_eq!(find("ab=1,b=2", "b").as_deref(), Some("2"));
        assert_eq!(find("b; a=b=3; b=", "b").as_deref(), Some(""));
        assert_eq!(find("bb=1", "b"), None);
        assert_eq!(find("", "b"), None);
        assert_eq!(find("b=1,2", "b").as_deref(), Some("1,2"));
    }
}
