//! What nginx says in its error log that it is doing, behind `while`. It notes it at some steps of a request's way, and
//! keeps it until the next of them.

pub const READING_LINE: &str = " while reading client request line";
pub const READING_PIPELINED_LINE: &str = " while reading client pipelined request line";
pub const READING_HEADERS: &str = " while reading client request headers";
/// A file is sent, or what a filter makes of it.
pub const SENDING_RESPONSE: &str = " while sending response to client";
pub const READING_HEAD: &str = " while reading response header from upstream";
/// What an upstream has answered is sent on.
pub const SENDING_ON: &str = " while sending to client";
