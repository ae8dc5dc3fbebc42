//! An HTTP/2 connection to a gRPC server (RFC 9113), with one stream at a time: frames in and out, and windows.

use std::ops::Range;

/// A connection and the stream in hand.
#[derive(Debug)]
pub(crate) struct Http2 {
    /// What peers give a new stream to begin with.
    initial_window: i64,
    /// How much may be sent on the connection.
    send_window: i64,
    /// How much may come on it.
    receive_window: i64,
    /// The peer takes no more requests.
    goaway: bool,
    settings: u32,
    pings: u32,
    /// Control frames that are to be sent.
    out: Vec<u8>,
    /// There may be more to send than before.
    changed: bool,
    /// The number of the stream in hand; 0 before the first.
    id: u32,
    stream: Stream,
    reading: Reading,
}

/// What is known of the stream in hand.
#[derive(Debug, Default)]
struct Stream {
    send_window: i64,
    receive_window: i64,
    /// All of the request was made into frames.
    output_closed: bool,
    /// The end of the answer was read.
    done: bool,
    reset: bool,
    head_read: bool,
}

/// A frame on its way in.
#[derive(Debug, Default)]
struct Reading {
    head: [u8; FRAME_HEAD],
    have: usize,
    kind: u8,
    flags: u8,
    id: u32,
    /// Bytes of the frame that are left.
    left: usize,
    /// Of those, bytes at the end that pad a DATA frame.
    padding: usize,
    /// What came of a frame that is looked at when it is whole.
    payload: Vec<u8>,
    /// Fragments of a block of headers.
    block: Vec<u8>,
    /// The block goes on in another frame.
    in_headers: bool,
    ends_stream: bool,
}

const FRAME_HEAD: usize = 9;
const LARGEST_FRAME: usize = 16384;
const MOST: i64 = 0x7fff_ffff;
const DEFAULT_WINDOW: i64 = 65535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// The preface, settings (no table for headers, no pushes, the largest window) and the largest window for the connection.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x12\x04\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\0\x04\x7f\xff\xff\xff\
    \0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0";

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A whole block of headers.
    Headers { block: Vec<u8>, ends_stream: bool },
    /// Content.
    Data(Range<usize>),
    /// Everything was looked at.
    NeedMore,
}

impl Default for Http2 {
    /// A connection on which nothing was sent.
    fn default() -> Self {
        Self {
            initial_window: DEFAULT_WINDOW,
            send_window: DEFAULT_WINDOW,
            receive_window: MOST,
            goaway: false,
            settings: 0,
            pings: 0,
            out: Vec::new(),
            changed: false,
            id: 0,
            stream: Stream::default(),
            reading: Reading::default(),
        }
    }
}

