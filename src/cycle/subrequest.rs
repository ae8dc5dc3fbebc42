//! Subrequests, whose answers are a part of the request's answer or of nobody's, and what a request still has to do
//! when it has been answered.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::engine::{Answer, log, run, run_again};
use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Engine, Flow, Headers, Request, Response, SentHead, Stub, Subrequest,
    SubrequestFuture, TooDeep,
};

/// The engine, for those who start subrequests.
pub static ENGINE: &dyn Engine = &Phases;

struct Phases;

impl Engine for Phases {
    fn subrequest(&self, parent: &Rc<Request>, sub: Subrequest) -> Result<SubrequestFuture, TooDeep> {
        let r = parent.subrequest(sub)?;
        Ok(Box::pin(async move {
            r.set_doing("");
            let ending = Ending { r: r.clone(), closed: Cell::new(false) };
            let answer = match run(&r).await {
                Answer::Response(response) => Ok(until_sent(response, ending)),
                Answer::Close(status) => {
                    ending.end_all(status);
                    Err(status)
                }
            };
            (r, answer)
        }))
    }

    fn beside(&self, parent: &Rc<Request>, sub: Subrequest) -> Result<(), TooDeep> {
        let work = self.subrequest(parent, Subrequest { beside: true, ..sub })?;
        let task = tokio::task::spawn_local(async move { drop(work.await) });
        parent.main().lasting::<Beside>().0.borrow_mut().push(task);
        Ok(())
    }
}

/// A subrequest has ended when its body was read.
fn until_sent(mut response: Box<Response>, ending: Ending) -> Box<Response> {
    if ending.r.cycle().shows_heads {
        *ending.r.out.head.borrow_mut() = Some(SentHead::new(Box::new(response.head())));
    }
    if matches!(response.body, Body::Stream(_)) {
        response.body.wrap(|body| Box::new(Sub { body, _ending: ending }));
    }
    response
}

/// Ends a subrequest when dropped.
struct Ending {
    r: Rc<Request>,
    /// It closed the connection.
    closed: Cell<bool>,
}

impl Ending {
    /// The connection is closed for the subrequest's sake: the log knows the main request alone.
    fn end_all(&self, status: u16) {
        self.closed.set(true);
        let main = self.r.main();
        if main.out.bytes.get() == 0 {
            main.out.status.set(status);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.r.location().core.log_subrequest && !self.closed.get() {
            log(&self.r);
        } else {
            self.r.finish_upstream();
        }
    }
}

/// The body of a subrequest.
struct Sub {
    body: Body,
    _ending: Ending,
}

impl BodyStream for Sub {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        self.body.poll_next(cx)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn postpones(&self) -> bool {
        self.body.postpones()
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

/// The answer that stands for an error.
pub(super) fn stand_in(stub: &Stub) -> Response {
    let body = Body::Bytes(stub.body.clone());
    Response { content_type: stub.content_type.clone(), body, ..Response::default() }
}

/// Makes a stub ready for a body that may turn out to be empty. One that is known to be gives its place to what comes
/// back when the filters, which have nothing to do with it, have seen the response.
pub(super) fn stand_by(stub: &Stub, response: &mut Response) -> Option<Body> {
    if let Body::Stream(_) = response.body {
        let instead = Some(stub.body.clone());
        response.body.wrap(|body| Box::new(OrElse { body, instead }));
        return None;
    }
    response.body.is_empty().then(|| Body::Bytes(stub.body.clone()))
}

/// A body, or what stands in its place where it is empty.
struct OrElse {
    body: Body,
    instead: Option<Bytes>,
}

impl BodyStream for OrElse {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        let next = ready!(self.body.poll_next(cx));
        match &next {
            None => return Poll::Ready(self.instead.take().map(|bytes| Ok(Chunk::Bytes(bytes)))),
            Some(Ok(chunk)) if chunk.is_empty() => {}
            Some(_) => self.instead = None,
        }
        Poll::Ready(next)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }
}

/// Subrequests that run beside a request.
#[derive(Default)]
struct Beside(RefCell<Vec<JoinHandle<()>>>);

/// What is left to do for a request that was answered, before it is logged; nothing for nearly all of them.
pub fn afterwards(r: &Rc<Request>) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    let beside = r.find_lasting::<Beside>();
    if beside.is_none() && r.location().core.post_action.is_none() {
        return None;
    }
    let r = r.clone();
    Some(Box::pin(async move {
        post_actions(&r).await;
        if let Some(beside) = beside {
            end(&r, beside.0.take()).await;
        }
    }))
}

/// Subrequests end with a client that has gone.
async fn end(r: &Request, tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if !r.out.complete.get() {
            task.abort();
        }
        // It ends as a task that was aborted does, or as one that panicked, which has been said.
        let _ = task.await;
    }
}

/// `post_action`: runs the request again, and again where it ends in a location that has one too. Nobody gets the
/// answers, but their status is logged.
async fn post_actions(r: &Rc<Request>) {
    let mut first = true;
    while let Some(target) = r.location().core.post_action.clone() {
        if !std::mem::take(&mut first) && r.uri_changes_left.get() == 0 {
            return;
        }
        if let Some(response) = run_again(r, target_of(&target)).await {
            r.out.status.set(response.status);
        }
    }
}

fn target_of(target: &Bytes) -> Flow {
    match target.strip_prefix(b"/") {
        Some(_) => Flow::Redirect { uri: target.to_vec(), args: Vec::new() },
        None => Flow::Named(target.strip_prefix(b"@").unwrap_or(target).to_vec()),
    }
}
