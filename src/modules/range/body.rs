//! Bodies cut to what was asked for.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Plan;
use super::parse::Part;
use crate::http::{Body, BodyCut, BodyStream, Chunk, FileRange, Headers, Request};
use crate::log::Level;

/// A body that is cut when its first byte is asked for: by then the head is settled.
pub(super) struct Planned {
    r: Rc<Request>,
    body: Body,
    plan: Rc<Plan>,
    /// Where in the response the body begins.
    offset: u64,
}

impl Planned {
    pub(super) fn new(r: Rc<Request>, body: Body, plan: Rc<Plan>, offset: u64) -> Self {
        Self { r, body, plan, offset }
    }

    fn settle(&mut self) {
        let Some(planned) = self.plan.0.borrow_mut().take() else { return };
        let body = std::mem::take(&mut self.body);
        self.body = match planned {
            super::Cut::One(part) if self.offset == 0 => cut(body, part),
            super::Cut::One(part) => Body::Stream(Box::new(Cut { body, part, at: self.offset })),
            super::Cut::Several(parts) => multipart(&self.r, body, parts),
        };
    }
}

impl BodyStream for Planned {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        self.settle();
        self.body.poll_next(cx)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

/// One part of a body. What is made while it is sent is read to its end, for others may be listening.
fn cut(body: Body, part: Part) -> Body {
    match body {
        Body::Empty => Body::Empty,
        Body::Bytes(bytes) => Body::Bytes(slice_bytes(&bytes, part)),
        Body::File(file) => Body::File(slice_file(&file, part)),
        Body::Stream(_) => Body::Stream(Box::new(Cut { body, part, at: 0 })),
    }
}

fn slice_bytes(bytes: &Bytes, part: Part) -> Bytes {
    let fits = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    bytes.slice(fits(part.start)..fits(part.end))
}

fn slice_file(file: &FileRange, part: Part) -> FileRange {
    FileRange { file: file.file.clone(), start: file.start + part.start, end: file.start + part.end }
}

fn slice_chunk(chunk: &Chunk, part: Part) -> Chunk {
    match chunk {
        Chunk::Bytes(bytes) => Chunk::Bytes(slice_bytes(bytes, part)),
        Chunk::File(file) => Chunk::File(slice_file(file, part)),
        Chunk::Flush => Chunk::Flush,
    }
}

struct Cut {
    body: Body,
    part: Part,
    at: u64,
}

impl Cut {
    /// What of a chunk lies in the part.
    fn keep(&mut self, chunk: Chunk) -> Option<Chunk> {
        let start = self.at;
        self.at += chunk.len();
        if let Chunk::Flush = chunk {
            return (start < self.part.end).then_some(chunk);
        }
        let kept = Part { start: self.part.start.max(start), end: self.part.end.min(self.at) };
        let within = |kept: Part| Part { start: kept.start - start, end: kept.end - start };
        (kept.start < kept.end).then(|| slice_chunk(&chunk, within(kept)))
    }
}

impl BodyStream for Cut {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            match ready!(self.body.poll_next(cx)) {
                Some(Ok(chunk)) => {
                    if let Some(kept) = self.keep(chunk) {
                        return Poll::Ready(Some(Ok(kept)));
                    }
                }
                end => return Poll::Ready(end),
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

/// Several parts, each behind a head of its own.
pub(super) struct Multipart {
    /// Heads and parts in the order asked for.
    pub(super) pieces: Vec<(Bytes, Part)>,
    /// The last boundary.
    pub(super) end: Bytes,
    /// Bytes of the whole body.
    pub(super) length: u64,
}

impl Multipart {
    fn of(&self, whole: &Chunk) -> VecDeque<Chunk> {
        let pieces = self.pieces.iter();
        let mut chunks: VecDeque<Chunk> =
            pieces.flat_map(|(head, part)| [Chunk::Bytes(head.clone()), slice_chunk(whole, *part)]).collect();
        chunks.push_back(Chunk::Bytes(self.end.clone()));
        chunks
    }
}

/// Several parts of a body. As in nginx, a body that is made while it is sent must come
/// in one piece for that.
fn multipart(r: &Rc<Request>, body: Body, parts: Multipart) -> Body {
    match body {
        Body::Empty => Body::Empty,
        Body::Bytes(bytes) => Body::chunks(parts.of(&Chunk::Bytes(bytes))),
        Body::File(file) => Body::chunks(parts.of(&Chunk::File(file))),
        Body::Stream(_) => {
            let r = r.clone();
            Body::Stream(Box::new(MultipartStream { r, body, parts, chunks: VecDeque::new() }))
        }
    }
}

struct MultipartStream {
    r: Rc<Request>,
    body: Body,
    parts: Multipart,
    chunks: VecDeque<Chunk>,
}

impl BodyStream for MultipartStream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            match ready!(self.body.poll_next(cx)) {
                Some(Ok(chunk)) if chunk.len() == self.parts.length => self.chunks = self.parts.of(&chunk),
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(_)) => {
                    self.r.log(Level::Alert, "range in overlapped buffers");
                    return Poll::Ready(Some(Err(BodyCut)));
                }
                end => return Poll::Ready(end),
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mut body: Body) -> String {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(Ok(Chunk::Bytes(bytes)))) = body.poll_next(&mut cx) {
            all.extend_from_slice(&bytes);
        }
        String::from_utf8(all).unwrap()
    }

    fn pieces() -> Body {
        Body::chunks(["01", "234", "5", "6789"].map(|piece| Chunk::Bytes(Bytes::from_static(piece.as_bytes()))))
    }

    #[test]
    fn cuts_bodies() {
        let part = |start, end| Part { start, end };
        assert_eq!(text(cut(Body::Bytes(Bytes::from_static(b"0123456789")), part(3, 5))), "34");
        for (from, to, expected) in [(0, 10, "0123456789"), (1, 3, "12"), (4, 7, "456"), (9, 10, "9"), (0, 2, "01")] {
            assert_eq!(text(cut(pieces(), part(from, to))), expected);
        }
    }

    #[test]
    fn joins_parts() {
        let heads = [("<a>", 0, 2), ("<b>", 8, 10)];
        let pieces = heads.map(|(head, start, end)| (Bytes::from_static(head.as_bytes()), Part { start, end }));
        let parts = Multipart { pieces: pieces.to_vec(), end: Bytes::from_static(b"<end>"), length: 10 };
        let whole = Chunk::Bytes(Bytes::from_static(b"0123456789"));
        assert_eq!(text(Body::chunks(parts.of(&whole))), "<a>01<b>89<end>");
    }
}
