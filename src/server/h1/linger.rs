//! Reads and drops what a client still sends after its answer, as nginx's `lingering_close` does.

use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use super::Io;
use crate::http::{Count, Request};

/// Drops the rest of the request's body; `true` where the connection may bring another request.
pub(super) async fn discard(r: Rc<Request>) -> bool {
    let core = &r.location().core;
    let until = Instant::now() + core.lingering_time;
    while Instant::now() < until {
        match r.body.next_unlimited(&r, core.lingering_timeout).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// Ends a connection so that the answer arrives: the client is told that no more comes, and what it still sends
/// is read for a while. Never does it bring another request.
pub(super) async fn close(io: Rc<Io>, r: Rc<Request>) -> bool {
    let core = &r.location().core;
    // To nginx the request is still being answered, and the connection may be taken away from it.
    let _counted = [Count::Writing, Count::Waiting].map(|which| io.thread.meter.during(which));
    io.stream.borrow_mut().shutdown_write();
    let until = Instant::now() + core.lingering_time;
    drop(io.take_input());
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        io.deadline.borrow_mut().set(core.lingering_timeout.min(left));
        let more = std::future::poll_fn(|cx| {
            let mut buffer = io.thread.input.borrow_mut();
            match io.poll_read(cx, &mut buffer) {
                Poll::Ready(read) => Poll::Ready(matches!(read, Ok(read) if read > 0)),
                Poll::Pending => io.deadline.borrow_mut().poll(cx).map(|()| false),
            }
        });
        if !more.await {
            break;
        }
    }
    false
}
