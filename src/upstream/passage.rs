//! What a request keeps of the upstreams that it was sent to: for the error log and for `$upstream_…`.

use std::any::Any;
use std::cell::{Cell, Ref, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::cache::Caching;
use super::lease::Lease;
use crate::http::{Headers, Request, UpstreamInfo, clock, doing};
use crate::log::{Level, Line};

/// One connection that was tried for a request.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The peer's name; an upstream's name where it has no live peer.
    pub(crate) peer: Bytes,
    /// The status that the peer answered, or that stands for its failure; 0 before either.
    pub(crate) status: u16,
    /// Milliseconds until the connection stood.
    pub(crate) connect_time: Option<u64>,
    /// Milliseconds until the head was there.
    pub(crate) header_time: Option<u64>,
    /// Milliseconds until the end.
    pub(crate) response_time: Option<u64>,
    /// Bytes of the body.
    pub(crate) response_length: u64,
    /// Bytes received.
    pub(crate) received: u64,
    /// Bytes sent.
    pub(crate) sent: u64,
    /// It is the first one after an internal redirect.
    pub(crate) after_redirect: bool,
    start: Instant,
}

/// Room for a usual request, in bytes.
const ROOM: usize = 1024;

/// A request's way through upstreams. It outlives internal redirects, as nginx's list of states does.
#[derive(Default)]
pub(crate) struct Passage {
    /// Most requests try one connection.
    last: RefCell<Option<Attempt>>,
    earlier: RefCell<Vec<Attempt>>,
    redirected: Cell<bool>,
    scheme: RefCell<Bytes>,
    peer: RefCell<Option<Bytes>>,
    /// nginx writes a colon between a UNIX socket and the URI, but not where it has given the peer up.
    colon: Cell<bool>,
    request: RefCell<Vec<u8>>,
    uri: Cell<(usize, usize)>,
    headers: RefCell<Headers>,
    trailers: RefCell<Headers>,
    /// The connection of an answer that was read to its end.
    held: RefCell<Option<Lease>>,
    /// Its dealings with a cache.
    caching: RefCell<Option<Rc<Caching>>>,
    /// What puts an answer that was read whole in its file, once its head has gone through the filters.
    keeper: RefCell<Option<Box<dyn FnOnce()>>>,
    /// They have refused it.
    refused: Cell<bool>,
    /// What `X-Accel-Buffering` said last, of this answer or one that was not taken.
    pub(super) buffering: Cell<Option<bool>>,
}

