//! HPACK (RFC 7541) without a dynamic table, which we tell peers not to use.

use super::huffman;

/// The static table, RFC 7541 appendix A. The first entry is number 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// What is wrong with a block of headers, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HpackError {
    #[error("upstream sent truncated http2 header")]
    Truncated,
    #[error("upstream sent invalid http2 table index: {0}")]
    Index(usize),
    #[error("upstream sent http2 table index with continuation flag")]
    LongIndex,
    #[error("upstream sent invalid http2 dynamic table size update: {0}")]
    TableSize(usize),
    #[error("upstream sent zero http2 header name length")]
    EmptyName,
    #[error("upstream sent too large http2 header {0} length")]
    TooLong(&'static str),
    #[error("upstream sent invalid encoded header")]
    Encoding,
    #[error("{0}")]
    Field(String),
}

/// Reads a block of headers, and hands each field out.
pub(super) fn decode(mut block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), HpackError> {
    while let Some(first) = block.first() {
        let first = *first;
        if first & 0x80 != 0 {
            // There is no table of the peer's own, so an index needs no second byte, and nginx reads none.
            let (name, value) = entry(usize::from(first & 0x7f))?;
            block = &block[1..];
            field(name.as_bytes(), value.as_bytes());
            continue;
        }
        if first & 0xe0 == 0x20 {
            // nginx looks no further than this byte.
            let size = usize::from(first & 0x1f);
            if size > 0 {
                return Err(HpackError::TableSize(size));
            }
            block = &block[1..];
            continue;
        }
        block = &block[1..];
        let index = match first & 0x40 {
            0 => short_index(first & 0x0f, &mut block)?,
            _ => usize::from(first & 0x3f),
        };
        let name = match index {
            0 => string(&mut block, "name")?,
            _ => entry(index)?.0.as_bytes().to_vec(),
        };
        let value = string(&mut block, "value")?;
        check(&name, &value)?;
        field(&name, &value);
    }
    Ok(())
}

fn entry(index: usize) -> Result<(&'static str, &'static str), HpackError> {
    static_entry(index).ok_or(HpackError::Index(index))
}

/// An entry of the static table, counted from 1.
pub(crate) fn static_entry(index: usize) -> Option<(&'static str, &'static str)> {
    index.checked_sub(1).and_then(|at| STATIC.get(at)).copied()
}

/// nginx refuses upper case in names, and control characters anywhere.
fn check(name: &[u8], value: &[u8]) -> Result<(), HpackError> {
    let bad_name = name.iter().any(|byte| byte.is_ascii_uppercase() || *byte <= b' ' || *byte == 0x7f)
        || name.get(1..).is_some_and(|rest| rest.contains(&b':'));
    if bad_name || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sentence = format!("upstream sent invalid header: \"{}: {}\"", text(name), text(value));
        return Err(HpackError::Field(sentence));
    }
    Ok(())
}

fn next(block: &mut &[u8]) -> Result<u8, HpackError> {
    let (first, rest) = block.split_first().ok_or(HpackError::Truncated)?;
    *block = rest;
    Ok(*first)
}

/// An index of four bits, with one byte behind it where they are all set.
fn short_index(bits: u8, block: &mut &[u8]) -> Result<usize, HpackError> {
    if bits < 0x0f {
        return Ok(bits.into());
    }
    let byte = next(block)?;
    if byte & 0x80 != 0 { Err(HpackError::LongIndex) } else { Ok(usize::from(bits) + usize::from(byte)) }
}

