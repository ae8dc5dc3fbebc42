//! The frames that hold the fields of requests: put together, read, and handed to hyper as a number. RFC 9113, section 6.2.

use super::super::frame::{END_HEADERS, END_STREAM, HEADERS, PADDED, PRIORITY, append_frame};
use super::super::hpack::Fields;
use super::super::shared::Head;
use super::super::{Fatal, PROTOCOL_ERROR, REFUSED_STREAM};
use super::{Front, LONGEST, MOST_REFUSED};

/// A block of fields that is on its way.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    /// It begins a request.
    is_new: bool,
    ends_stream: bool,
    priority: Option<[u8; 5]>,
    bytes: Vec<u8>,
    frames: usize,
}

/// The most frames of one block.
pub(super) const MOST_FRAMES: usize = 1000;

impl Front {
    /// A frame of fields is whole.
    pub(super) fn collected(&mut self) -> Result<(), Fatal> {
        let payload = std::mem::take(&mut self.payload);
        if let Some(block) = &mut self.block {
            block.bytes.extend_from_slice(&payload);
            block.frames += 1;
        } else {
            self.begin_block(&payload)?;
        }
        self.payload = payload;
        self.payload.clear();
        let ends_headers = self.head[4] & END_HEADERS != 0;
        let most = self.decoder.longest_block();
        match self.block.take_if(|block| ends_headers || block.frames > MOST_FRAMES || block.bytes.len() > most) {
            Some(block) if ends_headers && block.bytes.len() <= most => self.end_block(block),
            Some(_) => Err(Fatal::calm("client sent too large header")),
            None => Ok(()),
        }
    }

    fn begin_block(&mut self, payload: &[u8]) -> Result<(), Fatal> {
        let (flags, stream) = (self.head[4], self.stream());
        let wrong_length = || Fatal::length("HEADERS", payload.len());
        let (mut rest, mut padding, mut priority) = (payload, 0, None);
        if flags & PADDED != 0 {
            let (first, behind) = rest.split_first().ok_or_else(wrong_length)?;
            (padding, rest) = (usize::from(*first), behind);
        }
        if flags & PRIORITY != 0 {
            let (first, behind) = rest.split_first_chunk::<5>().ok_or_else(wrong_length)?;
            (priority, rest) = (Some(*first), behind);
        }
        if rest.is_empty() {
            return Err(Fatal::size("client sent HEADERS frame with empty header block"));
        }
        let length = rest.len().checked_sub(padding);
        let length = length.ok_or_else(|| {
            let (length, sentence) = (rest.len(), "client sent padded HEADERS frame with incorrect length");
            Fatal::said(PROTOCOL_ERROR, format!("{sentence}: {length}, padding: {padding}"))
        })?;
        if length == 0 {
            return Err(Fatal::size("client sent header block with incorrect length"));
        }
        if stream.is_multiple_of(2) {
            let sentence =
                format!("client sent HEADERS frame with incorrect identifier {stream}, the last was {}", self.last);
            return Err(Fatal::said(PROTOCOL_ERROR, sentence));
        }
        if priority.is_some_and(|[a, b, c, d, _]| u32::from_be_bytes([a & 0x7f, b, c, d]) == stream) {
            let sentence = format!("client sent HEADERS frame for stream {stream} with incorrect dependency");
            return Err(Fatal::said(PROTOCOL_ERROR, sentence));
        }
        let ends_stream = flags & END_STREAM != 0;
        let is_new = stream > self.last;
        if is_new && !self.goaway {
            self.last = stream;
            if self.window_unknown && !ends_stream {
                self.refuse(stream, REFUSED_STREAM);
            }
        }
        if self.dropped.len() > MOST_REFUSED {
            return Err(Fatal::flood("client sent too many refused streams"));
        }
        let bytes = rest[..length].to_vec();
        self.block = Some(Block { stream, is_new, ends_stream, priority, bytes, frames: 1 });
        Ok(())
    }

