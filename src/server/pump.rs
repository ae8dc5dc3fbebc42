//! Bodies over HTTP/2 read on while their client takes nothing: hyper asks for a piece only when there is room for it,
//! and a backend must not wait for that.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::http::{Body, BodyCut, BodyStream, Chunk, Headers};

/// A body with a task beside it that lets it read on.
struct Pumped(Rc<Shared>);

struct Shared {
    body: RefCell<Body>,
    /// Wakes the task.
    pump: RefCell<Option<Waker>>,
    /// Wakes whoever waits for the next piece.
    reader: RefCell<Option<Waker>>,
}

/// Lets a stream read on by itself, for as long as somebody has it. Other bodies stay what they are.
pub(super) fn pumped(body: Body) -> Body {
    let Body::Stream(_) = body else { return body };
    let shared = Rc::new(Shared { body: RefCell::new(body), pump: RefCell::default(), reader: RefCell::default() });
    tokio::task::spawn_local(pump(Rc::downgrade(&shared)));
    Body::Stream(Box::new(Pumped(shared)))
}

/// A connection's readiness wakes one task, the one that looked last. So after each look whoever waits is told to
/// look again, and after each piece this task is.
async fn pump(shared: Weak<Shared>) {
    poll_fn(|cx| {
        let Some(shared) = shared.upgrade() else { return Poll::Ready(()) };
        *shared.pump.borrow_mut() = Some(cx.waker().clone());
        shared.body.borrow_mut().poll_progress(cx);
        wake(&shared.reader);
        Poll::Pending
    })
    .await;
}

fn wake(waker: &RefCell<Option<Waker>>) {
    let waker = waker.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl BodyStream for Pumped {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        let polled = self.0.body.borrow_mut().poll_next(cx);
        match polled {
            Poll::Pending => *self.0.reader.borrow_mut() = Some(cx.waker().clone()),
            Poll::Ready(Some(Ok(_))) => wake(&self.0.pump),
            Poll::Ready(_) => {}
        }
        polled
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.0.body.borrow_mut().trailers()
    }
}

impl Drop for Pumped {
    fn drop(&mut self) {
        wake(&self.0.pump);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pieces, of which each is made by a look that is only for progress.
    struct Made {
        made: usize,
        taken: usize,
    }

    impl BodyStream for Made {
        fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
            if self.taken == 3 {
                return Poll::Ready(None);
            }
            if self.taken == self.made {
                return Poll::Pending;
            }
            self.taken += 1;
            Poll::Ready(Some(Ok(Chunk::Flush)))
        }

        fn poll_progress(&mut self, _cx: &mut Context<'_>) {
            self.made += 1;
        }
    }

    #[test]
    fn reads_on_while_nobody_asks_and_tells_who_waits() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pieces = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut body = pumped(Body::Stream(Box::new(Made { made: 0, taken: 0 })));
            let mut pieces = 0;
            while body.next().await.is_some() {
                pieces += 1;
            }
            pieces
        });
        assert_eq!(pieces, 3);
    }
}
