//! Base64 (RFC 4648) as nginx reads and writes it: the first `=` ends it, and missing ones are not missed.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const NONE: u8 = 0xff;

static STANDARD_VALUES: [u8; 256] = values(STANDARD);
static URL_VALUES: [u8; 256] = values(URL);

const fn values(alphabet: &[u8; 64]) -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < alphabet.len() {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values
}

/// Decodes; `None` where the text is none.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    decode_by(text, &STANDARD_VALUES)
}

/// Decodes text with `-` and `_` in place of `+` and `/`.
pub(crate) fn decode_url(text: &[u8]) -> Option<Vec<u8>> {
    decode_by(text, &URL_VALUES)
}

fn decode_by(text: &[u8], values: &[u8; 256]) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let text = &text[..end];
    if text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            let value = Some(values[usize::from(*byte)]).filter(|value| *value != NONE)?;
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

/// Appends bytes encoded, `=` at the end and all.
pub(crate) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let letter = STANDARD[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > group.len() { b'=' } else { letter });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_nginx_does() {
        for (text, bytes) in
            [("", ""), ("YQ==", "a"), ("YQ", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjZA=x", "abcd")]
        {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["a", "YWJjZ", "YW-j", "YW j"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decode(b"+/+/"), decode_url(b"-_-_"));
        assert_eq!(decode_url(b"+/+/"), None);
    }

    #[test]
    fn encodes_what_it_decodes() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(83)).collect();
            let mut text = Vec::new();
            append(&bytes, &mut text);
            assert_eq!(text.len() % 4, 0);
            assert_eq!(decode(&text), Some(bytes));
        }
    }
}
