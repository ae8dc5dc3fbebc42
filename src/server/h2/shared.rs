//! What a connection of HTTP/2 and its requests tell each other, by the number of the stream.

use std::cell::RefCell;
use std::collections::HashMap;

use super::Answered;
use super::hpack::Fields;

/// What the connection and its requests tell each other.
#[derive(Default)]
pub(super) struct Shared {
    /// Heads of requests that hyper has not handed out yet.
    heads: RefCell<HashMap<u32, Head>>,
    /// Streams that are reset when they have been answered, or in another way than hyper means to; and with which code.
    resets: RefCell<HashMap<u32, u32>>,
    /// Answers that hyper has, and the client has not: to nginx these requests are not over.
    unsent: RefCell<HashMap<u32, Answered>>,
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

    /// Keeps an answer until its last frame has left.
    pub(super) fn hold(&self, stream: u32, answer: Answered) {
        self.unsent.borrow_mut().insert(stream, answer);
    }

    /// A stream's last frame has left.
    pub(super) fn release(&self, stream: u32) {
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
        self.release(stream);
    }
}
