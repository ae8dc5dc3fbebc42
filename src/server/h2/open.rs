//! The requests under way on a connection: how many, how many there may be, and when it is idle.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::http::{Count, Counted};
use crate::server::thread::Thread;

/// Requests under way, to know when the connection is idle.
pub(super) struct Open {
    thread: Rc<Thread>,
    waiting: Cell<Option<Counted>>,
    count: Cell<usize>,
    changes: Cell<u64>,
    begun: Cell<u64>,
    /// So many requests and no more.
    most: u64,
    last_begun: Notify,
}

impl Open {
    pub(super) fn new(thread: Rc<Thread>, most: u64) -> Self {
        let waiting = Cell::new(Some(thread.meter.during(Count::Waiting)));
        Self {
            thread,
            waiting,
            count: Cell::default(),
            changes: Cell::default(),
            begun: Cell::default(),
            most,
            last_begun: Notify::default(),
        }
    }

    /// A request begins; `last` where the connection has lived long enough.
    pub(super) fn begin(self: &Rc<Self>, last: bool) -> OpenGuard {
        self.waiting.take();
        self.count.set(self.count.get() + 1);
        self.changes.set(self.changes.get() + 1);
        self.begun.set(if last { u64::MAX } else { self.begun.get().saturating_add(1) });
        if self.begun.get() >= self.most {
            self.last_begun.notify_one();
        }
        OpenGuard(self.clone())
    }

    /// Ends when the last request that is allowed has begun.
    pub(super) async fn exhausted(&self) {
        while self.begun.get() < self.most {
            self.last_begun.notified().await;
        }
    }

    /// Ends when no request has been under way for this long.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let before = self.changes.get();
            tokio::time::sleep(time.max(Duration::from_millis(100))).await;
            if self.count.get() == 0 && self.changes.get() == before {
                return;
            }
        }
    }
}

pub(super) struct OpenGuard(Rc<Open>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.changes.set(self.0.changes.get() + 1);
        if self.0.count.get() == 0 {
            self.0.waiting.set(Some(self.0.thread.meter.during(Count::Waiting)));
        }
    }
}
