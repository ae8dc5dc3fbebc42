//! The body of a request: read when somebody wants it, as it comes or whole.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;

use super::stored_body::Storing;
use super::{BodyError, BodySource, HeaderId, Request, StoredBody, Version};
use crate::log::Level;

/// A request's body. Most requests have none, so what there is to know of one is made on demand.
#[derive(Clone)]
pub struct RequestBody(OnceCell<Rc<Inner>>);

struct Inner {
    source: Option<Rc<dyn BodySource>>,
    length: Option<u64>,
    finished: Cell<bool>,
    received: Cell<u64>,
    stored: RefCell<Option<Rc<StoredBody>>>,
    /// What was read ahead.
    early: RefCell<VecDeque<Bytes>>,
    unwanted: Cell<bool>,
    given_up: Cell<bool>,
    looked_at: Cell<bool>,
    /// Bytes that were looked at and that nobody has asked for.
    peeked: Cell<u64>,
    /// Bytes that the head's buffer has left, where some of the body has come with the head.
    room: Cell<u64>,
}

impl Inner {
    fn new(source: Option<Rc<dyn BodySource>>, length: Option<u64>) -> Rc<Self> {
        Rc::new(Self {
            finished: Cell::new(source.is_none()),
            source,
            length,
            received: Cell::new(0),
            stored: RefCell::default(),
            early: RefCell::default(),
            unwanted: Cell::new(false),
            given_up: Cell::new(false),
            looked_at: Cell::new(false),
            peeked: Cell::new(0),
            room: Cell::new(0),
        })
    }
}

impl RequestBody {
    /// No body.
    pub fn none() -> Self {
        Self(OnceCell::new())
    }

    /// A body that a connection will yield; the length in bytes where it is known.
    pub fn new(source: Rc<dyn BodySource>, length: Option<u64>) -> Self {
        Self(OnceCell::from(Inner::new(Some(source), length)))
    }

    /// Notes how many bytes the head's buffer has left, where some of the body has come with the head: nginx keeps a
    /// body there that fits, however small `client_body_buffer_size` is.
    #[must_use]
    pub fn beside_head(self, room: u64) -> Self {
        self.inner().room.set(room);
        self
    }

    fn inner(&self) -> &Inner {
        self.0.get_or_init(|| Inner::new(None, Some(0)))
    }

    /// The same body, for a subrequest.
    pub(super) fn share(&self) -> Self {
        self.inner();
        self.clone()
    }

    /// Whether the request has a body at all.
    pub fn exists(&self) -> bool {
        let ends_later = |source: &Rc<dyn BodySource>| source.preread().is_some();
        self.0.get().is_some_and(|inner| {
            inner.source.as_ref().is_some_and(|source| inner.length != Some(0) || ends_later(source))
        })
    }

    /// Its length in bytes, where the client said it; 0 of one that was given up.
    pub fn declared_length(&self) -> Option<u64> {
        self.0.get().filter(|inner| !inner.given_up.get()).map_or(Some(0), |inner| inner.length)
    }

    /// Its length in bytes, where the client said it or all was read; 0 where nobody is going to read it.
    pub fn length(&self) -> Option<u64> {
        let known = self.declared_length().or_else(|| self.stored().map(|stored| stored.length()));
        let ends_later = |inner: &Inner| inner.source.as_ref().is_some_and(|source| source.preread().is_some());
        known.or_else(|| (self.inner().unwanted.get() && !ends_later(self.inner())).then_some(0))
    }

    /// Notes that the answer does not depend on it: it will be read and dropped.
    pub fn discard(&self) {
        if let Some(inner) = self.0.get() {
            inner.unwanted.set(true);
        }
    }

    /// Notes that nobody is to get it: it is empty for who asks, and will be read and dropped.
    pub fn give_up(&self) {
        self.discard();
        if let Some(inner) = self.0.get() {
            inner.given_up.set(true);
        }
    }

    /// Whether [`Self::give_up`] was asked for.
    pub fn is_given_up(&self) -> bool {
        self.0.get().is_some_and(|inner| inner.given_up.get())
    }

    /// Whether nothing of it is left to read.
    pub fn is_finished(&self) -> bool {
        self.0.get().is_none_or(|inner| inner.finished.get())
    }

    /// Bytes of content received so far.
    pub fn received(&self) -> u64 {
        self.0.get().map_or(0, |inner| inner.received.get())
    }

    /// Bytes that have come of it for somebody who wanted them, framing included.
    pub fn wire_length(&self) -> u64 {
        let Some(inner) = self.0.get() else { return 0 };
        let framing = inner.source.as_ref().map_or(0, |source| source.framing_bytes());
        (inner.received.get() + framing).saturating_sub(inner.peeked.get())
    }

