//! The requests under way on a connection: how many, how many there may be, and when it is idle.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::shared::Shared;
use crate::http::{Count, Counted, clock};
use crate::server::thread::Thread;

/// Requests under way, to know when the connection is idle.
pub(super) struct Open {
    thread: Rc<Thread>,
    waiting: Cell<Option<Counted>>,
    shared: Rc<Shared>,
    /// When the last one ended.
    since: Cell<Instant>,
    begun: Cell<u64>,
    /// So many requests and no more.
    most: u64,
    last_begun: Notify,
}

impl Open {
    pub(super) fn new(thread: Rc<Thread>, most: u64, shared: Rc<Shared>) -> Self {
        let waiting = Cell::new(Some(thread.meter.during(Count::Waiting)));
        Self {
            thread,
            waiting,
            shared,
            since: Cell::new(Instant::now()),
            begun: Cell::default(),
            most,
            last_begun: Notify::default(),
        }
    }

    /// A request begins; `last` where the connection has lived long enough.
    pub(super) fn begin(self: &Rc<Self>, last: bool) -> OpenGuard {
        self.waiting.take();
        self.shared.processing.set(self.shared.processing.get() + 1);
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

    /// Ends when no request has been under way for this long, and nothing else was `heard` meanwhile.
    pub(super) async fn idle_for(&self, time: Duration, heard: &Cell<Option<Instant>>) {
        let time = time.max(Duration::from_millis(100));
        loop {
            let now = Instant::now();
            let is_idle = self.shared.processing.get() == 0;
            let since = if is_idle { heard.get().map_or(self.since.get(), |at| at.max(self.since.get())) } else { now };
            if is_idle && since + time <= now {
                return;
            }
            tokio::time::sleep_until((since + time).into()).await;
        }
    }
}

pub(super) struct OpenGuard(Rc<Open>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.shared.processing.set(self.0.shared.processing.get() - 1);
        if self.0.shared.processing.get() == 0 {
            self.0.since.set(clock::now());
            self.0.waiting.set(Some(self.0.thread.meter.during(Count::Waiting)));
        }
    }
}
