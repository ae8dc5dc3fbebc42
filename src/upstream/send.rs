//! Sends a request to a peer: its head, and a body from memory, from a file, or as the client brings it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::buffer::BUFFER;
use super::grpc::SharedHttp2;
use super::passage::Passage;
use super::records::{append_stdin, split_front};
use super::socket::Socket;
use crate::h1::framing::{CHUNK_END, LAST_CHUNK, append_chunk_head};
use crate::http::{BodyError, Chunk, FileRange, Request, StoredBody};

/// A request's body on its way to a peer.
pub(crate) enum Content {
    /// There is none, or it stands behind the head already.
    None,
    /// It was read whole.
    Stored(Rc<StoredBody>),
    /// It is sent on as it comes.
    Streamed {
        /// Whether it goes in chunks, because nobody knows its length.
        chunked: bool,
    },
}

/// Why a request could not be sent.
pub(super) enum SendError {
    /// The call that failed, and why.
    Peer(&'static str, io::Error),
    /// The client's body could not be read.
    Body(BodyError),
}

/// A request on its way to a peer.
pub(super) struct Sender {
    content: Content,
    /// The body goes in FastCGI's records.
    records: bool,
    head_at: usize,
    pieces: VecDeque<Chunk>,
    /// A streamed body has come to its end.
    ended: bool,
    /// The last chunk was made.
    framed_end: bool,
    /// The connection, where it is HTTP/2.
    http2: Option<SharedHttp2>,
    /// What of the body is not in frames yet.
    unframed: VecDeque<Chunk>,
    /// Something was sent since the last look at it.
    pub(super) moved: bool,
    /// It waits for the client and not for the peer.
    pub(super) starved: bool,
}

/// How many pieces go out in one call at most.
const PIECES: usize = 16;

impl Sender {
    pub(super) fn new(content: Content, records: bool) -> Self {
        let pieces = VecDeque::new();
        Self {
            content,
            records,
            head_at: 0,
            pieces,
            ended: false,
            framed_end: false,
            http2: None,
            unframed: VecDeque::new(),
            moved: false,
            starved: false,
        }
    }

    /// Begins again for another peer. What was streamed cannot be had again.
    pub(super) fn rewind(&mut self) {
        self.head_at = 0;
        let Content::Stored(body) = &self.content else { return };
        if self.records {
            self.pieces.clear();
            append_stdin(body.chunks(), true, &mut self.pieces);
        } else {
            self.pieces = body.chunks().into();
        }
    }

    /// The request goes out as a new stream of this connection.
    pub(super) fn begin_stream(&mut self, http2: &SharedHttp2, passage: &Passage) {
        let bodiless = matches!(self.content, Content::None);
        let block = passage.request_bytes();
        let frames = http2.borrow_mut().begin(&block, bodiless);
        self.head_at = block.len();
        self.unframed = std::mem::take(&mut self.pieces);
        self.pieces.push_back(Chunk::Bytes(frames.into()));
        self.ended |= !self.streams();
        self.framed_end = bodiless;
        self.http2 = Some(http2.clone());
    }

    /// Whether the connection is HTTP/2: what the peer says on it is looked at before more is sent.
    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.is_some()
    }

    /// Whether frames that came since the last look at it may let it go on.
    pub(super) fn take_changed(&self) -> bool {
        self.http2.as_ref().is_some_and(|http2| http2.borrow_mut().take_changed())
    }

    /// Whether frames of the connection wait to be sent on.
    pub(super) fn has_rest(&self) -> bool {
        self.http2.is_some() && !self.pieces.is_empty()
    }

