//! Where a message body ends: the chunked coding (RFC 9112 section 7.1) as nginx reads it, and chunks to write.

use std::io::Write;
use std::ops::Range;

/// The chunked body breaks the coding. For a client's, nginx logs `client sent invalid chunked body` and answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid chunked body")]
pub(crate) struct FramingError;

/// Who reads the trailer section behind the last chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trailers {
    /// The decoder, which forgets it.
    #[default]
    Skip,
    /// The caller: the body is done behind the last chunk's line.
    Keep,
}

/// What [`ChunkedDecoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// These bytes of the input are data; more input may follow them.
    Data {
        range: Range<usize>,
        /// What was left of the chunk before this data, with it: the amount a body limit is held against.
        announced: u64,
    },
    /// All input is consumed, and the body goes on.
    NeedMore,
    /// The body ended before this place in the input.
    Done(usize),
}

/// Undoes the chunked coding in place, whatever pieces the body comes in.
///
/// As nginx 1.28 does, it takes a bare LF for a line end, and forgets chunk extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkedDecoder {
    state: State,
    trailers: Trailers,
    /// What is left of the current chunk.
    size: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Size,
    Extension,
    ExtensionEnd,
    Data,
    AfterData,
    AfterDataEnd,
    LastExtension,
    LastExtensionEnd,
    Trailer,
    TrailerEnd,
    TrailerField,
    TrailerFieldEnd,
    Done,
}

/// Sizes that do not fit an offset, with the few bytes of coding behind them, are refused.
const LARGEST: u64 = i64::MAX as u64 - 5;

impl ChunkedDecoder {
    pub(crate) fn new(trailers: Trailers) -> ChunkedDecoder {
        ChunkedDecoder { trailers, ..ChunkedDecoder::default() }
    }

    /// Looks at the next bytes of the body. The caller goes on behind the data it was told of.
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<Decoded, FramingError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Data && self.size > 0 {
                return Ok(self.take_data(at, input.len()));
            }
            self.step(byte)?;
            at += 1;
            if self.state == State::Done {
                return Ok(Decoded::Done(at));
            }
        }
        Ok(Decoded::NeedMore)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// At least this many more bytes belong to the body (nginx's `ctx->length`), which is worth reading at once.
    pub(crate) fn wanted(&self) -> u64 {
        // A last chunk, `0` and two line ends, is 3 bytes; behind the end of another chunk's data, 4.
        match self.state {
            State::Start => 3,
            State::Size if self.size == 0 => 2,
            State::Size | State::Extension | State::ExtensionEnd => self.size + 5,
            State::Data => self.size + 4,
            State::AfterData | State::AfterDataEnd => 4,
            State::LastExtension | State::LastExtensionEnd | State::TrailerField | State::TrailerFieldEnd => 2,
            State::Trailer | State::TrailerEnd => 1,
            State::Done => 0,
        }
    }

    fn take_data(&mut self, start: usize, end: usize) -> Decoded {
        let announced = self.size;
        let length = usize::try_from(announced).map_or(end - start, |size| size.min(end - start));
        self.size -= length as u64;
        Decoded::Data { range: start..start + length, announced }
    }

    fn step(&mut self, byte: u8) -> Result<(), FramingError> {
        use State::*;
        self.state = match (self.state, byte) {
            (Start | Size, _) => return self.in_size(byte),
            (Extension, b'\r') => ExtensionEnd,
            (Extension | ExtensionEnd, b'\n') => Data,
            (Extension, _) => Extension,
            (Data | AfterData, b'\r') => AfterDataEnd,
            (Data | AfterData | AfterDataEnd, b'\n') => Start,
            (LastExtension, b'\r') => LastExtensionEnd,
            (LastExtension | LastExtensionEnd, b'\n') => self.behind_last(),
            (LastExtension, _) => LastExtension,
            (Trailer, b'\r') => TrailerEnd,
            (Trailer | TrailerEnd, b'\n') => Done,
            (TrailerField, b'\r') => TrailerFieldEnd,
            (TrailerField | TrailerFieldEnd, b'\n') => Trailer,
            (Trailer | TrailerField, _) => TrailerField,
            _ => return Err(FramingError),
        };
        Ok(())
    }

    fn in_size(&mut self, byte: u8) -> Result<(), FramingError> {
        let begun = self.state == State::Size;
        if begun && self.size > i64::MAX as u64 / 16 {
            return Err(FramingError);
        }
        if let Some(digit) = crate::http::escape::hex_value(byte) {
            self.size = if begun { self.size * 16 } else { 0 } + u64::from(digit);
            self.state = State::Size;
            return if self.size > LARGEST { Err(FramingError) } else { Ok(()) };
        }
        self.state = match (byte, self.size) {
            _ if !begun => return Err(FramingError),
            (b'\r', 0) => State::LastExtensionEnd,
            (b'\n', 0) => self.behind_last(),
            (b';' | b' ' | b'\t', 0) => State::LastExtension,
            (b'\r', _) => State::ExtensionEnd,
            (b'\n', _) => State::Data,
            (b';' | b' ' | b'\t', _) => State::Extension,
            _ => return Err(FramingError),
        };
        Ok(())
    }

    fn behind_last(&self) -> State {
        match self.trailers {
            Trailers::Skip => State::Trailer,
            Trailers::Keep => State::Done,
        }
    }
}

