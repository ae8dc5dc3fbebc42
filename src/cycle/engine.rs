//! Runs a request through the phases to its response: the one place that waits, redirects and finalizes.

mod observe;

pub use observe::{End, Moment, observe};

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use tracing::{Span, debug, debug_span};

use super::{special, subrequest};
use crate::http::{
    Escape, Flow, FlowFuture, Found, HeaderId, Headers, LocationId, Phase, Request, Response, SentHead, doing, escaped,
};
use crate::log::{Level, trace};

/// How a request ended.
pub enum Answer {
    /// With this response, ready to be sent.
    Response(Box<Response>),
    /// With the connection closed; the status is for the log.
    Close(u16),
}

/// What a run has come to.
pub enum Step {
    /// The request is answered.
    Done(Answer),
    /// A handler waits for this work; its end is where [`Run::go_on`] takes the run up again.
    Wait(FlowFuture),
}

/// A request's run through phases, error pages and filters, as far as it has come. Most runs never wait: they begin
/// and end in one call.
pub struct Run {
    stage: Stage,
    /// The location whose handlers are asked, wherever they move the request to.
    location: LocationId,
    /// How many of them have been asked.
    asked: usize,
    /// What access handlers refused with under `satisfy any`; 0 for nothing.
    refused: u16,
    /// The request in the debug log; none, at the cost of one load, where nobody reads that.
    span: Span,
}

/// What a request meets, in running order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    PostRead,
    ServerRewrite,
    FindConfig,
    Rewrite,
    Preaccess,
    Access,
    Precontent,
    /// The handler that answers all requests of the location.
    OwnContent,
    Content,
    /// No handler is asked any more: what comes is the end.
    Settled,
}

/// Runs a request to its answer.
pub async fn run(r: &Rc<Request>) -> Answer {
    let mut run = Run::new(r);
    let step = run.go_on(r, None);
    run.finish(r, step).await
}

/// Answers with a status at once, without the phases: for heads that could not be read.
pub async fn refuse(r: &Rc<Request>, status: u16) -> Answer {
    let mut run = Run::refusal(r);
    let step = run.go_on(r, Some(Flow::Finalize(status)));
    run.finish(r, step).await
}

/// Runs a request that was answered once more, for `post_action`; no filter sees the response.
pub(super) async fn run_again(r: &Rc<Request>, from: Flow) -> Option<Box<Response>> {
    r.post_action.set(true);
    let mut run = Run::refusal(r);
    let step = run.go_on(r, Some(from));
    match run.finish(r, step).await {
        Answer::Response(response) => Some(response),
        Answer::Close(_) => None,
    }
}

/// Runs what is installed for the end of a request.
pub fn log(r: &Request) {
    r.finish_upstream();
    r.end_count();
    // To nginx the connection's next request is a matter of its own by now.
    r.out.keep_alive.set(false);
    r.logging.set(true);
    for logger in &r.location().loggers {
        logger.log(r);
    }
    // What is said from now on is not part of that.
    r.logging.set(false);
    if r.is_main() {
        r.connection.restore_client();
    }
}

/// A request in the debug log, under its connection's number.
fn span(r: &Request) -> Span {
    let (method, uri) = (Text(r.head.method_name()), r.uri.borrow());
    let span = debug_span!("request", method = %method, uri = %Text(&uri));
    if !span.is_disabled() {
        trace::attach(&span, &r.location().core.error_log, r.connection.number);
    }
    span
}

