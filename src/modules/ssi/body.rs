//! A page on its way to the client: its text, and the responses that it includes, all under way at once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::page::{Outcome, Page};
use super::parser::{Found, Parser};
use super::text::Shared;
use crate::http::{Body, BodyCut, BodyStream, Chunk, Headers, MemoryBody, Piece, Request, SubrequestFuture};
use crate::log::Level;

/// How much of a page may wait behind a response that is slow to come, in bytes.
const AHEAD: usize = 64 << 10;

/// How many parts of it may; a piece of the page that is looked at may bring some more.
const MOST_PARTS: usize = 500;

/// The body of a page.
pub(super) struct Included {
    source: MemoryBody,
    parser: Parser,
    page: Page,
    /// What has been read of the page and not been looked at.
    piece: Bytes,
    parts: VecDeque<Part>,
    /// Bytes of text in the parts.
    waiting: usize,
    /// Nothing more is looked at until all parts have been sent.
    waits: bool,
    kept: Option<(Vec<u8>, Kept)>,
    ended: bool,
}

/// A response on its way into a variable; `None` leaves the variable as it was.
type Kept = Pin<Box<dyn Future<Output = Result<Option<Bytes>, BodyCut>>>>;

enum Part {
    Chunk(Chunk),
    Asked(SubrequestFuture),
    Body(Rc<Request>, Body),
    Cut,
}

impl Part {
    /// Goes on with what does not depend on its turn.
    fn progress(&mut self, cx: &mut Context<'_>) {
        match self {
            Part::Asked(work) => {
                if let Poll::Ready((r, answer)) = work.as_mut().poll(cx) {
                    *self = answer.map_or(Part::Cut, |response| Part::Body(r, response.body));
                }
            }
            Part::Body(_, body) => body.poll_progress(cx),
            Part::Chunk(_) | Part::Cut => {}
        }
    }
}

impl Included {
    pub(super) fn new(body: Body, parser: Parser, page: Page) -> Self {
        Self {
            source: MemoryBody::new(body),
            parser,
            page,
            piece: Bytes::new(),
            parts: VecDeque::new(),
            waiting: 0,
            waits: false,
            kept: None,
            ended: false,
        }
    }

    fn may_look(&self) -> bool {
        !self.waits && self.kept.is_none() && !(self.ended && self.piece.is_empty())
    }

    fn has_room(&self) -> bool {
        self.waiting < AHEAD && self.parts.len() < MOST_PARTS
    }