impl Http2 {
    /// Begins the next stream: its frames, which the first time stand behind the connection's preface.
    pub(crate) fn begin(&mut self, block: &[u8], ends_stream: bool) -> Vec<u8> {
        let mut frames = std::mem::take(&mut self.out);
        if self.id == 0 {
            frames.extend_from_slice(BEGINNING);
        }
        self.id = if self.id == 0 { 1 } else { self.id + 2 };
        self.stream = Stream {
            send_window: self.initial_window,
            receive_window: MOST,
            output_closed: ends_stream,
            ..Stream::default()
        };
        self.reading = Reading::default();
        let mut parts = block.chunks(LARGEST_FRAME).peekable();
        let (mut kind, mut flags) = (HEADERS, if ends_stream { END_STREAM } else { 0 });
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= END_HEADERS;
            }
            append_head(part.len(), kind, flags, self.id, &mut frames);
            frames.extend_from_slice(part);
            (kind, flags) = (CONTINUATION, 0);
        }
        frames
    }

    /// How many bytes of the request's body may go out now in one frame.
    pub(crate) fn room(&self) -> usize {
        let window = self.send_window.min(self.stream.send_window).max(0);
        usize::try_from(window).unwrap_or(usize::MAX).min(LARGEST_FRAME)
    }

    /// The head of a DATA frame, whose bytes leave the windows.
    pub(crate) fn data_head(&mut self, length: usize, ends_stream: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(FRAME_HEAD);
        append_head(length, DATA, if ends_stream { END_STREAM } else { 0 }, self.id, &mut head);
        self.send_window -= length as i64;
        self.stream.send_window -= length as i64;
        self.stream.output_closed |= ends_stream;
        head
    }

    /// Control frames that are to be sent before anything else.
    pub(crate) fn take_control(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether a frame has come, since the last time this was asked, that lets more be sent.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the answer has ended.
    pub(super) fn is_done(&self) -> bool {
        self.stream.done
    }

    /// Whether the connection may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        let between = self.reading.have == 0 && self.reading.left == 0 && !self.reading.in_headers;
        self.stream.done && self.stream.output_closed && !self.goaway && between
    }

    /// What stands at `pos`, which moves on behind it.
    pub(super) fn next(&mut self, bytes: &[u8], pos: &mut usize) -> Result<Event, String> {
        loop {
            if self.reading.have < FRAME_HEAD {
                let Some(byte) = bytes.get(*pos) else { return Ok(Event::NeedMore) };
                self.reading.head[self.reading.have] = *byte;
                self.reading.have += 1;
                *pos += 1;
                if self.reading.have == FRAME_HEAD {
                    self.begin_frame()?;
                }
                continue;
            }
            if self.reading.kind == DATA {
                if let Some(range) = self.read_data(bytes, pos)? {
                    return Ok(Event::Data(range));
                }
                if self.reading.have == FRAME_HEAD {
                    return Ok(Event::NeedMore);
                }
                continue;
            }
            let part = self.reading.left.min(bytes.len() - *pos);
            self.reading.payload.extend_from_slice(&bytes[*pos..*pos + part]);
            self.reading.left -= part;
            *pos += part;
            if self.reading.left > 0 {
                return Ok(Event::NeedMore);
            }
            self.reading.have = 0;
            let payload = std::mem::take(&mut self.reading.payload);
            if let Some(event) = self.end_frame(payload)? {
                return Ok(event);
            }
        }
    }

    /// The head of a frame is there.
    fn begin_frame(&mut self) -> Result<(), String> {
        let [l0, l1, l2, kind, flags, i0, i1, i2, i3] = self.reading.head;
        let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        if length > LARGEST_FRAME {
            return Err(format!("upstream sent too large http2 frame: {length}"));
        }
        let id = u32::from_be_bytes([i0, i1, i2, i3]) & 0x7fff_ffff;
        let reading = &mut self.reading;
        (reading.kind, reading.flags, reading.id, reading.left, reading.padding) = (kind, flags, id, length, 0);
        let early_data = kind == DATA && !self.stream.head_read;
        if early_data || (kind == CONTINUATION) != reading.in_headers {
            return Err(format!("upstream sent unexpected http2 frame: {kind}"));
        }
        if kind == DATA {
            self.take_window(id, length)?;
        }
        if id != 0 && id != self.id {
            return Err(format!("upstream sent frame for unknown stream {id}"));
        }
        if id != 0 && self.stream.done && !matches!(kind, RST_STREAM | WINDOW_UPDATE) {
            return Err(format!("upstream sent frame for closed stream {id}"));
        }
        Ok(())
    }

    /// A DATA frame takes from the windows; they are opened again when little is left.
    fn take_window(&mut self, id: u32, length: usize) -> Result<(), String> {
        if id != self.id {
            return Err(format!("upstream sent data frame for unknown stream {id}"));
        }
        let (stream, connection) = (self.stream.receive_window, self.receive_window);
        for (what, window) in [("stream", stream), ("connection", connection)] {
            if length as i64 > window {
                return Err(format!(
                    "upstream violated {what} flow control, received {length} data frame with window {window}"
                ));
            }
        }
        self.stream.receive_window -= length as i64;
        self.receive_window -= length as i64;
        if self.stream.receive_window.min(self.receive_window) < MOST / 4 {
            append_window_update(0, MOST - self.receive_window, &mut self.out);
            append_window_update(self.id, MOST - self.stream.receive_window, &mut self.out);
            (self.receive_window, self.stream.receive_window) = (MOST, MOST);
            self.changed = true;
        }
        Ok(())
    }

    /// Content of a DATA frame; `None` where there is none here.
    fn read_data(&mut self, bytes: &[u8], pos: &mut usize) -> Result<Option<Range<usize>>, String> {
        let reading = &mut self.reading;
        if reading.flags & PADDED != 0 {
            if reading.left == 0 {
                return Err("upstream sent too short http2 frame".into());
            }
            let Some(padding) = bytes.get(*pos) else { return Ok(None) };
            *pos += 1;
            reading.flags &= !PADDED;
            reading.left -= 1;
            reading.padding = usize::from(*padding);
            if reading.padding > reading.left {
                return Err(too_long_padding(reading.padding, reading.left));
            }
        }
        let content = (reading.left - reading.padding).min(bytes.len() - *pos);
        if content > 0 {
            let range = *pos..*pos + content;
            *pos = range.end;
            reading.left -= content;
            self.end_data();
            return Ok(Some(range));
        }
        if reading.left == reading.padding {
            let skipped = reading.padding.min(bytes.len() - *pos);
            *pos += skipped;
            reading.left -= skipped;
            reading.padding -= skipped;
            self.end_data();
        }
        Ok(None)
    }

    fn end_data(&mut self) {
        if self.reading.left == 0 && self.reading.flags & PADDED == 0 {
            self.reading.have = 0;
            self.stream.done |= self.reading.flags & END_STREAM != 0;
        }
    }

    /// A frame is whole.
    fn end_frame(&mut self, payload: Vec<u8>) -> Result<Option<Event>, String> {
        self.changed |= matches!(self.reading.kind, SETTINGS | PING | WINDOW_UPDATE);
        match self.reading.kind {
            HEADERS | CONTINUATION => return self.take_headers(&payload),
            RST_STREAM => self.take_reset(&payload)?,
            SETTINGS => self.take_settings(&payload)?,
            PING => self.take_ping(&payload)?,
            GOAWAY => self.take_goaway(&payload)?,
            WINDOW_UPDATE => self.take_window_update(&payload)?,
            PUSH_PROMISE => return Err("upstream sent unexpected push promise frame".into()),
            _ => {}
        }
        Ok(None)
    }

    fn take_headers(&mut self, payload: &[u8]) -> Result<Option<Event>, String> {
        let reading = &mut self.reading;
        let mut fragment = payload;
        if reading.kind == HEADERS {
            let (padded, priority) = (reading.flags & PADDED != 0, reading.flags & PRIORITY != 0);
            let front = usize::from(padded) + if priority { 5 } else { 0 };
            if payload.len() < front {
                return Err(format!("upstream sent headers frame with invalid length: {}", payload.len()));
            }
            let padding = if padded { usize::from(payload[0]) } else { 0 };
            fragment = &payload[front..];
            let end = fragment.len().checked_sub(padding).ok_or_else(|| too_long_padding(padding, fragment.len()))?;
            fragment = &fragment[..end];
            reading.ends_stream = reading.flags & END_STREAM != 0;
        }
        reading.block.extend_from_slice(fragment);
        reading.in_headers = reading.flags & END_HEADERS == 0;
        if reading.in_headers {
            return Ok(None);
        }
        let ends_stream = reading.ends_stream;
        let block = std::mem::take(&mut reading.block);
        self.stream.done |= ends_stream;
        self.stream.head_read = true;
        Ok(Some(Event::Headers { block, ends_stream }))
    }

    fn take_reset(&mut self, payload: &[u8]) -> Result<(), String> {
        let Ok(code) = <[u8; 4]>::try_from(payload) else {
            return Err(format!("upstream sent rst stream frame with invalid length: {}", payload.len()));
        };
        let code = u32::from_be_bytes(code);
        if code != 0 || !self.stream.done {
            return Err(format!("upstream rejected request with error {code}"));
        }
        if std::mem::replace(&mut self.stream.reset, true) {
            return Err(format!("upstream sent frame for closed stream {}", self.id));
        }
        Ok(())
    }

    fn take_settings(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.reading.id != 0 {
            return Err(format!("upstream sent settings frame with non-zero stream id: {}", self.reading.id));
        }
        if self.reading.flags & ACK != 0 {
            if payload.is_empty() {
                return Ok(());
            }
            let length = payload.len();
            return Err(format!("upstream sent settings frame with ack flag and non-zero length: {length}"));
        }
        if !payload.len().is_multiple_of(6) {
            return Err(format!("upstream sent settings frame with invalid length: {}", payload.len()));
        }
        self.settings += 1;
        if self.settings > 1000 {
            return Err("upstream sent too many settings frames".into());
        }
        for setting in payload.chunks(6) {
            let value = i64::from(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]));
            if setting[..2] == [0, 4] {
                let too_large = || format!("upstream sent settings frame with too large initial window size: {value}");
                let change = value - self.initial_window;
                if value > MOST || self.stream.send_window + change > MOST {
                    return Err(too_large());
                }
                self.initial_window = value;
                self.stream.send_window += change;
            }
        }
        append_head(0, SETTINGS, ACK, 0, &mut self.out);
        Ok(())
    }

    fn take_ping(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.reading.id != 0 {
            return Err(format!("upstream sent ping frame with non-zero stream id: {}", self.reading.id));
        }
        if payload.len() != 8 {
            return Err(format!("upstream sent ping frame with invalid length: {}", payload.len()));
        }
        if self.reading.flags & ACK != 0 {
            return Err("upstream sent ping frame with ack flag".into());
        }
        self.pings += 1;
        if self.pings > 1000 {
            return Err("upstream sent too many ping frames".into());
        }
        append_head(8, PING, ACK, 0, &mut self.out);
        self.out.extend_from_slice(payload);
        Ok(())
    }

    /// A peer that goes away answers the streams up to the one that it names.
    fn take_goaway(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.reading.id != 0 {
            return Err(format!("upstream sent goaway frame with non-zero stream id: {}", self.reading.id));
        }
        let Some((front, _)) = payload.split_first_chunk::<8>() else {
            return Err(format!("upstream sent goaway frame with invalid length: {}", payload.len()));
        };
        let last = u32::from_be_bytes([front[0], front[1], front[2], front[3]]) & 0x7fff_ffff;
        if last < self.id {
            let code = u32::from_be_bytes([front[4], front[5], front[6], front[7]]);
            return Err(format!("upstream sent goaway with error {code}"));
        }
        self.goaway = true;
        Ok(())
    }

    fn take_window_update(&mut self, payload: &[u8]) -> Result<(), String> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(format!("upstream sent window update frame with invalid length: {}", payload.len()));
        };
        let more = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
        let window = if self.reading.id == 0 { &mut self.send_window } else { &mut self.stream.send_window };
        *window += more;
        if *window > MOST {
            return Err("upstream sent too large window update".into());
        }
        Ok(())
    }
}

