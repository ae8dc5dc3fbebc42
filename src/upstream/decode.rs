//! Where an answer's body ends, and the chunked coding taken off it in place.

use std::ops::Range;

use super::buffer::Buffer;
use super::fastcgi::FastCgiBody;
use super::grpc::GrpcBody;
use super::memcached::Value;
use crate::h1::framing::{ChunkedDecoder, Decoded, FramingError, Trailers};
use crate::h1::response::{TrailerParser, UpstreamError, UpstreamParse};
use crate::http::Headers;

/// How an answer's body ends.
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunked(Box<Chunked>),
    FastCgi(Box<FastCgiBody>),
    Grpc(Box<GrpcBody>),
    /// A value of memcached.
    Value(Box<Value>),
    /// With the connection.
    Close,
}

/// A chunked body, and perhaps the trailers behind it.
pub(super) struct Chunked {
    decoder: ChunkedDecoder,
    trailers: Option<TrailerReader>,
}

struct TrailerReader {
    parser: TrailerParser,
    input: Vec<u8>,
    limit: usize,
    headers: Headers,
}

/// What bytes have turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The body has ended.
    pub(super) done: bool,
    /// More came than belongs to it.
    pub(super) surplus: bool,
    /// It broke off before its end; this is what the log says. What came of it counts.
    pub(super) short: Option<&'static str>,
    /// It makes no sense behind what came.
    pub(super) broken: bool,
}

/// How much of a body goes to the client although what follows cannot be understood: nginx passes on what it has read
/// when its buffers are full, or when the upstream pauses, and drops the rest of an answer that breaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Where in the buffer, as it came, the next pause is.
    next: usize,
    /// How many bytes lie between pauses.
    step: usize,
    /// Data before this place in the buffer has been passed on.
    pub(super) passed: usize,
    /// There was a pause.
    pub(super) paused: bool,
}

impl Marks {
    /// For a buffer of which the bytes from `from` on are new, when `before` bytes had come since the last pause.
    pub(super) fn new(from: usize, before: u64, step: usize) -> Self {
        let since = usize::try_from(before).unwrap_or(usize::MAX) % step.max(1);
        Self { next: from.saturating_add(step - since), step, passed: 0, paused: false }
    }

    /// The bytes of `raw`, as they came, are data that goes to `to`.
    pub(super) fn pass(&mut self, raw: Range<usize>, to: usize) {
        while self.next <= raw.end {
            self.paused = true;
            self.passed = to + self.next.saturating_sub(raw.start);
            self.next = self.next.saturating_add(self.step);
        }
    }
}

/// Why a body cannot be understood.
pub(super) enum Fault {
    Chunk,
    Trailer(UpstreamError),
    /// The sentence about a FastCGI record.
    Record(String),
    /// The sentence about trailers that cannot be read, of which nginx says something more.
    Fields(String),
}

impl From<FramingError> for Fault {
    fn from(_: FramingError) -> Self {
        Fault::Chunk
    }
}

impl Framing {
    /// A chunked body; where trailers are wanted, how many bytes they may take.
    pub(super) fn chunked(trailers: Option<usize>) -> Self {
        let decoder = ChunkedDecoder::new(if trailers.is_some() { Trailers::Keep } else { Trailers::Skip });
        let reader = |limit| TrailerReader {
            parser: TrailerParser::default(),
            input: Vec::new(),
            limit,
            headers: Headers::new(),
        };
        Framing::Chunked(Box::new(Chunked { decoder, trailers: trailers.map(reader) }))
    }

