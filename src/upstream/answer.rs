//! An upstream's answer becomes the response: which headers pass, which have a meaning, what body follows.
//! Behaviour of nginx's `ngx_http_upstream_process_headers`.

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::buffer::Buffer;
use super::cache::{Kept, Saver, Stored};
use super::conf::Conf;
use super::decode::{Framing, Marks, Taken};
use super::exchange::{Answer, Came, Exchange};
use super::lease::Lease;
use super::passage::{Action, Passage};
use super::relay::{Begun, Relay};
use super::said::{say_fault, say_heard, say_surplus};
use super::store::{self, Store};
use super::tunnel;
use crate::h1::response::UpstreamHead;
use crate::http::headers::parse_length;
use crate::http::uri::parse_unsafe;
use crate::http::{Body, Flow, HeaderId, Headers, Method, Request, Response, Version, status};

/// Headers that a module changes on their way to the client.
pub(crate) trait Rewrite {
    /// `Location`; `None` where it stays as it is.
    fn location(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
    /// `Refresh`; `None` where it stays as it is.
    fn refresh(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
    /// `Set-Cookie`; `None` where it stays as it is.
    fn cookie(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
}

/// Changes nothing.
pub(crate) struct Unchanged;

impl Rewrite for Unchanged {
    fn location(&self, _r: &Request, _value: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn refresh(&self, _r: &Request, _value: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn cookie(&self, _r: &Request, _value: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Headers that go with an `X-Accel-Redirect`.
const REDIRECTED: [HeaderId; 6] = [
    HeaderId::ContentType,
    HeaderId::SetCookie,
    HeaderId::ContentDisposition,
    HeaderId::CacheControl,
    HeaderId::Expires,
    HeaderId::AcceptRanges,
];

/// What came of an answer.
pub(crate) enum Responding {
    /// The engine may go on.
    Now(Flow),
    /// The head is not sent before some of the body is there.
    Wait(Box<Response>, Box<Relay>),
}

/// Makes the response. `asked_head` says that the upstream was asked for the head alone.
pub(crate) async fn respond(exchange: &Exchange<'_>, came: Came, rewrite: &dyn Rewrite, asked_head: bool) -> Flow {
    let answer = match came {
        Came::Answer(answer) => answer,
        Came::Stored(stored) => {
            let Exchange { r, conf, passage, .. } = exchange;
            let speaks_http = exchange.protocol.is_http();
            return send_stored((r, conf, passage), *stored, (rewrite, speaks_http));
        }
    };
    let store = match &exchange.conf.store {
        Some(_) => Store::begin(exchange, &answer, buffers(exchange.r, exchange.conf, exchange.passage), asked_head),
        None => None,
    };
    match begin(exchange, answer, rewrite, asked_head) {
        Responding::Now(flow) => store::keep(flow, store, exchange.passage),
        Responding::Wait(mut response, mut relay) => {
            if !first_bytes(&mut relay).await {
                return Flow::Close(499);
            }
            if relay.is_refused() {
                return Flow::Close(response.status);
            }
            response.body = store::body(relay, store);
            Flow::Respond(response)
        }
    }
}

fn begin(exchange: &Exchange<'_>, answer: Box<Answer>, rewrite: &dyn Rewrite, asked_head: bool) -> Responding {
    let Exchange { r, conf, passage, .. } = exchange;
    let Answer { mut head, reader, bare, buffer, body_at, mut lease } = *answer;
    let bodiless = matches!(head.status, 204 | 304) || asked_head;
    let header_only = r.method.get() == Method::Head || (bodiless && head.status_line().is_empty());
    let empty = !reader.marks_end() && (bodiless || (!head.chunked && head.content_length == Some(0)));
    let found_nothing = conf.intercept_404 && head.status == 404;
    lease.reusable = (empty || found_nothing) && !head.close && head.status != 101;
    let caching = exchange.caching();
    if let Some(caching) = &caching {
        caching.settle_head();
    }
    r.set_doing(Action::ReadingHead.text());
    if intercepts(r, conf, &head) {
        r.set_doing(Action::SendingOn.text());
        if let Some(caching) = caching {
            caching.intercepted(head.status);
        }
        passage.set_headers(head.headers);
        lease.end(r, passage);
        return Responding::Now(Flow::Finalize(head.status));
    }
    if let Some(flow) = accel_redirect((r, conf, passage), &head, rewrite) {
        passage.set_headers(head.headers);
        lease.end(r, passage);
        if let Some(caching) = caching {
            caching.free();
        }
        return Responding::Now(flow);
    }
    let buffered = buffers(r, conf, passage);
    let kept_head = match caching.is_some() && !bare {
        true => reader.head_to_keep(&head, &buffer[..body_at]),
        false => Cow::Borrowed(&[][..]),
    };
    let kept = caching.as_ref().map_or(Kept::Not, |caching| caching.kept());
    let mut response = Box::new(make_response((r, conf, passage), &mut head, (rewrite, reader.speaks_http()), kept));
    if bare {
        make_bare(r, &mut response);
    }
    if head.status == 101 && !reader.marks_end() && r.headers.borrow().has(HeaderId::Upgrade) {
        if let Some(caching) = caching {
            caching.free();
        }
        response.upgrade = true;
        r.out.keep_alive.set(false);
        let (r, passage) = (Rc::clone(r), Rc::clone(passage));
        response.tunnel = Some(tunnel::open(r, passage, lease, conf, (buffer, body_at)));
        return Responding::Now(Flow::Respond(response));
    }
    let saver = caching.and_then(|caching| match buffered {
        true => caching.save(r, conf, if bare { 0 } else { head.status }, &kept_head),
        false => {
            caching.free();
            None
        }
    });
    if empty {
        if !header_only && buffer.len() > body_at {
            lease.body_length = (buffer.len() - body_at) as u64;
            lease.reusable = false;
            say_surplus(r, if buffered { Action::ReadingBody } else { Action::ReadingHead }, &Framing::Length(0));
        }
        if let Some(saver) = saver {
            passage.keep_by(move || saver.commit());
        }
        passage.hold(lease);
        return Responding::Now(Flow::Respond(response));
    }
    if header_only && !bare && saver.is_none() && !(buffered && conf.store.is_some()) {
        // nginx looks no further.
        lease.reusable |= reader.has_ended();
        passage.hold(lease);
        return Responding::Now(Flow::Respond(response));
    }
    let trailers = conf.pass_trailers.then_some(conf.buffer_size);
    let framing = reader.framing(r, &head, buffered, trailers);
    begin_body(exchange, lease, (framing, !head.close), (buffer, body_at, buffered, saver), response)
}

/// What came with the head may be all there is, and needs no stream then.
fn begin_body(
    exchange: &Exchange<'_>,
    mut lease: Lease,
    (mut framing, may_keep): (Framing, bool),
    (mut data, body_at, buffered, saver): (Buffer, usize, bool, Option<Box<Saver>>),
    mut response: Box<Response>,
) -> Responding {
    let Exchange { r, conf, passage, .. } = exchange;
    let mut keep = may_keep;
    // nginx is still busy with the head where it does not buffer.
    let action = if buffered { Action::ReadingBody } else { Action::ReadingHead };
    let came = (data.len() - body_at) as u64;
    lease.body_length = came;
    let step = conf.bytes_between_pauses(buffered, saver.is_some());
    let mut marks = Marks::new(body_at, passage.received_so_far() - came, step);
    let taken = framing.take(&mut data, body_at, &mut marks);
    // What goes beyond nginx's buffer is read when the head has gone out.
    let action = if marks.paused && !buffered { Action::SendingOn } else { action };
    let taken = match taken {
        Ok(taken) => taken,
        Err(fault) => {
            say_fault(r, action, &fault);
            if marks.passed <= body_at && !sends_head_at_once(r) {
                lease.end(r, passage);
                return Responding::Now(Flow::Close(response.status));
            }
            data.truncate(marks.passed.max(body_at));
            Taken { broken: true, ..Taken::default() }
        }
    };
    say_heard(r, action, &mut framing);
    if taken.surplus {
        keep = false;
        say_surplus(r, action, &framing);
    }
    if taken.done && (!conf.pass_trailers || framing.lacks_trailers()) {
        lease.reusable = framing.is_reusable(keep);
        passage.hold(lease);
        let body = if data.len() > body_at { data.freeze().slice(body_at..) } else { Bytes::new() };
        if let Some(saver) = saver {
            let body = body.clone();
            passage.keep_by(move || saver.finish(&body));
        }
        if !body.is_empty() {
            response.body = Body::Bytes(body);
        }
        return Responding::Now(Flow::Respond(response));
    }
    data.drop_front(body_at);
    let (r, passage, conf) = (Rc::clone(r), Rc::clone(passage), Arc::clone(conf));
    let waits = buffered && r.method.get() != Method::Head && !sends_head_at_once(&r);
    let begun = Begun { r, passage, conf, lease, framing, buffered, keep, data, saver, came: came > 0 };
    let mut relay = Box::new(Relay::new(begun));
    if taken.broken {
        relay.break_behind(usize::MAX);
    } else if let Some(sentence) = taken.short {
        relay.break_off(action, sentence);
    } else if taken.done {
        relay.finish();
    }
    if waits {
        return Responding::Wait(response, relay);
    }
    response.body = relay.into_body();
    Responding::Now(Flow::Respond(response))
}

/// Whether the head is on its way before anything of the body is looked at: nginx sends it by itself over HTTP/2 alone.
pub(super) fn sends_head_at_once(r: &Request) -> bool {
    r.head.version >= Version::HTTP_2
}

/// Waits for the first bytes of the body; `false` where the client has gone before.
async fn first_bytes(relay: &mut Relay) -> bool {
    poll_fn(|cx| match relay.poll_first(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => relay.poll_gone(cx).map(|()| false),
    })
    .await
}

/// Whether an `error_page` of the location answers instead; 401 keeps what it asks for.
fn intercepts(r: &Request, conf: &Conf, head: &UpstreamHead) -> bool {
    if conf.intercept_404 && head.status == 404 {
        return true;
    }
    let pages = &r.location().core.error_pages;
    let intercepted =
        conf.intercept_errors && head.status >= 300 && pages.iter().any(|page| page.status == head.status);
    if intercepted && head.status == 401 {
        let mut pending = r.out.pending.borrow_mut();
        for (id, name, value) in head.headers.iter() {
            if id == HeaderId::WwwAuthenticate {
                pending.push(name, value);
            }
        }
    }
    intercepted
}

/// What `X-Accel-Redirect` asks for, where it counts.
fn accel_redirect(
    (r, conf, passage): (&Request, &Conf, &Passage),
    head: &UpstreamHead,
    rewrite: &dyn Rewrite,
) -> Option<Flow> {
    let target = head.headers.get(HeaderId::XAccelRedirect)?;
    if conf.ignored.has(HeaderId::XAccelRedirect, b"") {
        return None;
    }
    let is_kept = passage.caching().is_some_and(|caching| caching.is_cacheable());
    if is_kept && !conf.force_ranges && head.headers.has(HeaderId::AcceptRanges) {
        r.out.has_ranges.set(true);
    }
    let mut kept = Response { allow_ranges: conf.force_ranges || is_kept, ..Response::default() };
    for (id, name, value) in head.headers.iter().filter(|(id, ..)| REDIRECTED.contains(id)) {
        pass(r, id, (name, value), rewrite, &mut kept);
    }
    apply_limit_rate(r, conf, &head.headers);
    let mut pending = r.out.pending.borrow_mut();
    if let Some(content_type) = kept.content_type {
        pending.set(HeaderId::ContentType, &content_type);
    }
    kept.headers.iter().for_each(|(_, name, value)| pending.push(name, value));
    drop(pending);
    if let [b'@', name @ ..] = target {
        return Some(Flow::Named(name.to_vec()));
    }
    let Ok((path, args)) = parse_unsafe(target) else { return Some(unsafe_uri(r, target)) };
    if r.method.get() != Method::Head {
        r.method.set(Method::Get);
    }
    r.args_are_set.set(false);
    Some(Flow::Redirect { uri: path.into_owned(), args: args.unwrap_or_default().to_vec() })
}

fn unsafe_uri(r: &Request, target: &[u8]) -> Flow {
    r.log_with(crate::log::Level::Error, |line| {
        line.put("unsafe URI \"").bytes(target).put("\" was detected");
    });
    Flow::Finalize(404)
}

/// What was kept is the answer.
pub(super) fn send_stored(
    (r, conf, passage): (&Request, &Conf, &Passage),
    stored: Stored,
    (rewrite, speaks_http): (&dyn Rewrite, bool),
) -> Flow {
    let Stored { mut head, bare, body } = stored;
    note_wishes((r, conf, passage), &head.headers);
    if let Some(flow) = accel_redirect((r, conf, passage), &head, rewrite) {
        passage.set_headers(head.headers);
        return flow;
    }
    let is_conditional = passage.caching().is_some_and(|caching| caching.is_cacheable());
    let made = make_response((r, conf, passage), &mut head, (rewrite, speaks_http), Kept::Stored);
    let mut response = Box::new(made);
    response.unconditional = !is_conditional;
    if bare {
        make_bare(r, &mut response);
    }
    if r.method.get() != Method::Head {
        response.body = body;
    }
    Flow::Respond(response)
}

/// An answer without a head is passed on as it came. To nginx its status is that of HTTP/0.9.
fn make_bare(r: &Request, response: &mut Response) {
    response.bare = true;
    response.status = if r.head.version < Version::HTTP_2 { 9 } else { 200 };
    r.out.keep_alive.set(false);
}

fn make_response(
    (r, conf, passage): (&Request, &Conf, &Passage),
    head: &mut UpstreamHead,
    (rewrite, speaks_http): (&dyn Rewrite, bool),
    kept: Kept,
) -> Response {
    let mut response = Response::new(head.status);
    let line = head.status_line();
    response.verbatim = !line.is_empty();
    if response.verbatim && status::status_line(head.status).is_none_or(|usual| usual.as_bytes() != line) {
        response.status_line = Some(Bytes::copy_from_slice(line));
    }
    // Only of HTTP servers nginx believes that they leave these out on purpose.
    let passed = |id: HeaderId| speaks_http && !conf.hidden.has(id, b"") && !head.headers.has(id);
    response.no_server = passed(HeaderId::Server);
    response.no_date = passed(HeaderId::Date);
    response.content_length = head.content_length.filter(|_| !head.chunked);
    response.unconditional = kept == Kept::Not;
    if conf.force_ranges || (kept != Kept::Not && head.headers.has(HeaderId::AcceptRanges)) {
        response.allow_ranges = true;
        response.single_range = kept != Kept::Stored;
    }
    apply_limit_rate(r, conf, &head.headers);
    pass_headers((r, conf, passage), head, rewrite, &mut response);
    if response.content_type.is_some() {
        // What an earlier upstream said before it redirected counts no more.
        r.out.pending.borrow_mut().remove(HeaderId::ContentType);
    }
    response
}

/// Passes the headers on. They are moved, unless somebody asks for what the upstream said.
fn pass_headers(
    (r, conf, passage): (&Request, &Conf, &Passage),
    head: &mut UpstreamHead,
    rewrite: &dyn Rewrite,
    response: &mut Response,
) {
    let headers = std::mem::take(&mut head.headers);
    let rewritten = [HeaderId::Location, HeaderId::Refresh, HeaderId::SetCookie].iter().any(|id| headers.has(*id));
    if !rewritten && !conf.headers_are_asked_for(r) {
        let shown = |value: &&[u8]| !value.is_empty() && !conf.hides(HeaderId::ContentType);
        if let Some(content_type) = headers.get(HeaderId::ContentType).filter(shown) {
            response.set_upstream_type(content_type_bytes(content_type));
        }
        response.headers = headers;
        let ranges = response.allow_ranges;
        response.headers.retain(|id, name, _| !stays(id, ranges) && !conf.hidden.has(id, name));
        return;
    }
    response.headers = Headers::with_capacity(headers.len(), 512);
    for (id, name, value) in headers.iter() {
        if !conf.hidden.has(id, name) {
            pass(r, id, (name, value), rewrite, response);
        }
    }
    passage.set_headers(headers);
}

/// Headers that are not passed on as they are.
fn stays(id: HeaderId, ranges: bool) -> bool {
    match id {
        HeaderId::ContentLength
        | HeaderId::Connection
        | HeaderId::KeepAlive
        | HeaderId::TransferEncoding
        | HeaderId::ContentType => true,
        // We say so ourselves.
        HeaderId::AcceptRanges => ranges,
        _ => false,
    }
}

/// Usual types need no memory of their own.
fn content_type_bytes(value: &[u8]) -> Bytes {
    const USUAL: [&[u8]; 8] = [
        b"text/html; charset=utf-8",
        b"text/html",
        b"application/json",
        b"text/plain",
        b"text/html; charset=UTF-8",
        b"text/css",
        b"application/octet-stream",
        b"image/jpeg",
    ];
    let usual = USUAL.iter().find(|usual| **usual == value);
    usual.map_or_else(|| Bytes::copy_from_slice(value), |usual| Bytes::from_static(usual))
}

/// Passes one header on.
fn pass(r: &Request, id: HeaderId, (name, value): (&[u8], &[u8]), rewrite: &dyn Rewrite, response: &mut Response) {
    let changed = match id {
        HeaderId::ContentType if value.is_empty() => return,
        HeaderId::ContentType => {
            response.set_upstream_type(content_type_bytes(value));
            return;
        }
        _ if stays(id, response.allow_ranges) => return,
        HeaderId::Location => {
            let changed = rewrite.location(r, value);
            response.redirect = changed.is_some();
            changed
        }
        HeaderId::Refresh => rewrite.refresh(r, value),
        HeaderId::SetCookie => rewrite.cookie(r, value),
        _ => None,
    };
    response.headers.push(name, changed.as_deref().unwrap_or(value));
}

/// Notes what holds for all that comes after, though this answer should not be taken: its charset, and how it is buffered.
pub(super) fn note_wishes((r, conf, passage): (&Request, &Conf, &Passage), headers: &Headers) {
    let said = |id| headers.get(id).filter(|_| !conf.ignored.has(id, b""));
    if let Some(charset) = said(HeaderId::XAccelCharset) {
        *r.out.override_charset.borrow_mut() = Some(Bytes::copy_from_slice(charset));
    }
    match said(HeaderId::XAccelBuffering) {
        Some(value) if value.eq_ignore_ascii_case(b"yes") => passage.buffering.set(Some(true)),
        Some(value) if value.eq_ignore_ascii_case(b"no") => passage.buffering.set(Some(false)),
        _ => {}
    }
}

fn apply_limit_rate(r: &Request, conf: &Conf, headers: &Headers) {
    let Some(value) = headers.get(HeaderId::XAccelLimitRate) else { return };
    if conf.ignored.has(HeaderId::XAccelLimitRate, b"") {
        return;
    }
    if let Some(rate) = parse_length(value) {
        r.out.limit_rate.set(Some(rate));
    }
}

/// Whether the answer is buffered, as the directive or the upstream says. What is not is not slowed down either.
fn buffers(r: &Request, conf: &Conf, passage: &Passage) -> bool {
    let buffered = passage.buffering.get().unwrap_or(conf.buffering);
    if !buffered {
        r.out.limit_rate.set(Some(0));
    }
    buffered
}
