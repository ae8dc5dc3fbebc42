//! `Authorization: Basic …`: name and password. RFC 7617.

use super::{HeaderId, Request, base64};

/// What a client says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name, never empty.
    pub user: Vec<u8>,
    /// The password.
    pub password: Vec<u8>,
}

impl Request {
    /// The credentials that the client sent, where they can be read.
    pub fn credentials(&self) -> Option<Credentials> {
        let header = self.header(HeaderId::Authorization)?;
        let (scheme, encoded) = header.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = base64::decode(encoded.trim_ascii_start())?;
        let colon = decoded.iter().position(|byte| *byte == b':').filter(|at| *at > 0)?;
        Some(Credentials { user: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec() })
    }
}