    /// Looks at what was read into the buffer behind its first `from` bytes; leaves data alone in it. Where that makes
    /// no sense, the marks say what of it counts all the same.
    pub(super) fn take(&mut self, buffer: &mut Buffer, from: usize, marks: &mut Marks) -> Result<Taken, Fault> {
        match self {
            Framing::Close => Ok(Taken::default()),
            Framing::Length(left) => {
                let came = (buffer.len() - from) as u64;
                let surplus = came > *left;
                if surplus {
                    buffer.truncate(from + usize::try_from(*left).unwrap_or(usize::MAX));
                    marks.pass(from..buffer.len(), from);
                }
                *left -= came.min(*left);
                Ok(Taken { done: *left == 0, surplus, short: None, broken: false })
            }
            Framing::Chunked(chunked) => chunked.take(buffer, from, marks),
            Framing::FastCgi(body) => body.take(buffer, from, marks),
            Framing::Value(value) => Ok(value.take(buffer, from)),
            Framing::Grpc(body) => body.take(buffer, from, marks),
        }
    }

    /// Whether the body ends where the connection does.
    pub(super) fn ends_with_connection(&self) -> bool {
        match self {
            Framing::Close => true,
            Framing::FastCgi(body) => body.ends_with_connection(),
            Framing::Length(_) | Framing::Chunked(_) | Framing::Value(_) | Framing::Grpc(_) => false,
        }
    }

    /// Whether all content has come, though the upstream has not said that this is the end.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Framing::FastCgi(body) if body.has_ended())
    }

    /// Whether what comes is passed on at once: there are more marks than the length of the body to wait for.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Framing::Chunked(_) => true,
            Framing::FastCgi(body) => body.is_live(),
            Framing::Length(_) | Framing::Close | Framing::Value(_) | Framing::Grpc(_) => false,
        }
    }

    /// Whether the connection may serve another request now that the body has ended; `keep` is what HTTP says.
    pub(super) fn is_reusable(&self, keep: bool) -> bool {
        match self {
            Framing::FastCgi(body) => body.is_reusable(),
            Framing::Value(value) => value.is_reusable(),
            Framing::Grpc(body) => body.is_reusable(),
            Framing::Close => false,
            Framing::Length(_) | Framing::Chunked(_) => keep,
        }
    }

    /// Whether it has ended and nothing stands behind it, though something might.
    pub(super) fn lacks_trailers(&self) -> bool {
        matches!(self, Framing::Grpc(body) if body.trailers.is_empty())
    }

    /// Sentences for the error log that came with the body.
    pub(super) fn said(&mut self) -> Vec<Vec<u8>> {
        match self {
            Framing::FastCgi(body) => std::mem::take(&mut body.said),
            Framing::Value(value) => std::mem::take(&mut value.said),
            _ => Vec::new(),
        }
    }

    /// The trailers that came.
    pub(super) fn trailers(&mut self) -> Option<Headers> {
        match self {
            Framing::Chunked(chunked) => chunked.trailers.take().map(|reader| reader.headers),
            Framing::Grpc(body) => Some(std::mem::take(&mut body.trailers)),
            _ => None,
        }
    }
}

impl Chunked {
    fn take(&mut self, buffer: &mut Buffer, from: usize, marks: &mut Marks) -> Result<Taken, Fault> {
        let bytes = buffer.filled_mut();
        let (mut at, mut end) = (from, from);
        let mut taken = Taken::default();
        while at < bytes.len() {
            marks.pass(at..at, end);
            if self.decoder.is_done() {
                let (done, used) = self.take_trailers(&bytes[at..])?;
                at += used;
                taken = Taken { done, surplus: at < bytes.len(), short: None, broken: false };
                break;
            }
            match self.decoder.decode(&bytes[at..])? {
                Decoded::Data { range, .. } => {
                    let (start, stop) = (at + range.start, at + range.end);
                    marks.pass(start..stop, end);
                    bytes.copy_within(start..stop, end);
                    end += stop - start;
                    at = stop;
                }
                Decoded::NeedMore => break,
                Decoded::Done(used) => {
                    at += used;
                    taken =
                        Taken { done: self.trailers.is_none(), surplus: at < bytes.len(), short: None, broken: false };
                    if taken.done {
                        break;
                    }
                }
            }
        }
        buffer.truncate(end);
        Ok(taken)
    }

