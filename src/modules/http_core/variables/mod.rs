//! The core module's variables. <https://nginx.org/en/docs/http/ngx_http_core_module.html#variables>

mod connection;
mod request;
mod sent;

use crate::http::{GetFn, VariableDef};

/// All of them, in nginx's order. Values that can change while a request runs, and that nginx keeps once it has
/// found them, are marked as cached; the others cost less when they are made again.
pub(super) const VARIABLES: &[VariableDef] = &[
    VariableDef::new("http_host", request::http_host),
    VariableDef::new("http_user_agent", request::http_user_agent),
    VariableDef::new("http_referer", request::http_referer),
    VariableDef::new("http_via", request::http_via),
    VariableDef::new("http_x_forwarded_for", request::http_x_forwarded_for),
    VariableDef::new("http_cookie", request::http_cookie),
    VariableDef::new("content_length", request::content_length),
    VariableDef::new("content_type", request::content_type),
    VariableDef::new("host", request::host),
    VariableDef::new("binary_remote_addr", connection::binary_remote_addr),
    VariableDef::new("remote_addr", connection::remote_addr),
    VariableDef::new("remote_port", connection::remote_port),
    VariableDef::new("proxy_protocol_addr", connection::proxy_protocol_addr),
    VariableDef::new("proxy_protocol_port", connection::proxy_protocol_port),
    VariableDef::new("proxy_protocol_server_addr", connection::proxy_protocol_server_addr),
    VariableDef::new("proxy_protocol_server_port", connection::proxy_protocol_server_port),
    VariableDef::family("proxy_protocol_tlv_", connection::proxy_protocol_tlv).cached(),
    VariableDef::new("server_addr", connection::server_addr),
    VariableDef::new("server_port", connection::server_port),
    VariableDef::new("server_protocol", request::server_protocol),
    VariableDef::new("scheme", connection::scheme),
    VariableDef::new("https", connection::https),
    VariableDef::new("http2", connection::http2),
    VariableDef::new("http3", connection::http3),
    VariableDef::new("request_uri", request::request_uri),
    VariableDef::new("uri", request::uri),
    VariableDef::new("document_uri", request::uri),
    VariableDef::new("request", request::request),
    VariableDef::new("document_root", request::document_root),
    VariableDef::new("realpath_root", request::realpath_root),
    VariableDef::new("query_string", request::args),
    VariableDef::new("args", request::args).settable(request::set_args),
    VariableDef::new("is_args", request::is_args),
    VariableDef::new("request_filename", request::request_filename),
    VariableDef::new("server_name", request::server_name),
    VariableDef::new("request_method", request::request_method),
    VariableDef::new("remote_user", request::remote_user),
    VariableDef::new("bytes_sent", sent::bytes_sent).cached(),
    VariableDef::new("body_bytes_sent", sent::body_bytes_sent).cached(),
    VariableDef::new("pipe", connection::pipe),
    VariableDef::new("request_completion", sent::request_completion).cached(),
    VariableDef::new("request_body", request::request_body).cached(),
    VariableDef::new("request_body_file", request::request_body_file).cached(),
    VariableDef::new("request_length", request::request_length),
    VariableDef::new("request_time", request::request_time),
    VariableDef::new("request_id", request::request_id).cached(),
    VariableDef::new("status", sent::status),
    VariableDef::new("sent_http_content_type", sent::content_type).cached(),
    VariableDef::new("sent_http_content_length", sent::content_length).cached(),
    VariableDef::new("sent_http_last_modified", sent::last_modified).cached(),
    VariableDef::new("sent_http_connection", sent::connection).cached(),
    VariableDef::new("sent_http_keep_alive", sent::keep_alive).cached(),
    VariableDef::new("sent_http_transfer_encoding", sent::transfer_encoding).cached(),
    VariableDef::new("limit_rate", sent::limit_rate).settable(sent::set_limit_rate),
    VariableDef::new("connection", connection::connection),
    VariableDef::new("connection_requests", connection::connection_requests),
    VariableDef::new("connection_time", connection::connection_time),
    VariableDef::new("nginx_version", connection::nginx_version),
    VariableDef::new("hostname", connection::hostname),
    VariableDef::new("pid", connection::pid),
    VariableDef::new("msec", request::msec),
    VariableDef::new("time_iso8601", request::time_iso8601),
    VariableDef::new("time_local", request::time_local),
    VariableDef::new("tcpinfo_rtt", connection::tcpinfo_rtt),
    VariableDef::new("tcpinfo_rttvar", connection::tcpinfo_rttvar),
    VariableDef::new("tcpinfo_snd_cwnd", connection::tcpinfo_snd_cwnd),
    VariableDef::new("tcpinfo_rcv_space", connection::tcpinfo_rcv_space),
    VariableDef::family("http_", request::header),
    VariableDef::family("sent_http_", sent::header).cached(),
    VariableDef::family("sent_trailer_", sent::trailer).cached(),
    VariableDef::family("cookie_", request::cookie),
    VariableDef::family("arg_", request::argument),
];

/// What access logs write for some names without asking for the variable, which could have been kept earlier.
pub(crate) fn log_value(name: &[u8]) -> Option<GetFn> {
    Some(match name {
        b"pipe" => connection::pipe,
        b"time_local" => request::time_local,
        b"time_iso8601" => request::time_iso8601,
        b"msec" => request::msec,
        b"request_time" => request::request_time,
        b"status" => sent::status,
        b"bytes_sent" => sent::bytes_sent,
        b"body_bytes_sent" => sent::body_bytes_sent,
        b"request_length" => request::request_length,
        _ => return None,
    })
}

/// Appends a number.
fn put_number(out: &mut Vec<u8>, number: u64) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    true
}

/// Appends milliseconds as seconds with three decimals.
pub(crate) fn put_seconds(out: &mut Vec<u8>, millis: u128) -> bool {
    let millis = u64::try_from(millis).unwrap_or(u64::MAX);
    put_number(out, millis / 1000);
    let rest = millis % 1000;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10 % 10), digit(rest % 10)]);
    true
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or_default()
}

/// Appends a value; where there is none, says so.
fn put(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    let Some(value) = value else { return false };
    out.extend_from_slice(value);
    true
}

/// Appends a value that is not there when it is empty.
fn put_some(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    !value.is_empty()
}

/// Appends several values of one header.
fn join<'a>(out: &mut Vec<u8>, separator: &[u8], values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut found = false;
    for value in values {
        if std::mem::replace(&mut found, true) {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_seconds() {
        let text = |millis| {
            let mut out = Vec::new();
            put_seconds(&mut out, millis);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((text(0), text(7), text(12_345)), ("0.000".into(), "0.007".into(), "12.345".into()));
    }

    #[test]
    fn joins_values_that_may_be_empty() {
        let joined = |values: &[&str]| {
            let mut out = Vec::new();
            let found = join(&mut out, b", ", values.iter().map(|value| value.as_bytes()));
            (found, String::from_utf8(out).unwrap())
        };
        assert_eq!(joined(&[]), (false, String::new()));
        assert_eq!(joined(&[""]), (true, String::new()));
        assert_eq!(joined(&["a", "", "b"]), (true, "a, , b".into()));
    }
}
