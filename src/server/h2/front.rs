//! What stands between a client's frames and hyper: it reads the fields of requests itself, as nginx does, and hands
//! hyper the number of the stream only. Everything else passes as it came. RFC 9113, section 6.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::hpack::{Decoder, Fields, Limits};
use super::shared::{Head, Shared};
use super::{Fatal, PROTOCOL_ERROR};

/// What the client sends, on its way to hyper.
pub(super) struct Front {
    shared: Rc<Shared>,
    decoder: Decoder,
    /// The longest piece of a block of fields.
    longest: usize,
    /// The head of a frame, as far as it has come.
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the frame's payload that are still to come.
    left: usize,
    now: Now,
    /// A payload that is looked at when it is whole.
    payload: Vec<u8>,
    block: Option<Block>,
    /// For hyper.
    pub(super) out: Vec<u8>,
    /// The newest request.
    pub(super) last: u32,
    /// No newer requests are taken.
    pub(super) goaway: bool,
    /// Streams that hyper never sees.
    dropped: HashSet<u32>,
    /// Streams of the client that are refused, with the code for that.
    pub(super) refused: Vec<(u32, u32)>,
    /// The client does not know yet how much of a body it may send, and must.
    window_unknown: bool,
    /// What is still to come of bodies of which the length was said.
    lengths: HashMap<u32, u64>,
    /// Bytes of all frames, and of those that carry requests.
    total: u64,
    useful: u64,
}

/// What becomes of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Pass,
    Drop,
    Collect,
    /// `DATA` of which the padding's length comes first.
    Pad,
}

/// How much of what came goes on as it is.
struct Prefix {
    /// All of it did so far.
    open: bool,
    length: usize,
}

/// A block of fields that is on its way.
#[derive(Debug)]
struct Block {
    stream: u32,
    /// It begins a request.
    is_new: bool,
    ends_stream: bool,
    priority: Option<[u8; 5]>,
    bytes: Vec<u8>,
    frames: usize,
}

pub(super) const HEAD: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
/// It answers one that came.
pub(super) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The longest piece of a block of fields, where a single field may not be longer.
const LONGEST: usize = 16 << 10;

/// The most streams that are refused.
const MOST_REFUSED: usize = 128;

/// The most frames of one block.
const MOST_FRAMES: usize = 1000;

/// The code for a stream of which nothing was done.
const REFUSED_STREAM: u32 = 7;

/// nginx's measure: what is no payload may be eight times as much as what is, and this beyond it, in bytes.
const LEEWAY: u64 = 1 << 20;

impl Front {
    /// Frames begin behind so many bytes.
    pub(super) fn behind(preface: usize, limits: Limits, shared: Rc<Shared>) -> Self {
        Self {
            shared,
            decoder: Decoder::new(limits),
            longest: limits.field.max(LONGEST),
            head: [0; HEAD],
            filled: 0,
            left: preface,
            now: Now::Pass,
            payload: Vec::new(),
            block: None,
            out: Vec::new(),
            last: 0,
            goaway: false,
            dropped: HashSet::new(),
            refused: Vec::new(),
            window_unknown: false,
            lengths: HashMap::new(),
            total: 0,
            useful: 0,
        }
    }

    /// The same; no bodies are taken until the client has acknowledged our settings, which give less room than usual.
    pub(super) fn with_small_window(self) -> Self {
        Self { window_unknown: true, ..self }
    }

    /// The stream of which the fields are on their way.
    pub(super) fn slow_stream(&self) -> Option<u32> {
        let begun = (self.now == Now::Collect && self.left > 0).then(|| self.stream());
        let stream = self.block.as_ref().map(|block| block.stream).or(begun);
        stream.filter(|stream| !self.dropped.contains(stream))
    }

    /// Takes nothing more of a stream.
    pub(super) fn refuse(&mut self, stream: u32, code: u32) {
        self.dropped.insert(stream);
        self.refused.push((stream, code));
    }

    /// A stream is to be reset with this code.
    pub(super) fn reset(&self, stream: u32, code: u32) {
        self.shared.reset(stream, code);
    }

    /// How a stream is to be reset, where it is.
    pub(super) fn reset_code(&self, stream: u32) -> Option<u32> {
        self.shared.reset_code(stream)
    }

    /// The last frame of an answer has left.
    pub(super) fn sent_all(&self, stream: u32) {
        self.shared.release(stream);
    }