    /// Whether the trailers are all there, and how many of these bytes belong to them.
    fn take_trailers(&mut self, bytes: &[u8]) -> Result<(bool, usize), Fault> {
        let Some(reader) = &mut self.trailers else { return Ok((true, 0)) };
        let before = reader.input.len();
        reader.input.extend_from_slice(bytes);
        match reader.parser.parse(&reader.input, reader.limit, &mut reader.headers) {
            Ok(UpstreamParse::Done(length)) => Ok((true, length - before)),
            Ok(UpstreamParse::Partial) => Ok((false, bytes.len())),
            Err(error) => Err(Fault::Trailer(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(framing: &mut Framing, bytes: &[u8]) -> (String, Taken) {
        let mut buffer = Buffer::take();
        buffer.room(bytes.len()).copy_from_slice(bytes);
        buffer.fill(bytes.len());
        let taken = framing
            .take(&mut buffer, 0, &mut Marks::new(0, 0, 4096))
            .unwrap_or_else(|_| panic!("{bytes:?} is refused"));
        (String::from_utf8_lossy(&buffer).into_owned(), taken)
    }

    const MORE: Taken = Taken { done: false, surplus: false, short: None, broken: false };
    const DONE: Taken = Taken { done: true, surplus: false, short: None, broken: false };
    const SURPLUS: Taken = Taken { done: true, surplus: true, short: None, broken: false };

    #[test]
    fn counts_lengths() {
        let mut framing = Framing::Length(5);
        assert_eq!(take(&mut framing, b"abc"), ("abc".into(), MORE));
        assert_eq!(take(&mut framing, b"defg"), ("de".into(), SURPLUS));
        assert_eq!(take(&mut Framing::Length(2), b"ab"), ("ab".into(), DONE));
        assert_eq!(take(&mut Framing::Close, b"ab"), ("ab".into(), MORE));
    }

    #[test]
    fn takes_chunks_off_in_place() {
        let mut framing = Framing::chunked(None);
        assert_eq!(take(&mut framing, b"3\r\nabc\r\n2;x\r\nd"), ("abcd".into(), MORE));
        assert_eq!(take(&mut framing, b"e\r\n0\r\nA: b\r\n\r\n"), ("e".into(), DONE));
        assert_eq!(take(&mut Framing::chunked(None), b"1\r\na\r\n0\r\n\r\nx"), ("a".into(), SURPLUS));
        let mut buffer = Buffer::take();
        buffer.room(1).copy_from_slice(b"x");
        buffer.fill(1);
        assert!(matches!(Framing::chunked(None).take(&mut buffer, 0, &mut Marks::new(0, 0, 4096)), Err(Fault::Chunk)));
    }

    #[test]
    fn knows_what_went_out_before_a_fault() {
        let passed = |body: &[u8], before, step| {
            let mut buffer = Buffer::take();
            buffer.room(body.len()).copy_from_slice(body);
            buffer.fill(body.len());
            let mut marks = Marks::new(0, before, step);
            assert!(matches!(Framing::chunked(None).take(&mut buffer, 0, &mut marks), Err(Fault::Chunk)));
            String::from_utf8_lossy(&buffer[..marks.passed]).into_owned()
        };
        assert_eq!(passed(b"4\r\nabcd\r\nx", 0, 100), "");
        assert_eq!(passed(b"4\r\nabcd\r\nx", 0, 5), "ab");
        assert_eq!(passed(b"4\r\nabcd\r\nx", 0, 6), "abc");
        assert_eq!(passed(b"4\r\nabcd\r\nx", 95, 100), "ab");
        assert_eq!(passed(b"4\r\nabcd\r\n1\r\ne\r\n\r\n", 0, 13), "abcde");
    }

    #[test]
    fn keeps_trailers() {
        let mut framing = Framing::chunked(Some(100));
        assert_eq!(take(&mut framing, b"1\r\na\r\n0\r\nA: "), ("a".into(), MORE));
        assert_eq!(take(&mut framing, b"b\r\n\r\n"), (String::new(), DONE));
        assert_eq!(framing.trailers().unwrap().find(b"a"), Some(&b"b"[..]));
    }
}