/// A string's length: seven bits, and three bytes behind them at most.
fn length(block: &mut &[u8], what: &'static str) -> Result<usize, HpackError> {
    const MOST: usize = 0x7f;
    let mut length = usize::from(next(block)?) & MOST;
    if length < MOST {
        return Ok(length);
    }
    for shift in [0, 7, 14] {
        let byte = next(block)?;
        length += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(HpackError::TooLong(what))
}

fn string(block: &mut &[u8], what: &'static str) -> Result<Vec<u8>, HpackError> {
    let huffman = block.first().ok_or(HpackError::Truncated)? & 0x80 != 0;
    let length = length(block, what)?;
    if length == 0 && what == "name" {
        return Err(HpackError::EmptyName);
    }
    let (text, rest) = block.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *block = rest;
    if !huffman {
        return Ok(text.to_vec());
    }
    let mut decoded = Vec::new();
    huffman::decode(text, &mut decoded).ok_or(HpackError::Encoding)?;
    Ok(decoded)
}

/// Appends a field whose name and value stand in the static table.
pub(crate) fn append_indexed(index: u8, out: &mut Vec<u8>) {
    out.push(0x80 | index);
}

/// Appends a field whose name stands in the static table.
pub(crate) fn append_named(index: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(0x40 | index);
    append_string(value.iter().copied(), value.len(), out);
}

/// Appends a field, its name in lower case.
pub(crate) fn append_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    append_string(name.iter().map(u8::to_ascii_lowercase), name.len(), out);
    append_string(value.iter().copied(), value.len(), out);
}

/// Appends a string by Huffman's code where that is shorter.
fn append_string(text: impl Iterator<Item = u8> + Clone, length: usize, out: &mut Vec<u8>) {
    let coded = huffman::encode(text.clone());
    let (flag, length) = if coded.len() < length { (0x80, coded.len()) } else { (0, length) };
    let start = out.len();
    append_integer(length, 7, out);
    out[start] |= flag;
    if flag == 0 { out.extend(text) } else { out.extend_from_slice(&coded) }
}

fn append_integer(mut value: usize, bits: u32, out: &mut Vec<u8>) {
    let most = (1usize << bits) - 1;
    if value < most {
        return out.push(value as u8);
    }
    out.push(most as u8);
    value -= most;
    while value >= 128 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> Result<String, String> {
        let mut out = String::new();
        decode(block, |name, value| {
            out += &format!("{}: {}\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        })
        .map(|()| out)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn writes_what_it_reads() {
        let mut block = Vec::new();
        append_indexed(8, &mut block);
        append_named(31, b"application/grpc", &mut block);
        append_field(b"X-Long", &[b'a'; 300], &mut block);
        append_field(b"x-odd", b"\xff", &mut block);
        let long = "a".repeat(300);
        let odd = "\u{fffd}";
        assert_eq!(
            read(&block),
            Ok(format!(":status: 200\ncontent-type: application/grpc\nx-long: {long}\nx-odd: {odd}\n"))
        );
    }

    #[test]
    fn refuses_with_nginx_words() {
        assert_eq!(read(&[0x80]), Err("upstream sent invalid http2 table index: 0".into()));
        assert_eq!(read(&[0xbe]), Err("upstream sent invalid http2 table index: 62".into()));
        assert_eq!(read(&[0xff, 0x00]), Err("upstream sent invalid http2 table index: 127".into()));
        assert_eq!(read(&[0x7f, 0x00]), Err("upstream sent invalid http2 table index: 63".into()));
        assert_eq!(read(&[0x0f, 0x2f, 0x00]), Err("upstream sent invalid http2 table index: 62".into()));
        assert_eq!(read(&[0x0f, 0x80]), Err("upstream sent http2 table index with continuation flag".into()));
        let long = [0x08, 0x7f, 0x80, 0x80, 0x80];
        assert_eq!(read(&long), Err("upstream sent too large http2 header value length".into()));
        assert_eq!(read(&[0x00, 0x02, b'a']), Err("upstream sent truncated http2 header".into()));
        assert_eq!(read(&[0x00, 0x00]), Err("upstream sent zero http2 header name length".into()));
        assert_eq!(read(&[0x00, 0x81, 0x00]), Err("upstream sent invalid encoded header".into()));
        assert_eq!(read(&[0x21]), Err("upstream sent invalid http2 dynamic table size update: 1".into()));
        assert_eq!(read(&[0, 1, b'A', 1, b'b']), Err("upstream sent invalid header: \"A: b\"".into()));
    }
}