fn too_long_padding(padding: usize, left: usize) -> String {
    format!("upstream sent http2 frame with too long padding: {padding} in frame {left}")
}

fn append_head(length: usize, kind: u8, flags: u8, id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&id.to_be_bytes());
}

fn append_window_update(id: u32, more: i64, out: &mut Vec<u8>) {
    append_head(4, WINDOW_UPDATE, 0, id, out);
    out.extend_from_slice(&(more as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append_head(payload.len(), kind, flags, id, &mut out);
        out.extend_from_slice(payload);
        out
    }

    /// Data and headers of what a server sends, read in pieces of `step` bytes.
    fn read(http2: &mut Http2, input: &[u8], step: usize) -> Result<(Vec<u8>, usize), String> {
        let (mut data, mut headers) = (Vec::new(), 0);
        for piece in input.chunks(step) {
            let mut pos = 0;
            loop {
                match http2.next(piece, &mut pos)? {
                    Event::Data(range) => data.extend_from_slice(&piece[range]),
                    Event::Headers { .. } => headers += 1,
                    Event::NeedMore => break,
                }
            }
        }
        Ok((data, headers))
    }

    fn begun() -> Http2 {
        let mut http2 = Http2::default();
        let frames = http2.begin(b"\x82", true);
        assert!(frames.starts_with(b"PRI * HTTP/2.0") && frames.ends_with(b"\0\0\x01\x01\x05\0\0\0\x01\x82"));
        http2
    }

    #[test]
    fn reads_answers_however_they_are_cut() {
        let all = [
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 9]),
            frame(HEADERS, 0, 1, &[0x88]),
            frame(CONTINUATION, END_HEADERS, 1, b""),
            frame(DATA, 0, 1, b"ab"),
            frame(DATA, PADDED, 1, b"\x02cdxx"),
            frame(PING, 0, 0, b"12345678"),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 5]),
            frame(DATA, 0, 1, b""),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b""),
        ]
        .concat();
        for step in [1, 5, all.len()] {
            let mut http2 = begun();
            assert_eq!(read(&mut http2, &all, step), Ok((b"abcd".to_vec(), 2)));
            assert!(http2.is_done() && http2.is_reusable(), "{step}");
            assert_eq!(http2.take_control(), [frame(SETTINGS, ACK, 0, b""), frame(PING, ACK, 0, b"12345678")].concat());
            assert_eq!((http2.send_window, http2.stream.send_window), (DEFAULT_WINDOW + 5, 9));
        }
    }

    #[test]
    fn refuses_with_nginx_words() {
        let said = |frame: Vec<u8>| read(&mut begun(), &frame, 100).unwrap_err();
        assert_eq!(said(frame(DATA, 0, 1, b"")), "upstream sent unexpected http2 frame: 0");
        assert_eq!(said(frame(CONTINUATION, 0, 1, b"")), "upstream sent unexpected http2 frame: 9");
        assert_eq!(said(frame(HEADERS, 4, 3, b"")), "upstream sent frame for unknown stream 3");
        assert_eq!(said(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])), "upstream rejected request with error 8");
        assert_eq!(said(frame(GOAWAY, 0, 0, &[0; 8])), "upstream sent goaway with error 0");
        assert_eq!(said(frame(PING, 0, 0, b"")), "upstream sent ping frame with invalid length: 0");
        assert_eq!(said(frame(SETTINGS, 0, 0, b"1")), "upstream sent settings frame with invalid length: 1");
    }

    #[test]
    fn keeps_within_windows() {
        let mut http2 = Http2::default();
        http2.begin(b"\x82", false);
        assert_eq!(http2.room(), LARGEST_FRAME);
        for _ in 0..4 {
            let room = http2.room();
            http2.data_head(room, false);
        }
        assert_eq!(http2.room(), 0);
        read(&mut http2, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]), 100).unwrap();
        assert_eq!(http2.room(), 0);
        read(&mut http2, &frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 4]), 100).unwrap();
        assert_eq!(http2.room(), 4);
    }
}
