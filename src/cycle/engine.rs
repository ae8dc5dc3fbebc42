//! Runs a request through the phases to its response: the one place that waits, redirects and finalizes.

use std::rc::Rc;

use bytes::Bytes;

use super::special;
use crate::http::{
    Engine, Escape, Flow, Found, HeaderId, Headers, Location, LocationId, Phase, Request, Response, Subrequest,
    SubrequestFuture, escaped,
};
use crate::log::Level;

/// The engine, for those who start subrequests.
pub static ENGINE: &dyn Engine = &Phases;

struct Phases;

impl Engine for Phases {
    fn subrequest(&self, parent: &Rc<Request>, sub: Subrequest) -> SubrequestFuture {
        let r = parent.subrequest(sub);
        Box::pin(async move {
            let response = match run(&r).await {
                Answer::Response(response) => response,
                Answer::Close(status) => Response::new(status),
            };
            if r.location().core.log_subrequest {
                log(&r);
            }
            (r, response)
        })
    }
}

/// How a request ended.
#[expect(clippy::large_enum_variant, reason = "it is handed on once, and nearly always a response")]
pub enum Answer {
    /// With this response, ready to be sent.
    Response(Response),
    /// With the connection closed; the status is for the log.
    Close(u16),
}

/// Where a run through the phases starts.
enum Entry {
    PostRead,
    ServerRewrite,
    FindConfig,
    /// The location is settled (`@name`).
    Rewrite,
}

/// Runs a request through phases, error pages and filters.
pub async fn run(r: &Rc<Request>) -> Answer {
    let entry = if r.internal.get() { Entry::ServerRewrite } else { Entry::PostRead };
    let flow = phases(r, entry).await;
    answer(r, flow).await
}

/// Answers with a status at once, without the phases: for heads that could not be read.
pub async fn refuse(r: &Rc<Request>, status: u16) -> Answer {
    answer(r, Flow::Finalize(status)).await
}

/// Follows a flow through redirects and error pages to the answer.
async fn answer(r: &Rc<Request>, mut flow: Flow) -> Answer {
    loop {
        flow = match flow {
            Flow::Respond(response) => match filter(r, *response) {
                Ok(response) => return Answer::Response(response),
                Err(status) => Flow::Finalize(status),
            },
            Flow::Finalize(status @ (408 | 444 | 499)) | Flow::Close(status) => return Answer::Close(status),
            Flow::Finalize(status) => special::finalize(r, status),
            Flow::Redirect { uri, args } => match redirect(r, uri, args) {
                Ok(()) => phases(r, Entry::ServerRewrite).await,
                Err(status) => Flow::Finalize(status),
            },
            Flow::Named(name) => match enter_named(r, &name) {
                Ok(()) => phases(r, Entry::Rewrite).await,
                Err(status) => Flow::Finalize(status),
            },
            Flow::Async(work) => work.await,
            Flow::Declined | Flow::Ok | Flow::Delay(_) => Flow::Finalize(404),
        };
    }
}

/// Runs what is installed for the end of a request.
pub fn log(r: &Request) {
    // To nginx the connection's next request is a matter of its own by now.
    r.out.keep_alive.set(false);
    for logger in &r.location().loggers {
        logger.log(r);
    }
}

async fn phases(r: &Rc<Request>, entry: Entry) -> Flow {
    if let Entry::PostRead = entry
        && let Some(flow) = handlers(r, Phase::PostRead).await
    {
        return flow;
    }
    if let Entry::PostRead | Entry::ServerRewrite = entry
        && let Some(flow) = handlers(r, Phase::ServerRewrite).await
    {
        return flow;
    }
    let mut found = matches!(entry, Entry::Rewrite);
    loop {
        if !found && let Some(flow) = find_config(r) {
            return flow;
        }
        found = false;
        if let Some(flow) = handlers(r, Phase::Rewrite).await {
            return flow;
        }
        if !r.uri_changed.get() {
            break;
        }
        if let Err(flow) = count_rewrite(r) {
            return flow;
        }
    }
    if let Some(flow) = handlers(r, Phase::Preaccess).await {
        return flow;
    }
    if let Some(flow) = access(r).await {
        return flow;
    }
    if let Some(flow) = handlers(r, Phase::Precontent).await {
        return flow;
    }
    content(r).await
}