    /// Bytes that the client was sent before its answer: the invitation to go on.
    pub fn bytes_sent(&self) -> u64 {
        self.0.get().and_then(|inner| inner.source.as_ref()).map_or(0, |source| source.bytes_sent())
    }

    /// The body, if it was read whole.
    pub fn stored(&self) -> Option<Rc<StoredBody>> {
        self.0.get()?.stored.borrow().clone()
    }

    /// The next bytes as they come, `None` at the end.
    ///
    /// # Errors
    /// What went wrong with the client or its framing; a body longer than `client_max_body_size`.
    pub fn poll_next(&self, r: &Request, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if self.inner().given_up.get() {
            return Poll::Ready(Ok(None));
        }
        self.inner().peeked.set(0);
        if let Some(bytes) = self.inner().early.borrow_mut().pop_front() {
            return Poll::Ready(Ok(Some(bytes)));
        }
        let core = &r.location().core;
        self.make_room(core.client_body_buffer_size as u64);
        let Some(bytes) = ready!(self.poll_unlimited(core.client_body_timeout, cx)).inspect_err(|e| say(r, *e))? else {
            return Poll::Ready(Ok(None));
        };
        let before = self.received() - bytes.len() as u64;
        // The rest of the chunk is on its way, and counts already.
        let coming = bytes.len() as u64 + self.inner().source.as_ref().map_or(0, |source| source.chunk_left());
        let limit = core.client_max_body_size;
        if limit != 0 && self.inner().length.is_none() && limit.saturating_sub(before) < coming {
            const WHAT: &str = "client intended to send too large chunked body";
            match r.head.version {
                Version::HTTP_2 => r.log(Level::Error, format_args!("{WHAT}: {} bytes", before + coming)),
                _ => r.log(Level::Error, format_args!("{WHAT}: {before}+{coming} bytes")),
            }
            return Poll::Ready(Err(BodyError::TooLarge));
        }
        Poll::Ready(Ok(Some(bytes)))
    }

    fn make_room(&self, room: u64) {
        if let Some(source) = self.inner().source.as_ref().filter(|_| !self.is_finished()) {
            source.make_room(room);
        }
    }

    /// Whether nothing more will come, if that is known already; what comes instead is kept for the next look.
    pub fn poll_end(&self, r: &Request, cx: &mut Context<'_>) -> Poll<bool> {
        match ready!(self.poll_next(r, cx)) {
            Ok(None) => Poll::Ready(true),
            Ok(Some(bytes)) => {
                self.inner().early.borrow_mut().push_front(bytes);
                Poll::Ready(false)
            }
            // It comes again.
            Err(_) => Poll::Ready(false),
        }
    }

    fn poll_unlimited(&self, timeout: Duration, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let Some(source) = self.inner().source.as_ref().filter(|_| !self.is_finished()) else {
            return Poll::Ready(Ok(None));
        };
        source.set_timeout(timeout);
        let bytes = ready!(source.poll_read(cx))?;
        let ends_later = source.preread().is_some();
        match &bytes {
            Some(bytes) => self.inner().received.set(self.received() + bytes.len() as u64),
            None => self.inner().finished.set(true),
        }
        if !ends_later && self.inner().length == Some(self.received()) {
            self.inner().finished.set(true);
        }
        Poll::Ready(Ok(bytes))
    }