/// Bytes of a request as text.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl Run {
    /// Before the first phase.
    pub fn new(r: &Request) -> Self {
        r.set_doing("");
        let stage = match &r.sub {
            Some(sub) if sub.cloned && r.content_handler().is_some() => Stage::OwnContent,
            Some(sub) if sub.cloned => Stage::Content,
            _ if r.internal.get() => Stage::ServerRewrite,
            _ => Stage::PostRead,
        };
        Self::at(stage, r)
    }

    /// Without phases: [`Self::go_on`] is to be given the answer.
    pub fn refusal(r: &Request) -> Self {
        Self::at(Stage::Settled, r)
    }

    fn at(stage: Stage, r: &Request) -> Self {
        Self { stage, location: r.location_id(), asked: 0, refused: 0, span: span(r) }
    }

    /// Begins a stage in the location where the request is.
    fn enter(&mut self, stage: Stage, r: &Request) {
        (self.stage, self.location, self.asked, self.refused) = (stage, r.location_id(), 0, 0);
    }

    /// Goes on with what the work of the handler that was asked last has ended in; at first there is none.
    pub fn go_on(&mut self, r: &Rc<Request>, mut ended: Option<Flow>) -> Step {
        let span = self.span.clone();
        let _in_span = span.enter();
        loop {
            match self.walk(r, ended.take()) {
                Flow::Async(work) => return Step::Wait(work),
                Flow::Delay(time) => return Step::Wait(pause(r, time, || Flow::Declined)),
                flow => {
                    if let Some(answer) = self.follow(r, flow) {
                        debug!(status = r.out.status.get(), "answered");
                        return Step::Done(answer);
                    }
                }
            }
        }
    }

    /// Waits as often as it takes.
    pub async fn finish(mut self, r: &Rc<Request>, mut step: Step) -> Answer {
        loop {
            match step {
                Step::Done(answer) => return answer,
                Step::Wait(work) => step = self.go_on(r, Some(work.await)),
            }
        }
    }

    /// Asks one handler after the other, until one wants to wait or has settled what becomes of the request.
    fn walk(&mut self, r: &Rc<Request>, mut ended: Option<Flow>) -> Flow {
        loop {
            let settled = match ended.take().or_else(|| self.ask(r)) {
                Some(flow) => self.judge(r, flow),
                None => self.next_stage(r),
            };
            if let Some(flow) = settled {
                return flow;
            }
        }
    }

    /// What the next handler of the stage says; `None` where there is none.
    fn ask(&mut self, r: &Rc<Request>) -> Option<Flow> {
        let phase = match self.stage {
            Stage::PostRead => Phase::PostRead,
            Stage::ServerRewrite => Phase::ServerRewrite,
            Stage::Rewrite => Phase::Rewrite,
            Stage::Preaccess => Phase::Preaccess,
            Stage::Access => Phase::Access,
            Stage::Precontent => Phase::Precontent,
            Stage::Content => Phase::Content,
            Stage::OwnContent => return r.content_handler().map(|handler| handler.handle(r)),
            Stage::FindConfig | Stage::Settled => return None,
        };
        let handler = r.cycle().location(self.location).handlers(phase).get(self.asked)?;
        self.asked += 1;
        Some(handler.handle(r))
    }

    /// What a handler's word means in its stage; `None` where the run goes on.
    fn judge(&mut self, r: &Rc<Request>, flow: Flow) -> Option<Flow> {
        match (flow, self.stage) {
            (flow @ (Flow::Async(_) | Flow::Delay(_)), _) | (flow, Stage::Settled) => return Some(flow),
            (Flow::Declined, Stage::OwnContent) => r.clear_content_handler(),
            (Flow::Declined, _) => {}
            (flow, Stage::Access) => return self.judge_access(r, flow),
            (Flow::Ok, Stage::OwnContent | Stage::Content) => return Some(Flow::Ok),
            (Flow::Ok, _) => self.asked = usize::MAX,
            (flow, _) => return Some(flow),
        }
        None
    }

    /// The access phase under `satisfy`.
    fn judge_access(&mut self, r: &Rc<Request>, flow: Flow) -> Option<Flow> {
        let any = r.cycle().location(self.location).core.satisfy_any;
        match flow {
            Flow::Ok if any => {
                r.out.pending.borrow_mut().remove(HeaderId::WwwAuthenticate);
                (self.asked, self.refused) = (usize::MAX, 0);
            }
            Flow::Ok => {}
            Flow::Finalize(status @ (401 | 403)) if any => {
                if self.refused != 401 {
                    self.refused = status;
                }
            }
            flow => return Some(self.refuse_access(r, flow)),
        }
        None
    }

    /// `auth_delay`: whoever guesses passwords has to wait for each.
    fn refuse_access(&mut self, r: &Rc<Request>, flow: Flow) -> Flow {
        let delay = r.location().core.auth_delay;
        if !matches!(flow, Flow::Finalize(401)) || delay.is_zero() {
            return flow;
        }
        r.log(Level::Info, "delaying unauthorized request");
        self.stage = Stage::Settled;
        Flow::Async(pause(r, delay, || Flow::Finalize(401)))
    }

    /// All handlers of a stage have been asked; `Some` where that is the end.
    fn next_stage(&mut self, r: &Rc<Request>) -> Option<Flow> {
        debug!(phase = ?self.stage, location = %Text(&r.location().name), "passed");
        let next = match self.stage {
            Stage::PostRead => Stage::ServerRewrite,
            Stage::ServerRewrite => Stage::FindConfig,
            Stage::FindConfig => match find_config(r) {
                None => Stage::Rewrite,
                settled => return settled,
            },
            Stage::Rewrite if r.uri_changed.get() => match count_rewrite(r) {
                Ok(()) => Stage::FindConfig,
                Err(flow) => return Some(flow),
            },
            Stage::Rewrite => Stage::Preaccess,
            Stage::Preaccess if r.is_main() => Stage::Access,
            Stage::Access if self.refused != 0 => {
                if self.refused == 403 {
                    r.log(Level::Error, "access forbidden by rule");
                }
                return Some(self.refuse_access(r, Flow::Finalize(self.refused)));
            }
            Stage::Preaccess | Stage::Access => Stage::Precontent,
            Stage::Precontent if r.content_handler().is_some() => Stage::OwnContent,
            Stage::Precontent | Stage::OwnContent => Stage::Content,
            Stage::Content | Stage::Settled => return Some(nothing_here(r)),
        };
        self.enter(next, r);
        None
    }

    /// Follows what the handlers have settled to the answer; `None` where the request is to meet more of them.
    fn follow(&mut self, r: &Rc<Request>, mut flow: Flow) -> Option<Answer> {
        let mut stub = r.sub.as_ref().and_then(|sub| sub.stub.as_ref());
        loop {
            if let Flow::Finalize(_) | Flow::Close(_) = flow
                && let Some(stub) = stub.take()
            {
                flow = Flow::respond(subrequest::stand_in(stub));
            }
            let (again, stage) = match flow {
                Flow::Respond(mut response) => {
                    let instead = stub.and_then(|stub| subrequest::stand_by(stub, &mut response));
                    match filter(r, &mut response) {
                        Ok(()) => {
                            response.body = instead.unwrap_or(std::mem::take(&mut response.body));
                            return Some(Answer::Response(response));
                        }
                        // The log knows the status that the answer would have had.
                        Err(444) if r.is_main() => return Some(Answer::Close(r.out.status.get())),
                        Err(status) => (Err(status), Stage::Settled),
                    }
                }
                Flow::Finalize(status @ (408 | 444 | 499)) | Flow::Close(status) => return Some(Answer::Close(status)),
                Flow::Finalize(status) => {
                    flow = special::finalize(r, status);
                    continue;
                }
                Flow::Redirect { uri, args } => (redirect(r, uri, args), Stage::ServerRewrite),
                Flow::Named(name) => (enter_named(r, &name), Stage::Rewrite),
                Flow::Declined | Flow::Ok | Flow::Delay(_) | Flow::Async(_) => (Err(404), Stage::Settled),
            };
            match again {
                Ok(()) => {
                    self.enter(stage, r);
                    return None;
                }
                Err(status) => flow = Flow::Finalize(status),
            }
        }
    }
}

