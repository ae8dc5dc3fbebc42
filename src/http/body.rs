//! Response bodies: pulled by whoever writes them, pushed by nobody.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::Headers;

/// A range of an open file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file.
    pub file: Rc<OwnedFd>,
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl FileRange {
    /// How many bytes it covers.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes in a file, to be sent from there.
    File(FileRange),
    /// Nothing: what came before should reach the client now.
    Flush,
}

impl Chunk {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Chunk::Bytes(bytes) => bytes.len() as u64,
            Chunk::File(range) => range.len(),
            Chunk::Flush => 0,
        }
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a body ended before its end; the connection cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response body was cut short")]
pub struct BodyCut;

/// A body that is made while it is sent.
pub trait BodyStream {
    /// The next piece, `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>>;

    /// Called while the client is slow to take what it was given: a chance to read on from upstream
    /// into buffers. The default does nothing.
    fn poll_progress(&mut self, _cx: &mut Context<'_>) {}

    /// Whether what came before may be held back while the next piece is awaited, as far as `postpone_output` allows:
    /// not where it is an upstream that pauses.
    fn postpones(&self) -> bool {
        false
    }

    /// Trailers, asked for after the end.
    fn trailers(&mut self) -> Option<Headers> {
        None
    }
}

/// A response's body.
#[derive(Default)]
pub enum Body {
    /// No bytes at all.
    #[default]
    Empty,
    /// All in memory, in one piece.
    Bytes(Bytes),
    /// One range of a file.
    File(FileRange),
    /// Made while it is sent.
    Stream(Box<dyn BodyStream>),
}

impl Body {
    /// Its length where it is known beforehand.
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(range) => Some(range.len()),
            Body::Stream(_) => None,
        }
    }

    /// Whether it is known to hold nothing.
    pub fn is_empty(&self) -> bool {
        self.known_len() == Some(0)
    }

    /// The next piece, `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        match std::mem::take(self) {
            Body::Empty => Poll::Ready(None),
            Body::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Bytes(bytes) => Poll::Ready(Some(Ok(Chunk::Bytes(bytes)))),
            Body::File(range) if range.is_empty() => Poll::Ready(None),
            Body::File(range) => Poll::Ready(Some(Ok(Chunk::File(range)))),
            Body::Stream(mut stream) => {
                let next = stream.poll_next(cx);
                *self = Body::Stream(stream);
                next
            }
        }
    }

    /// See [`BodyStream::poll_progress`].
    pub fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Body::Stream(stream) = self {
            stream.poll_progress(cx);
        }
    }

    /// See [`BodyStream::postpones`].
    pub fn postpones(&self) -> bool {
        matches!(self, Body::Stream(stream) if stream.postpones())
    }

    /// See [`BodyStream::trailers`].
    pub fn trailers(&mut self) -> Option<Headers> {
        match self {
            Body::Stream(stream) => stream.trailers(),
            _ => None,
        }
    }

    /// The next piece, as a future.
    pub async fn next(&mut self) -> Option<Result<Chunk, BodyCut>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Puts a filter around the body.
    pub fn wrap(&mut self, make: impl FnOnce(Body) -> Box<dyn BodyStream>) {
        let inner = std::mem::take(self);
        *self = Body::Stream(make(inner));
    }

    /// Several pieces, one after the other.
    pub fn chunks(chunks: impl IntoIterator<Item = Chunk>) -> Self {
        Body::Stream(Box::new(Chunks(chunks.into_iter().collect())))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Body::File(range) => write!(f, "File({}..{})", range.start, range.end),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}

struct Chunks(VecDeque<Chunk>);

impl BodyStream for Chunks {
    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Where a request's body comes from: the client's connection, read as far as asked.
pub trait BodySource {
    /// Tells a client that waits for it (`Expect: 100-continue`) to go on.
    fn poll_continue(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// The client is answered without having been told to go on.
    fn forget_continue(&self) {}

    /// How long a pause in the body may last from now on.
    fn set_timeout(&self, timeout: Duration);

    /// There is room for so many bytes at once, and no need to hold the client back before that.
    fn make_room(&self, _room: u64) {}

    /// Where the client says when a body ends, though its length is known: how many bytes of it may have come before anybody
    /// wanted them.
    fn preread(&self) -> Option<u64> {
        None
    }

    /// The next bytes, `None` at the end of the body.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>>;

    /// In a chunked body, how many bytes of the chunk are still to come behind those that were read.
    fn chunk_left(&self) -> u64 {
        0
    }

    /// Bytes sent to the client for the body's sake.
    fn bytes_sent(&self) -> u64 {
        0
    }

    /// How many bytes that are not content have come with those that were read.
    fn framing_bytes(&self) -> u64 {
        0
    }
}

/// Why a request's body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client broke the framing (400).
    #[error("client sent invalid chunked body")]
    Malformed,
    /// An HTTP/2 client sent more than it had said (400).
    #[error("client intended to send body data larger than declared")]
    Longer,
    /// It sent less (400).
    #[error("client prematurely closed stream")]
    Shorter,
    /// The body is longer than `client_max_body_size` (413).
    #[error("client intended to send too large body")]
    TooLarge,
    /// Nothing came for `client_body_timeout` (408).
    #[error("client timed out")]
    TimedOut,
    /// The client closed the connection (400 in the log, nobody to answer).
    #[error("client prematurely closed connection")]
    Closed,
    /// The client of a stream closed the connection, or reset the stream (499 in the log, nobody to answer).
    #[error("client prematurely closed stream")]
    StreamClosed,
    /// The connection broke, with this number of the system (400 in the log, nobody to answer).
    #[error("the connection broke")]
    Broken(i32),
    /// A temporary file could not be written (500).
    #[error("the body could not be stored")]
    Storage,
}

impl BodyError {
    /// Whether there is nobody left to answer: nginx only logs the status then.
    pub fn is_final(self) -> bool {
        matches!(self, BodyError::Closed | BodyError::StreamClosed | BodyError::Broken(_) | BodyError::TimedOut)
    }

    /// The status that nginx answers with.
    pub fn status(self) -> u16 {
        match self {
            BodyError::Malformed | BodyError::Longer | BodyError::Shorter => 400,
            BodyError::Closed | BodyError::Broken(_) => 400,
            BodyError::StreamClosed => 499,
            BodyError::TooLarge => 413,
            BodyError::TimedOut => 408,
            BodyError::Storage => 500,
        }
    }
}
