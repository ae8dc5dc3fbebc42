//! What hyper sends, on its way to the client: a few frames are said as nginx says them. RFC 9113, section 6.

use std::io::IoSlice;

use super::frame::{
    ACK, CONTINUATION, DATA, END_STREAM, GOAWAY, HEAD, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, append_frame,
};
use super::front::Front;

/// Follows the frames that are sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    cursor: Cursor,
    /// Our own frames, which leave between hyper's.
    own: Vec<u8>,
    /// The socket did not take so many bytes, and must be offered just these again before anything else.
    offered: usize,
    goaway: bool,
}

/// A place in the stream of frames.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the frame that are still to be sent.
    left: usize,
    /// The frame ends an answer.
    ends: Option<u32>,
}

/// What is to be done with bytes of hyper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// So many are sent as they are.
    Send(usize),
    /// So many are taken and not sent.
    Taken(usize),
}

impl Outgoing {
    /// Our own frames that may be sent now.
    pub(super) fn own(&self) -> &[u8] {
        let is_between = self.cursor.left == 0 && self.cursor.filled == 0 && self.offered == 0;
        if is_between { &self.own } else { &[] }
    }

    /// So many bytes of our own have left.
    pub(super) fn own_sent(&mut self, count: usize) {
        self.own.drain(..count);
    }

    /// So many bytes of hyper's were offered to the socket, which takes nothing now.
    pub(super) fn refused(&mut self, count: usize) {
        self.offered = count;
    }

    /// Sends a frame of our own.
    pub(super) fn say(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        append_frame(kind, 0, stream, payload, &mut self.own);
    }

    /// Says that the connection ends: which request was the last one, and why.
    pub(super) fn say_goaway(&mut self, front: &mut Front, code: u32) {
        front.goaway = true;
        if !std::mem::replace(&mut self.goaway, true) {
            self.say(GOAWAY, 0, &[front.last.to_be_bytes(), code.to_be_bytes()].concat());
        }
    }

