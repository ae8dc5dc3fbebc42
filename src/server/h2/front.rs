//! What stands between a client's frames and hyper: it reads the fields of requests itself, as nginx does, and hands
//! hyper the number of the stream only. Everything else passes as it came. RFC 9113, section 6.

mod blocks;
mod control;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use self::blocks::Block;
use super::frame::{
    ACK, CONTINUATION, DATA, END_STREAM, HEAD, HEADERS, PADDED, PRIORITY_FRAME, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, append_frame,
};
use super::hpack::{Decoder, Limits};
use super::shared::Shared;
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
    /// Frames of our own for hyper, which go between the client's.
    own: Vec<u8>,
    /// The newest request.
    pub(super) last: u32,
    /// No newer requests are taken.
    pub(super) goaway: bool,
    /// The longest payload of a frame that the client may send, in bytes.
    pub(super) largest: usize,
    /// So many requests may still come.
    pub(super) requests_left: u64,
    /// Streams that hyper never sees.
    dropped: HashSet<u32>,
    /// Streams of the client that are refused, with the code for that.
    pub(super) refused: Vec<(u32, u32)>,
    /// How much of a body may come before anybody wants it, in bytes.
    pub(super) preread: u32,
    /// The client does not know that yet, and must, because it is less than usual.
    window_unknown: bool,
    /// How much may be sent on all streams together, in bytes.
    pub(super) send_window: u64,
    /// For the log.
    pub(super) notes: Vec<String>,
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

/// The longest piece of a block of fields, where a single field may not be longer.
const LONGEST: usize = 16 << 10;

/// The most streams that are refused.
const MOST_REFUSED: usize = 128;

/// What a client may send on a stream where nobody has told it otherwise, in bytes (RFC 9113, section 6.9.2).
const USUAL_WINDOW: u32 = 65_535;

/// The code for more than was allowed.
const FLOW_CONTROL_ERROR: u32 = 3;

/// nginx's measure: what is no payload may be eight times as much as what is, and this beyond it, in bytes.
const LEEWAY: u64 = 1 << 20;

