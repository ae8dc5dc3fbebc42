//! The head of a request as it came, before anything was made of it.

use bytes::Bytes;

use super::{Method, Version};

/// What stood in the request line (or in HTTP/2's pseudo-headers).
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The request line without line end, for `$request`.
    pub line: Bytes,
    /// The method's name as sent.
    pub method_name: Bytes,
    /// The method.
    pub method: Method,
    /// The target as sent, for `$request_uri`: path and arguments.
    pub target: Bytes,
    /// The protocol as sent (`HTTP/1.1`), for `$server_protocol`.
    pub protocol: Bytes,
    /// The protocol's version.
    pub version: Version,
    /// Whether the target may be sent on as it came where `proxy_pass` has no URI.
    pub valid_target: bool,
    /// Bytes of the request line and headers, for `$request_length`.
    pub length: u64,
}