thread_local! {
    /// Memory of requests that have been sent.
    static REQUESTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How many pieces of memory for requests a thread keeps.
const KEPT: usize = 64;

/// The largest that is kept, in bytes.
const LARGEST_KEPT: usize = 16 << 10;

impl Drop for Passage {
    fn drop(&mut self) {
        let request = self.request.take();
        if (1..=LARGEST_KEPT).contains(&request.capacity()) {
            // While the thread ends there is nothing to keep it for.
            let _ = REQUESTS.try_with(|kept| {
                let mut kept = kept.borrow_mut();
                if kept.len() < KEPT {
                    kept.push(request);
                }
            });
        }
    }
}

impl UpstreamInfo for Passage {
    fn add_log_context(&self, line: &mut Line) {
        let Some(peer) = &*self.peer.borrow() else { return };
        line.put(", upstream: \"").bytes(&self.scheme.borrow()).bytes(peer);
        if self.colon.get() {
            line.put(':');
        }
        line.bytes(&self.uri()).put('"');
    }

    fn finish(&self, r: &Request) {
        let keeper = self.keeper.take();
        if let Some(keep) = keeper {
            keep();
        }
        let held = self.held.take();
        if let Some(mut lease) = held {
            lease.end(r, self);
        }
    }

    fn is_done(&self) -> bool {
        self.last.borrow().as_ref().is_none_or(|attempt| attempt.response_time.is_some())
    }

    fn refuse(&self) {
        self.refused.set(true);
        self.keeper.take();
        // nginx has not begun to read its body.
        if let Some(lease) = &mut *self.held.borrow_mut() {
            lease.body_length = 0;
        }
    }
}

impl Passage {
    /// Starts a new one for a request, or goes on with the one from before an internal redirect.
    pub(crate) fn begin(r: &Request, scheme: Bytes) -> Rc<Self> {
        let passage = Self::of(r).unwrap_or_else(|| {
            let passage = Rc::<Self>::default();
            *r.out.upstream.borrow_mut() = Some(passage.clone());
            passage
        });
        passage.finish(r);
        passage.refused.set(false);
        passage.redirected.set(passage.last.borrow().is_some());
        *passage.scheme.borrow_mut() = scheme;
        *passage.peer.borrow_mut() = None;
        passage.caching.take();
        passage.headers.borrow_mut().clear();
        passage.trailers.borrow_mut().clear();
        passage
    }

    /// The request's, if it was sent to an upstream at all.
    pub(crate) fn of(r: &Request) -> Option<Rc<Self>> {
        let info: Rc<dyn Any> = r.out.upstream.borrow().clone()?;
        info.downcast().ok()
    }

    /// Looks at all attempts in order; `false` where there was none.
    pub(crate) fn each_attempt(&self, mut look: impl FnMut(&Attempt)) -> bool {
        self.earlier.borrow().iter().for_each(&mut look);
        self.last.borrow().iter().for_each(&mut look);
        self.last.borrow().is_some()
    }

    /// Notes that another connection is tried.
    pub(super) fn attempt(&self) {
        self.end();
        let attempt = Attempt {
            peer: Bytes::new(),
            status: 0,
            connect_time: None,
            header_time: None,
            response_time: None,
            response_length: 0,
            received: 0,
            sent: 0,
            after_redirect: self.redirected.take(),
            start: clock::now(),
        };
        let before = self.last.replace(Some(attempt));
        self.earlier.borrow_mut().extend(before);
    }

    /// When the connection in hand was begun.
    pub(super) fn attempt_start(&self) -> Instant {
        self.last.borrow().as_ref().map_or_else(clock::now, |attempt| attempt.start)
    }

    /// Keeps the connection of an answer that was read to its end until the answer has been made of it.
    pub(super) fn hold(&self, lease: Lease) {
        *self.held.borrow_mut() = Some(lease);
    }

    /// What is done to keep the answer, if no filter refuses it.
    pub(super) fn keep_by(&self, keep: impl FnOnce() + 'static) {
        *self.keeper.borrow_mut() = Some(Box::new(keep));
    }

    /// Whether a filter has refused the answer.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.get()
    }

    /// The request's dealings with a cache, where it has any.
    pub(crate) fn caching(&self) -> Option<Rc<Caching>> {
        self.caching.borrow().clone()
    }

    /// Notes that the request deals with a cache.
    pub(super) fn set_caching(&self, caching: Rc<Caching>) {
        *self.caching.borrow_mut() = Some(caching);
    }

    /// Notes which peer it is.
    pub(super) fn choose(&self, name: &Bytes, is_unix: bool) {
        *self.peer.borrow_mut() = Some(name.clone());
        self.colon.set(is_unix);
        self.last(|attempt| attempt.peer = name.clone());
    }

    /// Notes that the peer was given up.
    pub(super) fn give_up(&self) {
        self.colon.set(false);
    }

    fn last(&self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = &mut *self.last.borrow_mut() {
            change(attempt);
        }
    }

    /// Notes that the connection stands; `at_once` where there was nothing to wait for.
    pub(super) fn connected(&self, at_once: bool) {
        self.last(|attempt| {
            if attempt.connect_time.is_none() {
                attempt.connect_time = Some(if at_once { 0 } else { attempt.elapsed() });
            }
        });
    }

    /// Notes that the head is there.
    pub(super) fn head_read(&self) {
        self.last(|attempt| attempt.header_time = Some(attempt.elapsed()));
    }

    /// Notes the status where there is none yet.
    pub(super) fn answered(&self, status: u16) {
        self.last(|attempt| {
            if attempt.status == 0 {
                attempt.status = status;
            }
        });
    }

    /// Notes the status that stands for a failure.
    pub(super) fn failed(&self, status: u16) {
        self.last(|attempt| attempt.status = status);
    }

    /// Counts bytes received.
    pub(super) fn received(&self, bytes: usize) {
        self.last(|attempt| attempt.received += bytes as u64);
    }

    /// How many bytes have been received on the connection in hand.
    pub(super) fn received_so_far(&self) -> u64 {
        self.last.borrow().as_ref().map_or(0, |attempt| attempt.received)
    }

    /// Notes how many bytes were sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.last(|attempt| attempt.sent = bytes);
    }

    /// Counts bytes of the body.
    pub(super) fn body_received(&self, bytes: u64) {
        self.last(|attempt| attempt.response_length += bytes);
    }

    /// Notes that the last connection is done with.
    pub(super) fn end(&self) {
        self.last(|attempt| {
            if attempt.response_time.is_none() {
                attempt.response_time = Some(attempt.elapsed());
            }
        });
    }

    /// Memory for the request that is to be sent, empty. It is handed back to [`Self::set_request`].
    pub(crate) fn take_request(&self) -> Vec<u8> {
        let mut request = self.request.take();
        if request.capacity() == 0 {
            request = REQUESTS.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        request.clear();
        request.reserve(ROOM);
        request
    }

    /// The request as it is sent, line and headers and what stands behind them, and where its URI stands.
    pub(crate) fn set_request(&self, request: Vec<u8>, uri: Range<usize>) {
        self.request.replace(request);
        self.uri.set((uri.start, uri.end));
    }

    /// The request as it is sent.
    pub(super) fn request_bytes(&self) -> Ref<'_, [u8]> {
        Ref::map(self.request.borrow(), Vec::as_slice)
    }

    /// The URI that the upstream is asked for.
    pub(crate) fn uri(&self) -> Ref<'_, [u8]> {
        let (start, end) = self.uri.get();
        Ref::map(self.request.borrow(), |request| request.get(start..end).unwrap_or_default())
    }

    /// The headers of the upstream's response.
    pub(crate) fn headers(&self) -> Ref<'_, Headers> {
        self.headers.borrow()
    }

    /// Keeps the headers of the upstream's response.
    pub(super) fn set_headers(&self, headers: Headers) {
        *self.headers.borrow_mut() = headers;
    }

    /// The trailers of the upstream's response.
    pub(crate) fn trailers(&self) -> Ref<'_, Headers> {
        self.trailers.borrow()
    }

    /// Keeps the trailers of the upstream's response.
    pub(super) fn set_trailers(&self, trailers: Headers) {
        *self.trailers.borrow_mut() = trailers;
    }
}

impl Attempt {
    fn elapsed(&self) -> u64 {
        u64::try_from(clock::now().saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is being done with an upstream, as nginx's error log says it behind `while`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connecting,
    Handshaking,
    Sending,
    ReadingHead,
    ReadingBody,
    SendingOn,
    Tunnelling,
}

impl Action {
    pub(super) fn text(self) -> &'static str {
        match self {
            Action::Connecting => " while connecting to upstream",
            Action::Handshaking => " while SSL handshaking to upstream",
            Action::Sending => " while sending request to upstream",
            Action::ReadingHead => doing::READING_HEAD,
            Action::ReadingBody => " while reading upstream",
            Action::SendingOn => doing::SENDING_ON,
            Action::Tunnelling => " while proxying upgraded connection",
        }
    }
}

/// Says in the error log what happened while something was done with an upstream.
pub(crate) fn report(r: &Request, level: Level, action: Action, what: impl FnOnce(&mut Line)) {
    r.log_while(level, action.text(), what);
}
