//! What nginx's HTTP/2 does not suffer: clients that take nothing of what they asked for. RFC 9113, section 10.5.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::http::clock;

/// The answers under way on a connection.
#[derive(Default)]
pub(super) struct Answers(RefCell<Vec<Weak<Progress>>>);

/// How an answer goes on.
pub(super) struct Progress {
    /// When a piece of it was asked for last.
    at: Cell<Instant>,
    /// It is not ready itself, or done: the client is not to blame.
    waits: Cell<bool>,
}

impl Progress {
    /// A piece was asked for; `ready` where there was one.
    pub(super) fn asked(&self, ready: bool) {
        self.at.set(clock::now());
        self.waits.set(!ready);
    }
}

impl Answers {
    /// An answer begins.
    pub(super) fn begin(&self) -> Rc<Progress> {
        let progress = Rc::new(Progress { at: Cell::new(clock::now()), waits: Cell::new(false) });
        let mut answers = self.0.borrow_mut();
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Rc::downgrade(&progress));
        progress
    }

    /// Ends when there are answers, and the client has taken nothing of any of them for so long.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience.max(Duration::from_millis(100)) / 2).await;
            let answers: Vec<_> = self.0.borrow().iter().filter_map(Weak::upgrade).collect();
            let is_stuck = |answer: &Rc<Progress>| !answer.waits.get() && answer.at.get().elapsed() >= patience;
            if !answers.is_empty() && answers.iter().all(is_stuck) {
                return;
            }
        }
    }
}
