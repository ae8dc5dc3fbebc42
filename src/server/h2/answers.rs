//! Clients that take nothing of what they asked for: `send_timeout`. RFC 9113, section 10.5.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::http::{Request, clock};
use crate::log::Level;

/// The answers under way on a connection, by their streams.
#[derive(Default)]
pub(super) struct Answers {
    answers: RefCell<HashMap<u32, Rc<Progress>>>,
    /// When they are looked at next.
    until: Cell<Option<Instant>>,
    /// One of them wants to be looked at sooner.
    sooner: Notify,
}

/// How an answer goes on.
pub(super) struct Progress {
    r: Rc<Request>,
    /// When a piece of it was asked for or sent last.
    at: Cell<Instant>,
    /// It is not ready itself, or done: the client is not to blame.
    waits: Cell<bool>,
    /// How much of its body has left, in bytes.
    sent: Cell<u64>,
}

impl Progress {
    /// A piece was asked for; `ready` where there was one.
    pub(super) fn asked(&self, ready: bool) {
        self.at.set(clock::now());
        self.waits.set(!ready);
    }

    /// It ends here: what has not left was not sent.
    pub(super) fn cut(&self) {
        self.r.out.bytes.set(self.sent.get() + self.r.out.head_bytes.get());
        self.r.out.complete.set(false);
    }

    /// The client has gone. nginx says so where it waits for nothing else.
    pub(super) fn say_gone(&self) {
        if self.r.out.upstream.borrow().as_ref().is_none_or(|upstream| upstream.is_done()) {
            self.r.log(Level::Info, "client prematurely closed connection");
        }
    }

    fn patience(&self) -> Duration {
        self.r.location().core.send_timeout
    }

    fn is_stuck(&self) -> bool {
        !self.waits.get() && self.at.get().elapsed() >= self.patience()
    }

    /// When it is to be looked at.
    fn due(&self) -> Instant {
        let since = if self.waits.get() { Instant::now() } else { self.at.get() };
        since + self.patience()
    }
}

impl Answers {
    /// A request begins, and will have an answer.
    pub(super) fn begin(&self, stream: u32, r: &Rc<Request>) -> Rc<Progress> {
        let progress = Rc::new(Progress {
            r: r.clone(),
            at: Cell::new(clock::now()),
            waits: Cell::new(true),
            sent: Cell::default(),
        });
        self.answers.borrow_mut().insert(stream, progress.clone());
        if self.until.get().is_none_or(|until| progress.due() < until) {
            self.sooner.notify_one();
        }
        progress
    }

    /// The request of a stream, as long as it is not over.
    pub(super) fn request(&self, stream: u32) -> Option<Rc<Request>> {
        self.answers.borrow().get(&stream).map(|answer| answer.r.clone())
    }

    /// The client has reset a stream.
    pub(super) fn reset(&self, stream: u32) {
        let answer = self.answers.borrow().get(&stream).cloned();
        if let Some(answer) = answer.filter(|answer| answer.r.out.head_sent.get()) {
            self.end(stream);
            answer.say_gone();
        }
    }

    /// An answer is over.
    pub(super) fn end(&self, stream: u32) {
        self.answers.borrow_mut().remove(&stream);
    }

    /// So many bytes of an answer's body leave, and so many that frame it.
    pub(super) fn sent(&self, stream: u32, length: usize, frames: usize) {
        if let Some(progress) = self.answers.borrow().get(&stream) {
            progress.at.set(clock::now());
            progress.sent.set(progress.sent.get() + length as u64);
            let out = &progress.r.out;
            out.bytes.set(out.bytes.get() + frames as u64);
            out.head_bytes.set(out.head_bytes.get() + frames as u64);
        }
    }

    /// Waits for answers of which the client has taken nothing for so long; their streams and requests.
    pub(super) async fn stalled(&self) -> Vec<(u32, Rc<Request>)> {
        loop {
            self.until.set(self.answers.borrow().values().map(|answer| answer.due()).min());
            match self.until.get() {
                None => self.sooner.notified().await,
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = self.sooner.notified() => {}
                },
            }
            let stuck: Vec<_> = self.answers.borrow_mut().extract_if(|_, answer| answer.is_stuck()).collect();
            if !stuck.is_empty() {
                return stuck.into_iter().map(|(stream, answer)| (stream, answer.r.clone())).collect();
            }
        }
    }
}