/// Waits, then says what is next, unless the client has gone meanwhile.
fn pause(r: &Rc<Request>, time: Duration, next: fn() -> Flow) -> FlowFuture {
    let r = r.clone();
    Box::pin(async move {
        tokio::select! {
            () = tokio::time::sleep(time) => next(),
            () = r.client_gone() => {
                r.log(Level::Info, "client prematurely closed connection");
                Flow::Close(499)
            }
        }
    })
}

fn count_rewrite(r: &Rc<Request>) -> Result<(), Flow> {
    let left = r.uri_changes_left.get().saturating_sub(1);
    r.uri_changes_left.set(left);
    if left == 0 {
        let uri = r.uri.borrow().clone();
        r.log_with(Level::Error, |line| {
            line.put("rewrite or internal redirection cycle while processing \"").bytes(&uri).put('"');
        });
        return Err(Flow::Finalize(500));
    }
    r.set_location(r.server().base);
    Ok(())
}

/// Chooses the location; `Some` where the request ends here.
fn find_config(r: &Rc<Request>) -> Option<Flow> {
    r.clear_content_handler();
    r.uri_changed.set(false);
    let base = r.server().base;
    let (found, slash) = match r.cycle().find_location(r, base, &r.uri.borrow()) {
        Err(_) => return Some(Flow::Finalize(500)),
        Ok(Found::None) => (base, false),
        Ok(Found::Prefix(id) | Found::Final(id)) => (id, false),
        Ok(Found::AddSlash(id)) => (id, true),
    };
    r.set_location(found);
    if r.location().core.internal && !r.internal.get() {
        return Some(Flow::Finalize(404));
    }
    r.enter(found);
    too_large(r).or_else(|| slash.then(|| add_slash(r, found)))
}