    /// Looks at what hyper wants to send. What has an answer of its own goes into the front's output.
    pub(super) fn plan(&mut self, slices: &[IoSlice<'_>], front: &mut Front) -> Plan {
        if self.offered > 0 {
            return Plan::Send(self.offered);
        }
        let (mut cursor, mut at) = (self.cursor, 0);
        let mut reader = Reader { slices, slice: 0, offset: 0 };
        while reader.has_more() {
            if cursor.left > 0 {
                let skipped = reader.skip(cursor.left);
                cursor.left -= skipped;
                at += skipped;
                if cursor.left == 0 && cursor.is_reset_behind(front) {
                    break;
                }
                continue;
            }
            let (start, before) = (at, cursor.filled);
            at += reader.fill(&mut cursor.head, &mut cursor.filled);
            if cursor.filled < HEAD {
                return Plan::Send(if start > 0 { start } else { at });
            }
            cursor.begin();
            if before == 0 && cursor.is_said_otherwise(front) {
                if start > 0 {
                    return Plan::Send(start);
                }
                return self.say_otherwise(cursor, &mut reader, front);
            }
            if cursor.left == 0 && cursor.is_reset_behind(front) {
                break;
            }
        }
        Plan::Send(at)
    }

    fn say_otherwise(&mut self, cursor: Cursor, reader: &mut Reader<'_>, front: &mut Front) -> Plan {
        let (mut payload, mut filled) = ([0; LONGEST], 0);
        let wanted = cursor.left.min(LONGEST);
        let taken = reader.fill(&mut payload[..wanted], &mut filled);
        let rest = reader.skip(cursor.left - taken);
        if taken + rest < cursor.left {
            // hyper hands out small frames whole.
            return Plan::Send(HEAD + taken + rest);
        }
        match cursor.head[3] {
            GOAWAY => {
                let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
                front.note_end(code);
                self.say_goaway(front, code);
            }
            // The client would answer just so.
            PING => front.tell_hyper(PING, ACK, 0, &payload[..8]),
            SETTINGS => {
                set_initial_window(&mut payload[..taken], front.preread);
                self.say(SETTINGS, 0, &payload[..taken]);
                // What counts is what the client has heard, and that we look at ourselves.
                front.tell_hyper(SETTINGS, ACK, 0, &[]);
            }
            // We know better.
            WINDOW_UPDATE => {}
            _ => {
                let stream = cursor.stream();
                let code = front.shared().reset_code(stream).unwrap_or_default();
                front.forget(stream);
                self.say(RST_STREAM, stream, &code.to_be_bytes());
            }
        }
        Plan::Taken(HEAD + cursor.left)
    }

    /// So many of the bytes looked at last were sent.
    pub(super) fn sent(&mut self, slices: &[IoSlice<'_>], mut count: usize, front: &mut Front) {
        self.offered = 0;
        let mut reader = Reader { slices, slice: 0, offset: 0 };
        while count > 0 {
            if self.cursor.left > 0 {
                let skipped = reader.skip(self.cursor.left.min(count));
                self.cursor.left -= skipped;
                count -= skipped;
            } else {
                let mut part = [0; HEAD];
                let mut filled = 0;
                let wanted = (HEAD - self.cursor.filled).min(count);
                let taken = reader.fill(&mut part[..wanted], &mut filled);
                self.cursor.head[self.cursor.filled..self.cursor.filled + taken].copy_from_slice(&part[..taken]);
                self.cursor.filled += taken;
                count -= taken;
                if self.cursor.filled < HEAD {
                    return;
                }
                self.cursor.begin();
                match self.cursor.head[3] {
                    RST_STREAM => front.forget(self.cursor.stream()),
                    DATA => {
                        front.send_window = front.send_window.saturating_sub(self.cursor.left as u64);
                        front.shared().answers.sent(self.cursor.stream(), self.cursor.left, HEAD);
                    }
                    HEADERS | CONTINUATION => {
                        front.shared().answers.sent(self.cursor.stream(), 0, HEAD + self.cursor.left);
                    }
                    _ => {}
                }
            }
            if self.cursor.left == 0
                && let Some(stream) = self.cursor.ends.take()
            {
                front.shared().release(stream);
                if let Some(code) = front.shared().reset_code(stream) {
                    front.forget(stream);
                    self.say(RST_STREAM, stream, &code.to_be_bytes());
                }
            }
        }
    }
}

impl Cursor {
    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_be_bytes([a & 0x7f, b, c, d])
    }

    /// A frame's head is whole.
    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        self.filled = 0;
        let stream = self.stream();
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        self.ends = ends.then_some(stream);
    }

    /// Whether a frame of our own has to follow at once.
    fn is_reset_behind(&self, front: &Front) -> bool {
        self.ends.is_some_and(|stream| front.shared().reset_code(stream).is_some())
    }

    fn is_said_otherwise(&self, front: &Front) -> bool {
        match self.head[3] {
            GOAWAY => true,
            PING | SETTINGS => self.head[4] & ACK == 0,
            WINDOW_UPDATE => self.stream() > 0,
            RST_STREAM => front.shared().reset_code(self.stream()).is_some(),
            _ => false,
        }
    }
}

/// The longest frame that is said otherwise, in bytes: there are not ten settings.
const LONGEST: usize = 64;

/// Tells in settings how much of a body may come unasked; to hyper there is no end to that.
fn set_initial_window(settings: &mut [u8], size: u32) {
    const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
    for setting in settings.chunks_exact_mut(6).filter(|setting| setting[..2] == INITIAL_WINDOW_SIZE) {
        setting[2..].copy_from_slice(&size.to_be_bytes());
    }
}

/// Reads on over several slices.
struct Reader<'a> {
    slices: &'a [IoSlice<'a>],
    slice: usize,
    offset: usize,
}