    /// Looks at the next piece of the page.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.piece.is_empty() {
            match ready!(self.source.poll_next(cx)) {
                Some(Ok(Piece::Bytes(bytes))) => self.piece = bytes,
                Some(Ok(Piece::Flush)) => self.parts.push_back(Part::Chunk(Chunk::Flush)),
                Some(Err(BodyCut)) => self.parts.push_back(Part::Cut),
                None => {
                    self.ended = true;
                    if let Some(text) = self.parser.rest() {
                        self.text(text);
                    }
                }
            }
        }
        while !self.waits && self.kept.is_none() {
            match self.parser.next(&self.page.r, &mut self.piece) {
                None => break,
                Some(Found::Text(text)) => self.text(text),
                Some(Found::Fault) => self.add(self.page.fault()),
                Some(Found::Command) => {
                    let outcome = self.page.run(&self.parser);
                    self.add(outcome);
                }
            }
        }
        Poll::Ready(())
    }

    fn text(&mut self, text: Bytes) {
        if let Some(text) = self.page.text(text) {
            self.add(Outcome::Text(text));
        }
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Text(text) if text.is_empty() => {}
            Outcome::Text(text) => {
                self.waiting += text.len();
                self.parts.push_back(Part::Chunk(Chunk::Bytes(text)));
            }
            Outcome::Include { work, wait } => {
                self.waits = wait;
                self.parts.push_back(Part::Asked(work));
            }
            Outcome::Keep { work, name } => self.kept = Some((name, Box::pin(keep(work)))),
        }
    }

    /// Looks ahead and goes on with everything, while the first part is waited for.
    fn progress(&mut self, cx: &mut Context<'_>) {
        while self.may_look() && self.has_room() && self.look(cx).is_ready() {}
        self.parts.iter_mut().for_each(|part| part.progress(cx));
    }

    /// What the first part has to send; `None` where it has ended.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        let Some(part) = self.parts.front_mut() else { return Poll::Ready(None) };
        if let Part::Asked(_) = part {
            part.progress(cx);
        }
        let next = match part {
            Part::Asked(_) => return Poll::Pending,
            Part::Body(r, body) => match ready!(body.poll_next(cx)) {
                // To nginx it has ended there; the page goes on.
                Some(Err(BodyCut)) if r.out.complete_when_cut.get() => None,
                Some(next) => return Poll::Ready(Some(next)),
                None => None,
            },
            Part::Cut => return Poll::Ready(Some(Err(BodyCut))),
            Part::Chunk(Chunk::Bytes(_)) => return Poll::Ready(Some(Ok(self.texts()))),
            Part::Chunk(chunk) => Some(Ok(chunk.clone())),
        };
        self.parts.pop_front();
        Poll::Ready(next)
    }

    /// All text up to the next thing that is waited for, as one piece.
    fn texts(&mut self) -> Chunk {
        let mut texts = Vec::new();
        while let Some(Part::Chunk(Chunk::Bytes(text))) = self.parts.front() {
            texts.push(text.clone());
            self.parts.pop_front();
        }
        let text = if let [text] = &texts[..] { text.clone() } else { texts.concat().into() };
        self.waiting -= text.len();
        Chunk::Bytes(text)
    }

    /// Goes on with the page when everything before has been sent; `false` where that is all.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyCut>> {
        if let Some((name, work)) = &mut self.kept {
            if let Some(value) = ready!(work.as_mut().poll(cx))? {
                Shared::of(&self.page.r).set(name, value);
            }
            self.kept = None;
        }
        self.waits = false;
        if !self.may_look() {
            return Poll::Ready(Ok(false));
        }
        self.look(cx).map(|()| Ok(true))
    }
}

impl BodyStream for Included {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            if self.parts.is_empty() {
                match ready!(self.go_on(cx)) {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Ready(None),
                    Err(cut) => return Poll::Ready(Some(Err(cut))),
                }
            }
            match self.poll_part(cx) {
                Poll::Ready(Some(Ok(Chunk::Bytes(bytes)))) if bytes.is_empty() => {}
                Poll::Ready(Some(next)) => return Poll::Ready(Some(next)),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    self.progress(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.source.poll_progress(cx);
        self.progress(cx);
    }

    fn postpones(&self) -> bool {
        match self.parts.front() {
            Some(Part::Asked(_) | Part::Cut) => true,
            Some(Part::Body(_, body)) => body.postpones(),
            Some(Part::Chunk(_)) => false,
            None => self.kept.is_some(),
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.source.trailers()
    }
}

/// Reads a response that is to become a variable. It has to fit `subrequest_output_buffer_size`.
async fn keep(work: SubrequestFuture) -> Result<Option<Bytes>, BodyCut> {
    let (r, answer) = work.await;
    let mut response = answer.map_err(|_| BodyCut)?;
    let mut most = r.location().core.subrequest_output_buffer_size as u64;
    let length = response.content_length.filter(|_| !response.body.is_empty());
    if let Some(length) = length {
        if length > most {
            r.log(Level::Error, format_args!("too big subrequest response: {length}"));
            return Err(BodyCut);
        }
        most = length;
    }
    let mut body = MemoryBody::new(std::mem::take(&mut response.body));
    let mut out = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| body.poll_next(cx)).await {
        let Piece::Bytes(bytes) = piece? else { continue };
        if (out.len() + bytes.len()) as u64 > most {
            r.log(Level::Error, "too big subrequest response");
            return Err(BodyCut);
        }
        out.extend_from_slice(&bytes);
    }
    Ok((response.status < 300).then(|| out.into()))
}
