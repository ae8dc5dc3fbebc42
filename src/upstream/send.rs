//! Sends a request to a peer: its head, and a body from memory, from a file, or as the client brings it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::passage::Passage;
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
    head_at: usize,
    pieces: VecDeque<Chunk>,
    /// A streamed body has come to its end.
    ended: bool,
    /// Something was sent since the last look at it.
    pub(super) moved: bool,
    /// It waits for the client and not for the peer.
    pub(super) starved: bool,
}

/// How many pieces go out in one call at most.
const PIECES: usize = 16;

impl Sender {
    pub(super) fn new(content: Content) -> Self {
        Self { content, head_at: 0, pieces: VecDeque::new(), ended: false, moved: false, starved: false }
    }

    /// Begins again for another peer. What was streamed cannot be had again.
    pub(super) fn rewind(&mut self) {
        self.head_at = 0;
        if let Content::Stored(body) = &self.content {
            self.pieces = body.chunks().into();
        }
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

    /// Asks for more of a streamed body; `false` at the end.
    fn poll_more(&mut self, r: &Request, cx: &mut Context<'_>) -> Poll<Result<bool, SendError>> {
        let Content::Streamed { chunked } = self.content else { return Poll::Ready(Ok(false)) };
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let Poll::Ready(next) = r.body.poll_next(r, cx) else {
            self.starved = true;
            return Poll::Pending;
        };
        match next.map_err(SendError::Body)? {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => self.push(bytes, chunked),
            None => {
                self.ended = true;
                if chunked {
                    self.pieces.push_back(Chunk::Bytes(Bytes::from_static(LAST_CHUNK)));
                }
            }
        }
        Poll::Ready(Ok(!self.ended || chunked))
    }

    fn push(&mut self, bytes: Bytes, chunked: bool) {
        if !chunked {
            return self.pieces.push_back(Chunk::Bytes(bytes));
        }
        let mut head = Vec::with_capacity(18);
        append_chunk_head(bytes.len() as u64, &mut head);
        let framed = [head.into(), bytes, Bytes::from_static(CHUNK_END)];
        self.pieces.extend(framed.map(Chunk::Bytes));
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