impl Reader<'_> {
    fn has_more(&self) -> bool {
        self.slices
            .get(self.slice..)
            .is_some_and(|rest| rest.iter().map(|slice| slice.len()).sum::<usize>() > self.offset)
    }

    fn piece(&mut self, most: usize) -> &[u8] {
        while self.slices.get(self.slice).is_some_and(|slice| slice.len() <= self.offset) {
            (self.slice, self.offset) = (self.slice + 1, 0);
        }
        let Some(slice) = self.slices.get(self.slice) else { return &[] };
        let start = self.offset;
        let end = slice.len().min(start + most);
        self.offset = end;
        &slice[start..end]
    }

    fn skip(&mut self, most: usize) -> usize {
        let mut skipped = 0;
        while skipped < most {
            let piece = self.piece(most - skipped).len();
            if piece == 0 {
                break;
            }
            skipped += piece;
        }
        skipped
    }

    fn fill(&mut self, into: &mut [u8], filled: &mut usize) -> usize {
        let before = *filled;
        while *filled < into.len() {
            let piece = self.piece(into.len() - *filled);
            if piece.is_empty() {
                break;
            }
            into[*filled..*filled + piece.len()].copy_from_slice(piece);
            *filled += piece.len();
        }
        *filled - before
    }
}

/// The first bytes of slices.
pub(super) fn first<'a>(slices: &'a [IoSlice<'a>], mut count: usize) -> Vec<IoSlice<'a>> {
    let mut first = Vec::new();
    for slice in slices {
        let length = slice.len().min(count);
        if length == 0 && count == 0 {
            break;
        }
        first.push(IoSlice::new(&slice[..length]));
        count -= length;
    }
    first
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::hpack::Limits;
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append_frame(kind, flags, stream, payload, &mut out);
        out
    }

    /// What the client gets of what hyper sends, where the socket takes so much at once.
    fn send(outgoing: &mut Outgoing, front: &mut Front, bytes: &[u8], most: usize) -> Vec<u8> {
        let (mut got, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let own = outgoing.own().len();
            got.extend_from_slice(outgoing.own());
            outgoing.own_sent(own);
            let (a, b) = rest.split_at(rest.len().min(5));
            let slices = [IoSlice::new(a), IoSlice::new(b)];
            match outgoing.plan(&slices, front) {
                Plan::Taken(count) => rest = &rest[count..],
                Plan::Send(count) => {
                    let count = count.min(most);
                    outgoing.sent(&slices, count, front);
                    got.extend_from_slice(&rest[..count]);
                    rest = &rest[count..];
                }
            }
        }
        got.extend_from_slice(outgoing.own());
        got
    }

    #[test]
    fn says_a_few_things_as_nginx_does() {
        let hyper = [
            frame(HEADERS, 4, 1, &[1; 20]),
            frame(DATA, END_STREAM, 1, &[2; 30]),
            frame(HEADERS, 4 | END_STREAM, 3, &[3; 4]),
            frame(RST_STREAM, 0, 5, &[0, 0, 0, 2]),
            frame(RST_STREAM, 0, 7, &[0, 0, 0, 2]),
            frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
            frame(PING, 0, 0, &[9; 8]),
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1, 0, 4, 0x7f, 0xff, 0xff, 0xff]),
            frame(WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1]),
            frame(GOAWAY, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 0]),
            frame(DATA, END_STREAM, 9, &[4; 3]),
        ]
        .concat();
        let expected = [
            frame(HEADERS, 4, 1, &[1; 20]),
            frame(DATA, END_STREAM, 1, &[2; 30]),
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 1]),
            frame(HEADERS, 4 | END_STREAM, 3, &[3; 4]),
            frame(RST_STREAM, 0, 5, &[0, 0, 0, 1]),
            frame(RST_STREAM, 0, 7, &[0, 0, 0, 2]),
            frame(GOAWAY, 0, 0, &[0, 0, 0, 9, 0, 0, 0, 0]),
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1, 0, 4, 0, 0, 0, 77]),
            frame(DATA, END_STREAM, 9, &[4; 3]),
        ]
        .concat();
        for most in [4, 7, 50, 1000] {
            let mut front = Front::behind(0, Limits { field: 100, all: 100 }, 77, Rc::default());
            front.last = 9;
            front.shared().reset(1, 1);
            front.shared().reset(5, 1);
            let got = send(&mut Outgoing::default(), &mut front, &hyper, most);
            assert_eq!(got, expected, "{most}");
            front.append_own();
            assert_eq!(front.out, [frame(PING, ACK, 0, &[9; 8]), frame(SETTINGS, ACK, 0, &[])].concat());
        }
    }
}