    /// Makes frames: those of the connection first, then one of the body, if the windows are open.
    fn poll_frames(&mut self, http2: &SharedHttp2, r: &Request, cx: &mut Context<'_>) -> Poll<Result<bool, SendError>> {
        let mut http2 = http2.borrow_mut();
        let control = http2.take_control();
        if !control.is_empty() {
            self.pieces.push_back(Chunk::Bytes(control.into()));
            return Poll::Ready(Ok(true));
        }
        if self.framed_end {
            return Poll::Ready(Ok(false));
        }
        let room = http2.room();
        while !self.ended && self.unframed.iter().map(Chunk::len).sum::<u64>() <= room as u64 {
            match r.body.poll_next(r, cx) {
                Poll::Pending if self.unframed.is_empty() => {
                    self.starved = true;
                    return Poll::Pending;
                }
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::Body(error))),
                Poll::Ready(Ok(None)) => self.ended = true,
                Poll::Ready(Ok(Some(bytes))) => {
                    self.unframed.push_back(Chunk::Bytes(bytes));
                    // The last frame says that it is the last.
                    self.ended = r.body.is_finished() || matches!(r.body.poll_end(r, cx), Poll::Ready(true));
                }
            }
        }
        if room == 0 && !self.unframed.is_empty() {
            return Poll::Pending;
        }
        let (mut parts, mut length) = (Vec::new(), 0);
        while length < room as u64
            && let Some(part) = self.unframed.front_mut().and_then(|front| split_front(front, room as u64 - length))
        {
            length += part.len();
            parts.push(part);
            if self.unframed.front().is_some_and(Chunk::is_empty) {
                self.unframed.pop_front();
            }
        }
        self.framed_end = self.ended && self.unframed.is_empty();
        if length > 0 || self.framed_end {
            self.pieces.push_back(Chunk::Bytes(http2.data_head(length as usize, self.framed_end).into()));
            self.pieces.extend(parts);
        }
        Poll::Ready(Ok(true))
    }

    /// Whether the body goes out as it comes.
    pub(super) fn streams(&self) -> bool {
        matches!(self.content, Content::Streamed { .. })
    }

    /// Sends on; ready when all is sent.
    pub(super) fn poll(
        &mut self,
        r: &Request,
        passage: &Passage,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        if self.head_at == 0 && self.pieces.is_empty() {
            // What the client has sent by now goes out together with the head.
            if let Poll::Ready(more) = self.poll_more(r, cx) {
                more?;
            }
        }
        loop {
            self.starved = false;
            let head = passage.request_bytes();
            if self.head_at == head.len() && self.pieces.is_empty() {
                drop(head);
                if !ready!(self.poll_more(r, cx))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if self.head_at == head.len()
                && let Some(Chunk::File(range)) = self.pieces.front_mut()
            {
                ready!(poll_file(range, socket, cx))?;
                self.moved = true;
                if range.is_empty() {
                    self.pieces.pop_front();
                }
                continue;
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = gather(&mut slices, &head[self.head_at..], &self.pieces);
            let sent = ready!(socket.poll_send(cx, &slices[..count])).map_err(|e| SendError::Peer("writev()", e))?;
            self.moved = true;
            let of_head = sent.min(head.len() - self.head_at);
            self.head_at += of_head;
            drop(head);
            self.advance(sent - of_head);
        }
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(Chunk::Bytes(bytes)) = self.pieces.front_mut() {
            if sent < bytes.len() {
                bytes::Buf::advance(bytes, sent);
                return;
            }
            sent -= bytes.len();
            self.pieces.pop_front();
        }
    }

    /// Asks for more of a streamed body; `false` at the end. What the client has sent by now goes out together.
    fn poll_more(&mut self, r: &Request, cx: &mut Context<'_>) -> Poll<Result<bool, SendError>> {
        if let Some(http2) = self.http2.clone() {
            return self.poll_frames(&http2, r, cx);
        }
        let Content::Streamed { chunked } = self.content else { return Poll::Ready(Ok(false)) };
        let mut length = 0;
        while !self.ended && length < BUFFER && self.pieces.len() < PIECES - 3 {
            match r.body.poll_next(r, cx) {
                Poll::Pending if length == 0 => {
                    self.starved = true;
                    return Poll::Pending;
                }
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::Body(error))),
                Poll::Ready(Ok(None)) => self.ended = true,
                Poll::Ready(Ok(Some(bytes))) => {
                    length += bytes.len();
                    self.pieces.push_back(Chunk::Bytes(bytes));
                }
            }
        }
        if self.records {
            let pieces = std::mem::take(&mut self.pieces).into();
            let last = self.ended && !std::mem::replace(&mut self.framed_end, true);
            append_stdin(pieces, last, &mut self.pieces);
        } else if chunked {
            self.frame(length);
        }
        Poll::Ready(Ok(!self.pieces.is_empty()))
    }

    /// Makes one chunk of the pieces, and ends the body where it has ended.
    fn frame(&mut self, length: usize) {
        if length > 0 {
            let mut head = Vec::with_capacity(18);
            append_chunk_head(length as u64, &mut head);
            self.pieces.push_front(Chunk::Bytes(head.into()));
            self.pieces.push_back(Chunk::Bytes(Bytes::from_static(CHUNK_END)));
        }
        if self.ended && !std::mem::replace(&mut self.framed_end, true) {
            self.pieces.push_back(Chunk::Bytes(Bytes::from_static(LAST_CHUNK)));
        }
    }
}

/// The head's rest and the pieces in memory behind it; tells how many slices that are.
fn gather<'a>(slices: &mut [IoSlice<'a>; PIECES], head: &'a [u8], pieces: &'a VecDeque<Chunk>) -> usize {
    let mut count = 0;
    if !head.is_empty() {
        slices[0] = IoSlice::new(head);
        count = 1;
    }
    for piece in pieces {
        let Chunk::Bytes(bytes) = piece else { break };
        if count == PIECES {
            break;
        }
        slices[count] = IoSlice::new(bytes);
        count += 1;
    }
    count
}

fn poll_file(range: &mut FileRange, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
    let count = usize::try_from(range.len()).unwrap_or(usize::MAX);
    let sent = ready!(socket.poll_sendfile(cx, &range.file, &mut range.start, count));
    match sent {
        Ok(0) => Poll::Ready(Err(SendError::Peer("sendfile()", io::ErrorKind::UnexpectedEof.into()))),
        Ok(_) => Poll::Ready(Ok(())),
        Err(error) => Poll::Ready(Err(SendError::Peer("sendfile()", error))),
    }
}
