//! HTTP/1 on the wire, both ways, by nginx's rules: pure code over byte slices, no sockets.

pub(crate) mod error;
pub(crate) mod framing;
pub(crate) mod head;
mod header_line;
pub(crate) mod limits;
pub(crate) mod request;
mod request_line;
pub(crate) mod response;
mod scan;
mod status_line;
pub(crate) mod write;