impl Front {
    /// Frames begin behind so many bytes.
    pub(super) fn behind(preface: usize, limits: Limits, preread: u32, shared: Rc<Shared>) -> Self {
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
            own: Vec::new(),
            last: 0,
            goaway: false,
            largest: usize::MAX,
            requests_left: u64::MAX,
            dropped: HashSet::new(),
            refused: Vec::new(),
            preread,
            // Bodies are taken when it has acknowledged our settings.
            window_unknown: preread < USUAL_WINDOW,
            send_window: USUAL_WINDOW.into(),
            notes: Vec::new(),
            lengths: HashMap::new(),
            total: 0,
            useful: 0,
        }
    }

    /// The stream of which the fields are on their way.
    pub(super) fn slow_stream(&self) -> Option<u32> {
        let begun = (self.now == Now::Collect && self.left > 0 && self.is_of_block()).then(|| self.stream());
        let stream = self.block.as_ref().map(|block| block.stream).or(begun);
        stream.filter(|stream| !self.dropped.contains(stream))
    }

    /// Whether something has begun to come and is not whole.
    pub(super) fn is_amid(&self) -> bool {
        self.left > 0 || self.filled > 0 || self.block.is_some()
    }

    /// hyper ends the connection, with this code. Why, it does not say.
    pub(super) fn note_end(&mut self, code: u32) {
        if code > 0 && !self.goaway {
            self.notes.push(format!("client sent frame against the protocol: error code {code}"));
        }
    }

    /// Takes nothing more of a stream.
    pub(super) fn refuse(&mut self, stream: u32, code: u32) {
        self.dropped.insert(stream);
        self.refused.push((stream, code));
    }

    /// What the connection and its requests tell each other.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Tells hyper something of our own, when the client is between two frames.
    pub(super) fn tell_hyper(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        append_frame(kind, flags, stream, payload, &mut self.own);
    }

    /// Hands hyper what it is to be told, if it may stand here.
    pub(super) fn append_own(&mut self) {
        let is_amid = self.left > 0 && matches!(self.now, Now::Pass | Now::Pad);
        if !is_amid && self.filled == 0 {
            self.out.append(&mut self.own);
        }
    }

    /// A stream is over for us: the client is told why, and hyper that it has gone.
    pub(super) fn end_stream(&mut self, stream: u32, code: u32) {
        self.refuse(stream, code);
        self.forget(stream);
        self.tell_hyper(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Ends streams of which the client takes nothing.
    pub(super) fn end_expired(&mut self) {
        for stream in self.shared.take_expired() {
            self.end_stream(stream, PROTOCOL_ERROR);
        }
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
    /// What ends the connection; all that hyper gets of what came before stands in `out`.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Fatal> {
        self.total += bytes.len() as u64;
        let mut prefix = Prefix { open: true, length: 0 };
        let taken = self.take_all(bytes, &mut prefix);
        if taken.is_err() {
            self.out.splice(..0, bytes[..prefix.length].iter().copied());
        }
        taken.map(|()| prefix.length)
    }

    fn take_all(&mut self, bytes: &[u8], prefix: &mut Prefix) -> Result<(), Fatal> {
        let mut at = 0;
        while at < bytes.len() {
            if self.left == 0 {
                if !self.own.is_empty() && self.filled == 0 {
                    prefix.open = false;
                    self.append_own();
                }
                let start = self.filled;
                let new = (HEAD - start).min(bytes.len() - at);
                self.head[start..start + new].copy_from_slice(&bytes[at..at + new]);
                self.filled += new;
                at += new;
                prefix.open &= start == 0 && self.filled == HEAD;
                if self.filled == HEAD {
                    self.filled = 0;
                    self.begin()?;
                    self.pass_head(prefix, at)?;
                }
                continue;
            }
            let piece = &bytes[at..bytes.len().min(at + self.left)];
            at += piece.len();
            self.left -= piece.len();
            self.take_piece(piece, prefix, at)?;
        }
        let is_flood = self.total / 8 > self.useful + LEEWAY;
        if is_flood { Err(Fatal::flood("http2 flood detected")) } else { Ok(()) }
    }

    fn pass_head(&mut self, prefix: &mut Prefix, at: usize) -> Result<(), Fatal> {
        match self.now {
            Now::Collect | Now::Drop => prefix.open = false,
            _ if prefix.open => prefix.length = at,
            _ => self.out.extend_from_slice(&self.head),
        }
        if self.now == Now::Collect && self.left == 0 { self.take_whole() } else { Ok(()) }
    }

    fn take_piece(&mut self, piece: &[u8], prefix: &mut Prefix, at: usize) -> Result<(), Fatal> {
        match self.now {
            Now::Drop => prefix.open = false,
            Now::Collect => {
                prefix.open = false;
                self.payload.extend_from_slice(piece);
                if self.left == 0 {
                    return self.take_whole();
                }
            }
            Now::Pad | Now::Pass => {
                if self.now == Now::Pad {
                    let (all, padding) = (self.left + piece.len(), usize::from(piece[0]));
                    if padding >= all {
                        let sentence = "client sent padded DATA frame with incorrect length";
                        let sentence = format!("{sentence}: {all}, padding: {padding}");
                        return Err(Fatal::said(PROTOCOL_ERROR, sentence));
                    }
                    let content = all - 1 - padding;
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

    /// A frame is whole that was collected.
    fn take_whole(&mut self) -> Result<(), Fatal> {
        if self.is_of_block() { self.collected() } else { self.inspected() }
    }

    /// Whether the frame holds fields.
    fn is_of_block(&self) -> bool {
        matches!(self.head[3], HEADERS | CONTINUATION)
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
                return Err(Fatal::length("CONTINUATION", length));
            }
            self.now = Now::Collect;
            return Ok(());
        }
        control::check_head(kind, flags, stream, length)?;
        self.now = match kind {
            HEADERS if length > self.longest => return Err(Fatal::length("HEADERS", length)),
            HEADERS => {
                self.useful += length as u64;
                Now::Collect
            }
            _ if self.dropped.contains(&stream) || self.goaway && stream > self.last => Now::Drop,
            PUSH_PROMISE => return Err(Fatal::protocol("client sent PUSH_PROMISE frame")),
            SETTINGS if flags & ACK != 0 => {
                self.window_unknown = false;
                Now::Drop
            }
            SETTINGS | PRIORITY_FRAME | RST_STREAM if length <= LONGEST => Now::Collect,
            DATA if length > self.largest => return Err(Fatal::length("DATA", length)),
            DATA => {
                self.useful += length as u64;
                if let Err(left) = self.shared.windows.spend(stream, length) {
                    self.break_window(stream, length, left);
                    return Ok(());
                }
                match flags & PADDED != 0 && length > 0 {
                    true => Now::Pad,
                    false => {
                        self.count_data(length);
                        Now::Pass
                    }
                }
            }
            WINDOW_UPDATE if length <= LONGEST => Now::Collect,
            _ if kind <= CONTINUATION => Now::Pass,
            _ => {
                self.notes.push(format!("client sent frame with unknown type {kind}"));
                Now::Pass
            }
        };
        Ok(())
    }

    /// More comes of a body than was allowed.
    fn break_window(&mut self, stream: u32, length: usize, left: u32) {
        self.notes.push(format!(
            "client violated flow control for stream {stream}: received DATA frame length {length}, available window {left}"
        ));
        self.end_stream(stream, FLOW_CONTROL_ERROR);
        self.now = Now::Drop;
    }

    /// Content has come of a body; where it is not as long as was said, the stream will be reset.
    fn count_data(&mut self, length: usize) {
        let (stream, ends) = (self.stream(), self.head[4] & END_STREAM != 0);
        if ends {
            self.shared.windows.close(stream);
        } else {
            self.shared.windows.bring(stream, length);
        }
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
}

#[cfg(test)]
mod tests {
    use super::super::REFUSED_STREAM;
    use super::super::frame::{END_HEADERS, GOAWAY, PING, WINDOW_UPDATE};
    use super::blocks::MOST_FRAMES;
    use super::*;

    fn front() -> Front {
        Front::behind(0, Limits { field: 1000, all: 4000 }, 1 << 16, Rc::default())
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
            assert!(!head.ends && front.shared.take_head(3).unwrap().ends && front.shared.reset_code(1).is_none());
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
            assert_eq!(front.shared.reset_code(1).is_some(), is_wrong, "{data:?}");
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
            (frame(PING, 0, 0, &[0; 7]), 6),
            (frame(SETTINGS, ACK, 0, &[0; 6]), 6),
            (frame(WINDOW_UPDATE, 0, 1, &[0; 3]), 6),
            (frame(HEADERS, END_HEADERS | PADDED, 1, &[1, 0]), 6),
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
        let mut front = Front { window_unknown: true, ..front() };
        assert_eq!(pass(&mut front, &[&head[..], &frame(DATA, 0, 1, b"x")].concat(), 100).unwrap(), b"");
        assert_eq!(front.refused, [(1, REFUSED_STREAM)]);
        let ack = frame(SETTINGS, ACK, 0, b"");
        let next = [ack, frame(HEADERS, END_HEADERS, 3, &[0x82])].concat();
        assert_eq!(pass(&mut front, &next, 100).unwrap().len(), HEAD + 6);
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
