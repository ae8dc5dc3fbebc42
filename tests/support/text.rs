//! Bytes as readable text and back: `\xHH` escapes, `{{ "x" * 1000 }}` generators, long bodies as length and checksum.

/// A body longer than this stands in a snapshot as its length and CRC-32 only.
pub const LONG: usize = 1000;

/// Bytes of one text line: escapes `\xHH \r \n \t \\ \s` (a space) and generators replaced.
///
/// # Errors
/// The sentence says which escape or generator is wrong.
pub fn unescape(line: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['\\', '{']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let (bytes, used) = if rest.starts_with("{{") {
            generate(rest)?
        } else if rest.starts_with('{') {
            (b"{".to_vec(), 1)
        } else {
            escape(rest)?
        };
        out.extend(bytes);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn escape(text: &str) -> Result<(Vec<u8>, usize), String> {
    let bad = || format!("bad escape at \"{text}\"");
    let byte = match text.as_bytes().get(1).ok_or_else(bad)? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b's' => b' ',
        b'\\' => b'\\',
        b'x' => {
            let digits = text.get(2..4).ok_or_else(bad)?;
            let byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
            return Ok((vec![byte], 4));
        }
        _ => return Err(bad()),
    };
    Ok((vec![byte], 2))
}

/// `{{ "abc" * 3 }}` is the text three times; `{{ noise * 3 }}` is three bytes that do not compress.
fn generate(text: &str) -> Result<(Vec<u8>, usize), String> {
    let bad = || format!("bad generator at \"{text}\"");
    let end = text.find("}}").ok_or_else(bad)?;
    let (what, count) = text[2..end].rsplit_once('*').ok_or_else(bad)?;
    let count: usize = count.trim().parse().map_err(|_| bad())?;
    let bytes = match what.trim() {
        "noise" => noise(count),
        quoted => {
            let inner = quoted.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(bad)?;
            unescape(inner)?.repeat(count)
        }
    };
    Ok((bytes, end + 2))
}

/// Letters and digits in an order that is always the same and does not compress well.
fn noise(count: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        LETTERS[(state >> 32) as usize % 64]
    };
    (0..count).map(|_| next()).collect()
}

/// Several lines as bytes, each ended by `end`; a line that ends in a single `\` gets no end.
///
/// # Errors
/// As [`unescape`].
pub fn unescape_lines(lines: &[&str], end: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for line in lines {
        let (line, end) = match line.strip_suffix('\\') {
            Some(cut) if !cut.ends_with('\\') => (cut, ""),
            _ => (*line, end),
        };
        out.extend(unescape(line)?);
        out.extend_from_slice(end.as_bytes());
    }
    Ok(out)
}

/// Bytes of one line, without its end, as text that [`unescape`] reads back.
pub fn escape_line(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if let Some(cut) = out.strip_suffix(' ') {
        out = format!("{cut}\\s");
    }
    out
}

/// A whole body as lines. `~ crlf` in front says that every line end is CR LF, a final `\` that the last line has no end.
pub fn body(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    if bytes.len() > LONG {
        return format!("~ {} bytes, crc32 {:08x}\n", bytes.len(), crc32(bytes));
    }
    let crlf = line_ends_are_crlf(bytes);
    let mut out = String::from(if crlf { "~ crlf\n" } else { "" });
    let cut = if crlf { 2 } else { 1 };
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let ended = line.ends_with(b"\n");
        let shown = &line[..line.len() - if ended { cut } else { 0 }];
        out.push_str(&guard(&escape_line(shown)));
        out.push_str(if ended { "\n" } else { "\\\n" });
    }
    out
}

/// A body line must not look like a mark of the snapshot's own.
fn guard(line: &str) -> String {
    match line.as_bytes() {
        [b'~', ..] => format!("\\x7e{}", &line[1..]),
        [b'=', b'=', b'=', ..] => format!("\\x3d{}", &line[1..]),
        _ => line.to_owned(),
    }
}

fn line_ends_are_crlf(bytes: &[u8]) -> bool {
    let ends = |at: &usize| bytes[*at] == b'\n';
    let mut found = (0..bytes.len()).filter(ends).peekable();
    found.peek().is_some() && found.all(|at| at > 0 && bytes[at - 1] == b'\r')
}

/// The CRC-32 that gzip uses.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