    /// [`Self::poll_next`] as a future.
    ///
    /// # Errors
    /// As there.
    pub async fn next(&self, r: &Request) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|cx| self.poll_next(r, cx)).await
    }

    /// Tells a client that waits for it to go on, though nobody reads the body: it is dropped behind the answer.
    pub async fn invite(&self) {
        if let Some(source) = self.inner().source.as_ref().filter(|_| !self.is_finished()) {
            std::future::poll_fn(|cx| source.poll_continue(cx)).await;
        }
    }

    /// [`Self::invite`] where nobody can wait.
    pub fn invite_at_once(&self) {
        if let Some(source) = self.inner().source.as_ref().filter(|_| !self.is_finished()) {
            // A few bytes nearly always go out; if not, they go before what is read.
            let _ = source.poll_continue(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Never tells a client to go on that waits for it: it has its answer.
    pub fn forget_invitation(&self) {
        if let Some(source) = self.0.get().and_then(|inner| inner.source.as_ref()) {
            source.forget_continue();
        }
    }

    /// The next bytes, whatever `client_max_body_size` says: to be dropped.
    ///
    /// # Errors
    /// What went wrong with the client or its framing.
    pub async fn next_unlimited(&self, r: &Request, timeout: Duration) -> Result<Option<Bytes>, BodyError> {
        let next = std::future::poll_fn(|cx| self.poll_unlimited(timeout, cx)).await;
        if let Err(error @ BodyError::Malformed) = next {
            say(r, error);
        }
        next
    }

    /// Whether a chunked body that nobody has begun to read has come far enough to be known for malformed, which is said once
    /// and ends the connection. What was read to see it comes again from [`Self::next`].
    pub fn is_broken(&self, r: &Request) -> bool {
        const ENOUGH: u64 = 64 << 10;
        if self.is_finished() || self.inner().length.is_some() || self.received() > 0 || !r.is_main() {
            return false;
        }
        if self.inner().looked_at.replace(true) {
            return false;
        }
        // Whoever reads it next is woken; nobody waits here.
        let mut cx = Context::from_waker(Waker::noop());
        let timeout = r.location().core.client_body_timeout;
        while self.received() < ENOUGH {
            match self.poll_unlimited(timeout, &mut cx) {
                Poll::Ready(Ok(Some(bytes))) => self.inner().early.borrow_mut().push_back(bytes),
                Poll::Ready(Err(BodyError::Malformed)) => {
                    say(r, BodyError::Malformed);
                    r.out.keep_alive.set(false);
                    self.inner().peeked.set(self.wire_length());
                    return true;
                }
                _ => break,
            }
        }
        self.inner().peeked.set(self.wire_length());
        false
    }

    /// Reads what is there without waiting, at most about a buffer; `true` where that is all of the body. What was
    /// read comes again from [`Self::next`].
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn read_available(&self, r: &Request) -> Result<bool, BodyError> {
        let mut pieces = VecDeque::new();
        let preread = self.inner().source.as_ref().and_then(|source| source.preread()).unwrap_or(0);
        let buffer = preread.max(r.location().core.client_body_buffer_size as u64);
        let mut storing = self.storing(preread);
        let ended = std::future::poll_fn(|cx| {
            while self.received() < buffer || self.is_finished() {
                match self.poll_next(r, cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(Some(bytes))) => pieces.push_back(bytes),
                    Poll::Ready(Ok(None)) => return Poll::Ready(Ok(true)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(false))
        });
        // What fills more than the buffer is not gathered: it goes on as it came.
        if !ended.await? || self.received() > buffer {
            *self.inner().early.borrow_mut() = pieces;
            return Ok(false);
        }
        pieces.into_iter().try_for_each(|bytes| storing.push(r, bytes))?;
        *self.inner().stored.borrow_mut() = Some(Rc::new(storing.finish(r, true)?));
        Ok(true)
    }

    /// A body of which so many bytes stay in memory in any case.
    fn storing(&self, preread: u64) -> Storing {
        let Inner { length, room, .. } = self.inner();
        Storing::new(*length, preread, length.is_some_and(|length| length <= room.get()))
    }

    /// Reads the whole body; what does not fit `client_body_buffer_size` goes to a temporary file.
    ///
    /// # Errors
    /// As [`Self::next`], and [`BodyError::Storage`].
    pub async fn read(&self, r: &Request) -> Result<Rc<StoredBody>, BodyError> {
        if let Some(stored) = self.stored() {
            return Ok(stored);
        }
        self.make_room(u64::MAX);
        let mut storing = self.storing(0);
        while let Some(bytes) = self.next(r).await? {
            storing.push(r, bytes)?;
        }
        let announced = self.exists() || r.headers.borrow().has(HeaderId::ContentLength);
        let stored = Rc::new(storing.finish(r, announced)?);
        *self.inner().stored.borrow_mut() = Some(stored.clone());
        Ok(stored)
    }
}

/// Says in the error log why a body could not be read, where nginx does.
fn say(r: &Request, error: BodyError) {
    match error {
        BodyError::Malformed => r.log(Level::Error, "client sent invalid chunked body"),
        BodyError::StreamClosed => r.log(Level::Info, "client prematurely closed stream"),
        BodyError::Closed => r.log(Level::Info, "client prematurely closed connection"),
        BodyError::Broken(errno) => r.log_with(Level::Info, |line| {
            line.put("recv() failed").errno(errno);
        }),
        BodyError::Longer => r.log(Level::Info, "client intended to send body data larger than declared"),
        BodyError::Shorter => {
            let (received, length) = (r.body.received(), r.body.declared_length().unwrap_or(0));
            let what = format_args!(
                "client prematurely closed stream: only {received} out of {length} bytes of request body received"
            );
            r.log(Level::Info, what);
        }
        BodyError::TooLarge | BodyError::TimedOut | BodyError::Storage => {}
    }
}
