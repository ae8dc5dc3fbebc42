//! One timer a connection that costs nothing while it is only ever put off.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline. Moving it later, as each request on a kept connection does, touches no timer: the one that is
/// armed fires, sees that it is too early, and is armed again.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    armed: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Sets the deadline to this time from now.
    pub fn set(&mut self, from_now: Duration) {
        // Thirty years stand for "never": far enough, and no overflow.
        let never = Duration::from_secs(1 << 30);
        self.at = Some(Instant::now() + from_now.min(never));
    }

    /// Takes the deadline away.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when the deadline has passed. All polls must come from one task: a timer that is armed and not due
    /// wakes the task that armed it, and is not asked again.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let armed = match &mut self.armed {
            Some(armed) if armed.deadline() <= at && !armed.is_elapsed() => return Poll::Pending,
            Some(armed) => armed,
            None => self.armed.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        if armed.deadline() > at {
            armed.as_mut().reset(at);
        }
        while armed.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                self.at = None;
                self.armed = None;
                return Poll::Ready(());
            }
            armed.as_mut().reset(at);
        }
        Poll::Pending
    }

    /// Runs work under the deadline; `None` when it passed first.
    pub async fn limit<T>(&mut self, mut work: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work(cx) {
                return Poll::Ready(Some(done));
            }
            self.poll(cx).map(|()| None)
        })
        .await
    }
}