/// What ends a chunk's data.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends what stands before a chunk's data: its size in lower-case hexadecimal, CR LF. `size` must not be 0.
pub(crate) fn append_chunk_head(size: u64, out: &mut Vec<u8>) {
    debug_assert!(size > 0, "an empty chunk would end the body");
    write!(out, "{size:x}\r\n").expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body read in pieces of `step` bytes, and how many bytes it took; `None` if it does not end.
    fn decode(input: &[u8], step: usize, trailers: Trailers) -> Result<Option<(Vec<u8>, usize)>, FramingError> {
        let (mut decoder, mut data, mut at) = (ChunkedDecoder::new(trailers), Vec::new(), 0);
        for piece in input.chunks(step) {
            let mut rest = piece;
            loop {
                match decoder.decode(rest)? {
                    Decoded::Data { range, announced } => {
                        assert!(range.len() as u64 <= announced);
                        data.extend_from_slice(&rest[range.clone()]);
                        rest = &rest[range.end..];
                    }
                    Decoded::NeedMore => break,
                    Decoded::Done(end) => return Ok(Some((data, at + piece.len() - rest.len() + end))),
                }
            }
            at += piece.len();
        }
        Ok(None)
    }

    fn both(input: &str) -> Result<Option<(String, usize)>, FramingError> {
        let whole = decode(input.as_bytes(), input.len(), Trailers::Skip);
        for step in [1, 2, 3, 5] {
            assert_eq!(decode(input.as_bytes(), step, Trailers::Skip), whole, "{input:?}");
        }
        whole.map(|found| found.map(|(data, end)| (String::from_utf8(data).unwrap(), end)))
    }

    #[test]
    fn decodes() {
        let found = |data: &str, end: usize| Ok(Some((data.to_string(), end)));
        assert_eq!(both("3\r\nabc\r\n0\r\n\r\nrest"), found("abc", 13));
        assert_eq!(both("0003 ;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n"), found("abc0123456789", 39));
        assert_eq!(both("3\nabc\n0\n\n"), found("abc", 9));
        assert_eq!(both("0 ;x\r\nA: b\r\nC: \rd\r\n\r\n"), Err(FramingError));
        assert_eq!(both("0\t\r\nA: b\nC: d\r\n\r\nx"), found("", 17));
        assert_eq!(both("5\r\nab\r\n\0\r\n0\r\n\r\n"), found("ab\r\n\0", 15));
        assert_eq!(both("3\r\nabc\r\n0\r\n"), Ok(None));
    }

    #[test]
    fn refuses() {
        for input in [
            "\r\n",
            "x\r\n",
            " 3\r\nabc",
            "+3\r\nabc",
            "0x3\r\n",
            "3_\r\n",
            "3\r\nabcd\r\n",
            "3\rabc",
            "3\r\nabc\rx",
            "0\rx",
            "0\r\n\rx",
            "7fffffffffffffff\r\n",
            "10000000000000000\r\n",
            "-1\r\n",
        ] {
            assert_eq!(both(input), Err(FramingError), "{input:?}");
        }
    }

    #[test]
    fn leaves_trailers_to_the_caller() {
        let input = b"1\r\na\r\n0;x\r\nA: b\r\n\r\n";
        assert_eq!(decode(input, input.len(), Trailers::Keep), Ok(Some((b"a".to_vec(), 11))));
        assert_eq!(decode(input, 1, Trailers::Keep), Ok(Some((b"a".to_vec(), 11))));
    }

    #[test]
    fn tells_sizes_before_data() {
        let mut decoder = ChunkedDecoder::default();
        assert_eq!(decoder.wanted(), 3);
        assert_eq!(decoder.decode(b"1"), Ok(Decoded::NeedMore));
        assert_eq!(decoder.wanted(), 6);
        assert_eq!(decoder.decode(b"0\r\nabc"), Ok(Decoded::Data { range: 3..6, announced: 16 }));
        assert_eq!(decoder.wanted(), 17);
        assert_eq!(decoder.decode(b"defghijklmnop\r\n0\r"), Ok(Decoded::Data { range: 0..13, announced: 13 }));
        assert_eq!(decoder.decode(b"\r\n0\r"), Ok(Decoded::NeedMore));
        assert_eq!(decoder.wanted(), 2);
        assert_eq!(decoder.decode(b"\n\r\nx"), Ok(Decoded::Done(3)));
        assert!(decoder.is_done() && decoder.wanted() == 0);
    }

    #[test]
    fn writes_chunks() {
        let mut out = Vec::new();
        append_chunk_head(0x1f00a, &mut out);
        assert_eq!(out, b"1f00a\r\n");
    }
}