    /// A stream that the server has reset.
    pub(super) fn forget(&mut self, stream: u32) {
        self.lengths.remove(&stream);
        self.shared.forget(stream);
    }

    /// Looks at bytes in the order in which they come. So many at the front may go to hyper as they are; the others have
    /// been taken, and what hyper gets instead stands in `out`.
    ///
    /// # Errors
    /// What ends the connection.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Fatal> {
        self.total += bytes.len() as u64;
        let (mut at, mut prefix) = (0, Prefix { open: true, length: 0 });
        while at < bytes.len() {
            if self.left == 0 {
                let start = self.filled;
                let new = (HEAD - start).min(bytes.len() - at);
                self.head[start..start + new].copy_from_slice(&bytes[at..at + new]);
                self.filled += new;
                at += new;
                prefix.open &= start == 0 && self.filled == HEAD;
                if self.filled == HEAD {
                    self.filled = 0;
                    self.begin()?;
                    self.pass_head(&mut prefix, at)?;
                }
                continue;
            }
            let piece = &bytes[at..bytes.len().min(at + self.left)];
            at += piece.len();
            self.left -= piece.len();
            self.take_piece(piece, &mut prefix, at)?;
        }
        let is_flood = self.total / 8 > self.useful + LEEWAY;
        if is_flood { Err(Fatal::flood("http2 flood detected")) } else { Ok(prefix.length) }
    }

    fn pass_head(&mut self, prefix: &mut Prefix, at: usize) -> Result<(), Fatal> {
        match self.now {
            Now::Collect | Now::Drop => prefix.open = false,
            _ if prefix.open => prefix.length = at,
            _ => self.out.extend_from_slice(&self.head),
        }
        if self.now == Now::Collect && self.left == 0 { self.collected() } else { Ok(()) }
    }

    fn take_piece(&mut self, piece: &[u8], prefix: &mut Prefix, at: usize) -> Result<(), Fatal> {
        match self.now {
            Now::Drop => prefix.open = false,
            Now::Collect => {
                prefix.open = false;
                self.payload.extend_from_slice(piece);
                if self.left == 0 {
                    return self.collected();
                }
            }
            Now::Pad | Now::Pass => {
                if self.now == Now::Pad {
                    let content = (self.left + piece.len() - 1).saturating_sub(usize::from(piece[0]));
                    self.count_data(content);
                    self.now = Now::Pass;
                }
                if prefix.open {
                    prefix.length = at;
                } else {
                    self.out.extend_from_slice(piece);
                }
            }
        }
        Ok(())
    }

    /// The frame's stream.
    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_be_bytes([a & 0x7f, b, c, d])
    }

    /// A frame's head has come: what becomes of the frame?
    fn begin(&mut self) -> Result<(), Fatal> {
        let ([a, b, c, kind, flags, ..], stream) = (self.head, self.stream());
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        self.left = length;
        if let Some(block) = &self.block {
            if kind != CONTINUATION {
                return Err(Fatal::protocol("client sent inappropriate frame while CONTINUATION was expected"));
            }
            if stream != block.stream {
                return Err(Fatal::protocol("client sent CONTINUATION frame with incorrect identifier"));
            }
            if length > self.longest {
                return Err(Fatal::size("client sent CONTINUATION frame with incorrect length"));
            }
            self.now = Now::Collect;
            return Ok(());
        }
        self.now = match kind {
            HEADERS if length > self.longest => {
                return Err(Fatal::size("client sent HEADERS frame with incorrect length"));
            }
            HEADERS => {
                self.useful += length as u64;
                Now::Collect
            }
            _ if self.dropped.contains(&stream) || self.goaway && stream > self.last => Now::Drop,
            PUSH_PROMISE => return Err(Fatal::protocol("client sent PUSH_PROMISE frame")),
            GOAWAY if length < 8 => return Err(Fatal::size("client sent GOAWAY frame with incorrect length")),
            RST_STREAM => {
                self.forget(stream);
                Now::Pass
            }
            SETTINGS if flags & ACK != 0 => {
                self.window_unknown = false;
                Now::Pass
            }
            DATA => {
                self.useful += length as u64;
                match flags & PADDED != 0 && length > 0 {
                    true => Now::Pad,
                    false => {
                        self.count_data(length);
                        Now::Pass
                    }
                }
            }
            _ => Now::Pass,
        };
        Ok(())
    }

    /// Content has come of a body; where it is not as long as was said, the stream will be reset.
    fn count_data(&mut self, length: usize) {
        let (stream, ends) = (self.stream(), self.head[4] & END_STREAM != 0);
        let Some(left) = self.lengths.get_mut(&stream) else { return };
        let still = left.checked_sub(length as u64);
        match still {
            Some(still) if !ends || still == 0 => *left = still,
            _ => self.shared.reset(stream, PROTOCOL_ERROR),
        }
        if ends || still.is_none() {
            self.lengths.remove(&stream);
        }
    }

    /// A frame of fields is whole.
    fn collected(&mut self) -> Result<(), Fatal> {
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
        let wrong_length = || Fatal::size("client sent HEADERS frame with incorrect length");
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
        let length = length.ok_or(Fatal::protocol("client sent padded HEADERS frame with incorrect length"))?;
        if stream.is_multiple_of(2) {
            return Err(Fatal::protocol("client sent HEADERS frame with incorrect identifier"));
        }
        if priority.is_some_and(|[a, b, c, d, _]| u32::from_be_bytes([a & 0x7f, b, c, d]) == stream) {
            return Err(Fatal::protocol("client sent HEADERS frame for stream with incorrect dependency"));
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
            self.shared.put_head(stream, Head { fields, ends: ends_stream });
            append_request(stream, &mut payload);
        } else if !ends_stream {
            // Trailers are the end (RFC 9113, section 8.1): the client hears of it, and to hyper it is gone.
            self.refused.push((stream, PROTOCOL_ERROR));
            self.forget(stream);
            append_frame(RST_STREAM, 0, stream, &PROTOCOL_ERROR.to_be_bytes(), &mut self.out);
            return Ok(());
        } else {
            append_trailers(&fields, &mut payload);
            // The body ends here.
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

/// The length of a body, where it is said once and well.
fn declared_length(fields: &Fields) -> Option<u64> {
    let mut said = fields.iter().filter(|(name, _)| *name == b"content-length").map(|(_, value)| value);
    let value = said.next().filter(|value| value.iter().all(u8::is_ascii_digit))?;
    if said.next().is_some() { None } else { std::str::from_utf8(value).ok()?.parse().ok() }
}

/// Appends a whole frame.
pub(super) fn append_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Front {
        Front::behind(0, Limits { field: 1000, all: 4000 }, Rc::default())
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append_frame(kind, flags, stream, payload, &mut out);
        out
    }

    /// What hyper gets of bytes that come in pieces.
    fn pass(front: &mut Front, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Fatal> {
        let mut passed = Vec::new();
        for piece in bytes.chunks(piece) {
            let whole = front.take(piece)?;
            passed.extend_from_slice(&piece[..whole]);
            passed.append(&mut front.out);
        }
        Ok(passed)
    }

    #[test]
    fn hands_on_what_is_no_request() {
        let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
        let block = [0x82, 0x86, 0x84, 0x01, 1, b'a', 0x0f, 0x0d, 1, b'4'];
        let sent = [
            settings.clone(),
            frame(HEADERS, END_HEADERS | PADDED, 1, &[&[2][..], &block, &[0, 0]].concat()),
            frame(DATA, END_STREAM, 1, b"body"),
            frame(HEADERS, END_STREAM, 3, &block[..3]),
            frame(CONTINUATION, END_HEADERS, 3, &block[3..6]),
            frame(PING, 0, 0, &[7; 8]),
        ]
        .concat();
        let expected = [
            settings,
            frame(HEADERS, END_HEADERS, 1, &[0x82, 0x86, 4, 2, b'/', b'1']),
            frame(DATA, END_STREAM, 1, b"body"),
            frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x82, 0x86, 4, 2, b'/', b'3']),
            frame(PING, 0, 0, &[7; 8]),
        ]
        .concat();
        for piece in [1, 2, 5, 10, 1000] {
            let mut front = front();
            assert_eq!(pass(&mut front, &sent, piece).unwrap(), expected, "{piece}");
            let head = front.shared.take_head(1).unwrap();
            let fields: Vec<_> = head.fields.iter().collect();
            assert_eq!(fields[3..], [(&b":authority"[..], &b"a"[..]), (b"content-length", b"4")]);
            assert!(!head.ends && front.shared.take_head(3).unwrap().ends && front.reset_code(1).is_none());
        }
    }

    #[test]
    fn notes_bodies_of_another_length() {
        let head = frame(HEADERS, END_HEADERS, 1, &[0x82, 0x86, 0x84, 0x0f, 0x0d, 1, b'4']);
        for (data, is_wrong) in [
            (frame(DATA, END_STREAM, 1, b"bod"), true),
            (frame(DATA, 0, 1, b"bodie"), true),
            (frame(DATA, PADDED | END_STREAM, 1, b"\x02body\0\0"), false),
            (frame(DATA, 0, 1, b"bod"), false),
        ] {
            let mut front = front();
            pass(&mut front, &[&head[..], &data].concat(), 4).unwrap();
            assert_eq!(front.reset_code(1).is_some(), is_wrong, "{data:?}");
        }
    }

    #[test]
    fn ends_what_nginx_ends() {
        let open = frame(HEADERS, 0, 1, &[0x82]);
        for (sent, code) in [
            ([&open[..], &frame(PING, 0, 0, &[0; 8])].concat(), PROTOCOL_ERROR),
            ([&open[..], &frame(CONTINUATION, 0, 3, &[0x84])].concat(), PROTOCOL_ERROR),
            ([&open[..], &frame(CONTINUATION, 0, 1, &[0x84]).repeat(MOST_FRAMES)].concat(), 11),
            (frame(HEADERS, END_HEADERS, 2, &[0x82]), PROTOCOL_ERROR),
            (frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x82]), PROTOCOL_ERROR),
            (frame(HEADERS, END_HEADERS, 1, &[]), 6),
            (frame(HEADERS, END_HEADERS, 1, &[0xff]), 6),
            (frame(HEADERS, END_HEADERS, 1, &[0x80]), 9),
            (frame(PUSH_PROMISE, 0, 1, &[0; 8]), PROTOCOL_ERROR),
            (frame(GOAWAY, 0, 0, &[0; 4]), 6),
        ] {
            assert_eq!(pass(&mut front(), &sent, 1000).unwrap_err().code, code, "{sent:?}");
        }
    }

    #[test]
    fn takes_no_newer_requests_behind_a_goaway() {
        let mut front = front();
        let first = pass(&mut front, &frame(HEADERS, END_HEADERS, 1, &[0x82]), 100).unwrap();
        assert_eq!(first.len(), HEAD + 6);
        front.goaway = true;
        let next = [frame(HEADERS, END_HEADERS, 3, &[0x82]), frame(DATA, END_STREAM, 3, b"x")].concat();
        assert_eq!((pass(&mut front, &next, 100).unwrap(), front.last), (Vec::new(), 1));
        let own = frame(DATA, END_STREAM, 1, b"x");
        assert_eq!(pass(&mut front, &own, 100).unwrap(), own);
    }

    #[test]
    fn refuses_what_comes_too_early_or_too_slowly() {
        let head = frame(HEADERS, END_HEADERS, 1, &[0x82]);
        let mut front = front().with_small_window();
        assert_eq!(pass(&mut front, &[&head[..], &frame(DATA, 0, 1, b"x")].concat(), 100).unwrap(), b"");
        assert_eq!(front.refused, [(1, REFUSED_STREAM)]);
        let ack = frame(SETTINGS, ACK, 0, b"");
        let next = [ack.clone(), frame(HEADERS, END_HEADERS, 3, &[0x82])].concat();
        assert_eq!(pass(&mut front, &next, 100).unwrap().len(), ack.len() + HEAD + 6);
        let slow = frame(HEADERS, END_HEADERS, 5, &[0x82, 0x86]);
        assert_eq!(pass(&mut front, &slow[..HEAD + 1], 100).unwrap(), b"");
        assert_eq!(front.slow_stream(), Some(5));
        front.refuse(5, PROTOCOL_ERROR);
        assert_eq!((front.slow_stream(), pass(&mut front, &slow[HEAD + 1..], 100).unwrap()), (None, Vec::new()));
    }

    #[test]
    fn tells_floods_from_uploads() {
        let (data, ping) = (frame(DATA, 0, 1, &[0; 16_384]), frame(PING, 0, 0, &[0; 8]).repeat(1000));
        let (mut upload, mut pings) = (front(), front());
        assert!((0..1000).all(|_| pass(&mut upload, &data, 1000).is_ok()));
        assert!((0..1000).any(|_| pass(&mut pings, &ping, 1000).is_err()));
    }
}