    /// A block of fields is whole: a request, or the trailers of one.
    fn end_block(&mut self, block: Block) -> Result<(), Fatal> {
        let fields = self.decoder.read(&block.bytes)?;
        let Block { stream, ends_stream, priority, is_new, .. } = block;
        if self.goaway && stream > self.last || self.dropped.contains(&stream) {
            return Ok(());
        }
        let mut payload = priority.map_or(Vec::new(), Vec::from);
        if is_new {
            let length = declared_length(&fields);
            match length {
                Some(length) if !ends_stream => _ = self.lengths.insert(stream, length),
                Some(1..) => self.shared.reset(stream, PROTOCOL_ERROR),
                _ => {}
            }
            if !ends_stream {
                self.shared.windows.open(stream, self.preread);
            }
            self.requests_left = self.requests_left.saturating_sub(1);
            if self.requests_left == 0 {
                self.goaway = true;
            }
            self.shared.put_head(stream, Head { fields, ends: ends_stream });
            append_request(stream, &mut payload);
        } else if !self.shared.windows.is_open(stream) && fields.iter().any(|(name, _)| name.starts_with(b":")) {
            let last = self.last;
            let sentence = format!("client sent HEADERS frame with incorrect identifier {stream}, the last was {last}");
            return Err(Fatal::said(PROTOCOL_ERROR, sentence));
        } else if !ends_stream
            || self.shared.windows.is_open(stream) && !fields.iter().all(|(name, _)| is_trailer(name))
        {
            // Trailers are the end, and have no pseudo-header (RFC 9113, section 8.1).
            self.end_stream(stream, PROTOCOL_ERROR);
            self.append_own();
            return Ok(());
        } else {
            append_trailers(&fields, &mut payload);
            // The body ends here.
            self.shared.windows.close(stream);
            if self.lengths.remove(&stream).is_some_and(|left| left > 0) {
                self.shared.reset(stream, PROTOCOL_ERROR);
            }
        }
        let end = if ends_stream { END_STREAM } else { 0 };
        let priority = if priority.is_some() { PRIORITY } else { 0 };
        append_frame(HEADERS, END_HEADERS | end | priority, stream, &payload, &mut self.out);
        Ok(())
    }
}

/// What hyper gets in place of the fields of a request: the number of its stream, as a path.
fn append_request(stream: u32, out: &mut Vec<u8>) {
    const GET: u8 = 0x82;
    const HTTP: u8 = 0x86;
    const PATH: u8 = 0x04;
    let path = format!("/{stream}");
    out.extend_from_slice(&[GET, HTTP, PATH, path.len() as u8]);
    out.extend_from_slice(path.as_bytes());
}

/// Trailers in plain text, for hyper to judge; as many as fit one frame.
fn append_trailers(fields: &Fields, out: &mut Vec<u8>) {
    const PLAIN: usize = 127;
    let mut append = |text: &[u8]| match text.len().checked_sub(PLAIN) {
        None => {
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        }
        Some(more) => {
            out.extend_from_slice(&[PLAIN as u8, (more & 0x7f) as u8 | 0x80, (more >> 7) as u8]);
            out.extend_from_slice(text);
        }
    };
    let mut room = LONGEST - 64;
    for (name, value) in fields.iter() {
        let size = name.len() + value.len() + 7;
        if size > room {
            break;
        }
        room -= size;
        append(b"");
        append(name);
        append(value);
    }
}

/// Whether a field of this name may stand behind a body (RFC 9113, sections 8.1 and 8.2.1).
fn is_trailer(name: &[u8]) -> bool {
    !name.iter().any(|byte| matches!(byte, 0..=b' ' | b'A'..=b'Z' | b':' | 0x7f..))
}

/// The length of a body, where it is said once and well.
fn declared_length(fields: &Fields) -> Option<u64> {
    let mut said = fields.iter().filter(|(name, _)| *name == b"content-length").map(|(_, value)| value);
    let value = said.next().filter(|value| value.iter().all(u8::is_ascii_digit))?;
    if said.next().is_some() { None } else { std::str::from_utf8(value).ok()?.parse().ok() }
}
