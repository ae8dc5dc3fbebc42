//! What a connection of HTTP/2 and its requests tell each other, by the number of the stream.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::task::{Context, Waker};
use std::time::Instant;

use super::Answered;
use super::answers::Answers;
use super::hpack::Fields;
use super::windows::Windows;
use crate::http::Request;

/// What the connection and its requests tell each other.
#[derive(Default)]
pub(super) struct Shared {
    /// Heads of requests that hyper has not handed out yet.
    heads: RefCell<HashMap<u32, Head>>,
    /// Streams that are reset when they have been answered, or in another way than hyper means to; and with which code.
    resets: RefCell<HashMap<u32, u32>>,
    /// Answers that hyper has, and the client has not: to nginx these requests are not over.
    unsent: RefCell<HashMap<u32, Answered>>,
    /// How much of bodies may come.
    pub(super) windows: Windows,
    /// How answers go on.
    pub(super) answers: Answers,
    /// Streams that end now, whatever hyper thinks of them.
    expired: RefCell<Vec<u32>>,
    /// The client takes nothing at all.
    pub(super) is_stuck: Cell<bool>,
    /// The connection is over.
    is_over: Cell<bool>,
    /// Streams that are over, while their requests go on.
    outliving: RefCell<HashSet<u32>>,
    /// How many requests are under way.
    pub(super) processing: Cell<usize>,
    /// When the client last said anything.
    pub(super) heard: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

/// Whether a request that has no answer yet goes on without its client.
fn outlives(r: &Request) -> bool {
    r.out.outlives_client.get() && !r.out.head_sent.get()
}

/// A request's head.
#[derive(Debug)]
pub(super) struct Head {
    /// Its fields.
    pub(super) fields: Fields,
    /// Nothing follows.
    pub(super) ends: bool,
}

impl Shared {
    /// A request has come.
    pub(super) fn put_head(&self, stream: u32, head: Head) {
        self.heads.borrow_mut().insert(stream, head);
    }

    /// The head of the request of a stream. It is there once.
    pub(super) fn take_head(&self, stream: u32) -> Option<Head> {
        self.heads.borrow_mut().remove(&stream)
    }

    /// Whether requests have come that are not over.
    pub(super) fn is_asked(&self) -> bool {
        self.processing.get() > 0 || !self.heads.borrow().is_empty()
    }

    /// Keeps an answer until its last frame has left.
    pub(super) fn hold(&self, stream: u32, answer: Answered) {
        if self.is_over.get() {
            answer.give_up(true);
        } else {
            self.unsent.borrow_mut().insert(stream, answer);
        }
    }

    /// A stream's last frame has left.
    pub(super) fn release(&self, stream: u32) {
        self.answers.end(stream);
        let released = self.unsent.borrow_mut().remove(&stream);
        // It is logged now, which may do anything.
        drop(released);
    }

    /// A stream is to be reset with this code.
    pub(super) fn reset(&self, stream: u32, code: u32) {
        self.resets.borrow_mut().insert(stream, code);
    }

    /// How a stream is to be reset, where it is.
    pub(super) fn reset_code(&self, stream: u32) -> Option<u32> {
        let resets = self.resets.borrow();
        if resets.is_empty() { None } else { resets.get(&stream).copied() }
    }

    /// A stream is over, however that came.
    pub(super) fn forget(&self, stream: u32) {
        self.heads.borrow_mut().remove(&stream);
        self.resets.borrow_mut().remove(&stream);
        self.windows.close(stream);
        let unsent = self.unsent.borrow_mut().remove(&stream);
        if let Some(answer) = unsent {
            answer.give_up(self.answers.request(stream).is_some());
        }
        if self.answers.request(stream).is_some_and(|r| outlives(&r)) {
            self.outliving.borrow_mut().insert(stream);
        }
        self.answers.end(stream);
    }

    /// Whether the request of a stream that nobody waits for any more goes on.
    pub(super) fn goes_on(&self, stream: u32) -> bool {
        let is_alone = self.outliving.borrow_mut().remove(&stream);
        is_alone || self.answers.request(stream).is_some_and(|r| outlives(&r))
    }

    /// The connection is over: what has not left of its answers never will.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        // Each knows the connection, which so knew itself.
        let unsent = self.unsent.take();
        for (stream, answer) in unsent {
            answer.give_up(self.answers.request(stream).is_some());
            self.answers.end(stream);
        }
    }

    /// Part of a body was read.
    pub(super) fn read(&self, stream: u32, content: usize) {
        if self.windows.read(stream, content) {
            self.wake();
        }
    }

    /// There is room for so many bytes of a body.
    pub(super) fn make_room(&self, stream: u32, room: u64) {
        if self.windows.make_room(stream, room) {
            self.wake();
        }
    }

    /// A stream ends now.
    pub(super) fn expire(&self, stream: u32) {
        self.expired.borrow_mut().push(stream);
        self.wake();
    }

    /// Streams that end now.
    pub(super) fn take_expired(&self) -> Vec<u32> {
        let mut expired = self.expired.borrow_mut();
        if expired.is_empty() { Vec::new() } else { std::mem::take(&mut *expired) }
    }

    /// The connection is driven by this task.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}