fn too_large(r: &Request) -> Option<Flow> {
    let limit = r.location().core.client_max_body_size;
    let length = r.body.declared_length()?;
    if limit == 0 || length <= limit || !r.is_main() {
        return None;
    }
    r.log(Level::Error, format_args!("client intended to send too large body: {length} bytes"));
    // Whoever says so has no body: it is not too large again, and nobody passes it on.
    r.body.forget_invitation();
    r.body.give_up();
    Some(Flow::Finalize(413))
}

/// The location's name, with its slash, is where the client should look.
fn add_slash(r: &Request, location: LocationId) -> Flow {
    r.moved_to(escaped(&r.cycle().location(location).name, Escape::Uri).into_owned())
}

fn nothing_here(r: &Request) -> Flow {
    if !r.uri.borrow().ends_with(b"/") {
        r.log(Level::Error, "no handler found");
        return Flow::Finalize(404);
    }
    if let Some(path) = r.map_uri() {
        r.log_with(Level::Error, |line| {
            line.put("directory index of \"").bytes(&path).put("\" is forbidden");
        });
    }
    Flow::Finalize(403)
}

fn redirect(r: &Rc<Request>, uri: Vec<u8>, args: Vec<u8>) -> Result<(), u16> {
    let left = r.uri_changes_left.get().saturating_sub(1);
    r.uri_changes_left.set(left);
    if left == 0 {
        r.log_with(Level::Error, |line| {
            line.put("rewrite or internal redirection cycle while internally redirecting to \"").bytes(&uri).put('"');
        });
        return Err(500);
    }
    r.set_uri(uri);
    r.set_doing("");
    *r.args.borrow_mut() = args;
    r.out.gzip_vary.set(false);
    r.internal.set(true);
    r.valid_location.set(true);
    r.add_uri_to_alias.set(false);
    r.clear_contexts();
    r.enter(r.server().base);
    Ok(())
}

fn enter_named(r: &Rc<Request>, name: &[u8]) -> Result<(), u16> {
    let left = r.uri_changes_left.get().saturating_sub(1);
    r.uri_changes_left.set(left);
    let complain = |what: &str| {
        r.log_with(Level::Error, |line| {
            line.put(what).bytes(name).put('"');
        });
        Err(500)
    };
    if left == 0 {
        return complain("rewrite or internal redirection cycle while redirect to named location \"@");
    }
    if r.uri.borrow().is_empty() {
        return complain("empty URI in redirect to named location \"@");
    }
    let Some(id) = r.server().named.get(name).copied() else {
        return complain("could not find named location \"@");
    };
    r.internal.set(true);
    r.clear_content_handler();
    r.uri_changed.set(false);
    r.clear_contexts();
    r.enter(id);
    Ok(())
}

/// What was set aside comes before the headers that the response has itself. An upstream that has redirected the
/// request may have said what the type is.
fn take_pending(mut pending: Headers, response: &mut Response) {
    response.redirect |= pending.has(HeaderId::Location);
    if let Some(content_type) = pending.get(HeaderId::ContentType) {
        response.content_type = Some(Bytes::copy_from_slice(content_type));
        pending.remove(HeaderId::ContentType);
    }
    response.headers.iter().for_each(|(_, name, value)| pending.push(name, value));
    response.headers = pending;
}

/// Runs the filters of the location over a response.
fn filter(r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
    if r.post_action.get() {
        return Ok(());
    }
    let overridden = r.error_status.get();
    if overridden != 0 {
        response.status = overridden;
        response.status_line = None;
    }
    response.gzip_vary |= r.out.gzip_vary.get();
    let pending = std::mem::take(&mut *r.out.pending.borrow_mut());
    if !pending.is_empty() {
        take_pending(pending, response);
    }
    if r.is_main() {
        r.out.status.set(response.status);
    }
    for filter in &r.cycle().location(r.location_id()).filters {
        if r.cycle().shows_heads {
            *r.out.head.borrow_mut() = Some(SentHead::new(Box::new(response.head())));
        }
        if let Err(status) = filter.filter(r, response) {
            // nginx forgets what was said of the answer that was to be.
            r.out.override_charset.take();
            r.out.gzip_vary.set(response.gzip_vary);
            r.out.never_complete.set(status == 412 && r.out.upstream.borrow().is_none());
            r.refuse_upstream();
            return Err(status);
        }
    }
    r.out.status.set(response.status);
    if r.doing() == doing::READING_HEAD {
        r.set_doing(doing::SENDING_ON);
    }
    Ok(())
}
