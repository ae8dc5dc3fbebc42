//! `Authorization: Basic …`: name and password. RFC 7617.

use super::{HeaderId, Request};

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
        let decoded = decode_base64(encoded.trim_ascii_start())?;
        let colon = decoded.iter().position(|byte| *byte == b':').filter(|at| *at > 0)?;
        Some(Credentials { user: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec() })
    }
}

/// Decodes base64 as nginx does: the first `=` ends it, and missing ones are not missed.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let text = &text[..end];
    if text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | base64_value(*byte)?;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

fn base64_value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_nginx_does() {
        for (text, bytes) in
            [("", ""), ("YQ==", "a"), ("YQ", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjZA=x", "abcd")]
        {
            assert_eq!(decode_base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["a", "YWJjZ", "YW-j", "YW j"] {
            assert_eq!(decode_base64(text.as_bytes()), None, "{text}");
        }
    }
}