/// Runs a phase; `None` when all of its handlers let the request pass.
async fn handlers(r: &Rc<Request>, phase: Phase) -> Option<Flow> {
    let location = r.location_id();
    for handler in r.cycle().location(location).handlers(phase) {
        match settled(handler.handle(r)).await {
            Flow::Declined => {}
            Flow::Ok => return None,
            flow => return Some(flow),
        }
    }
    None
}

/// Waits until a handler has made up its mind.
async fn settled(mut flow: Flow) -> Flow {
    loop {
        flow = match flow {
            Flow::Delay(time) => {
                tokio::time::sleep(time).await;
                Flow::Declined
            }
            Flow::Async(work) => work.await,
            flow => return flow,
        };
    }
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
    Some(Flow::Finalize(413))
}

/// The location's name, with its slash, is where the client should look.
fn add_slash(r: &Request, location: LocationId) -> Flow {
    let mut target = escaped(&r.cycle().location(location).name, Escape::Uri).into_owned();
    let args = r.args.borrow();
    if !args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&args);
    }
    r.redirect_to(&target);
    Flow::Finalize(301)
}

/// The access phase under `satisfy`.
async fn access(r: &Rc<Request>) -> Option<Flow> {
    if !r.is_main() {
        return None;
    }
    let location = r.cycle().location(r.location_id());
    let any = location.core.satisfy_any;
    let mut refused = 0;
    for handler in location.handlers(Phase::Access) {
        match settled(handler.handle(r)).await {
            Flow::Declined => {}
            Flow::Ok if any => {
                r.out.pending.borrow_mut().remove(HeaderId::WwwAuthenticate);
                return None;
            }
            Flow::Ok => {}
            Flow::Finalize(status @ (401 | 403)) if any => {
                if refused != 401 {
                    refused = status;
                }
            }
            flow => return Some(delay_refusal(r, flow).await),
        }
    }
    if refused == 403 {
        r.log(Level::Error, "access forbidden by rule");
    }
    if refused == 0 {
        return None;
    }
    Some(delay_refusal(r, Flow::Finalize(refused)).await)
}

/// `auth_delay`: whoever guesses passwords has to wait for each.
async fn delay_refusal(r: &Request, flow: Flow) -> Flow {
    let delay = r.location().core.auth_delay;
    if matches!(flow, Flow::Finalize(401)) && !delay.is_zero() {
        r.log(Level::Info, "delaying unauthorized request");
        tokio::time::sleep(delay).await;
    }
    flow
}

async fn content(r: &Rc<Request>) -> Flow {
    if let Some(handler) = r.content_handler() {
        match settled(handler.handle(r)).await {
            Flow::Declined => r.clear_content_handler(),
            flow => return flow,
        }
    }
    let location: &Location = r.cycle().location(r.location_id());
    for handler in location.handlers(Phase::Content) {
        match settled(handler.handle(r)).await {
            Flow::Declined => {}
            flow => return flow,
        }
    }
    nothing_here(r)
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
    *r.args.borrow_mut() = args;
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
fn filter(r: &Rc<Request>, mut response: Response) -> Result<Response, u16> {
    let overridden = r.error_status.get();
    if overridden != 0 {
        response.status = overridden;
        response.status_line = None;
    }
    let pending = std::mem::take(&mut *r.out.pending.borrow_mut());
    if !pending.is_empty() {
        take_pending(pending, &mut response);
    }
    if r.is_main() {
        r.out.status.set(response.status);
    }
    for filter in &r.cycle().location(r.location_id()).filters {
        if r.cycle().shows_heads {
            *r.out.head.borrow_mut() = Some(response.head().into());
        }
        filter.filter(r, &mut response)?;
    }
    r.out.status.set(response.status);
    Ok(response)
}
