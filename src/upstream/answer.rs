//! An upstream's answer becomes the response: which headers pass, which have a meaning, what body follows.
//! Behaviour of nginx's `ngx_http_upstream_process_headers`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::conf::Conf;
use super::decode::Framing;
use super::exchange::Answer;
use super::relay::Relay;
use super::tunnel;
use crate::h1::response::UpstreamHead;
use crate::http::headers::parse_length;
use crate::http::uri::parse_unsafe;
use crate::http::{Body, Flow, HeaderId, Headers, Method, Request, Response, status};

/// Headers that a module changes on their way to the client.
pub(crate) trait Rewrite {
    /// `Location`; `None` where it stays as it is.
    fn location(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
    /// `Refresh`; `None` where it stays as it is.
    fn refresh(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
    /// `Set-Cookie`; `None` where it stays as it is.
    fn cookie(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>>;
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

/// Makes the response. `asked_head` says that the upstream was asked for the head alone.
pub(crate) async fn respond(answer: Answer, conf: &Arc<Conf>, rewrite: &dyn Rewrite, asked_head: bool) -> Flow {
    let r = answer.link.r.clone();
    let Answer { mut head, bare, buffer, body_at, mut link } = answer;
    let bodiless = matches!(head.status, 204 | 304) || asked_head;
    let empty = bodiless || (!head.chunked && head.content_length == Some(0));
    link.reusable = empty && !head.close && head.status != 101;
    if intercepts(&r, conf, &head) {
        link.release();
        return Flow::Finalize(head.status);
    }
    let redirected = accel_redirect(&r, conf, &head, rewrite);
    let mut response = match redirected {
        None => make_response(&r, conf, &mut head, rewrite),
        Some(_) => Response::new(head.status),
    };
    link.passage.set_headers(std::mem::take(&mut head.headers));
    if let Some(flow) = redirected {
        link.release();
        return flow;
    }
    response.bare = bare;
    if bare {
        r.out.keep_alive.set(false);
        response.status = 200;
    }
    if head.status == 101 && r.headers.borrow().has(HeaderId::Upgrade) {
        link.reusable = false;
        response.upgrade = true;
        r.out.keep_alive.set(false);
        response.tunnel = Some(tunnel::open(link, conf, buffer, body_at));
        return Flow::respond(response);
    }
    let buffered = buffers(&r, conf, &link.passage.headers());
    let framing = match (head.chunked, head.content_length) {
        (true, _) => Framing::chunked(conf.pass_trailers.then_some(conf.buffer_size)),
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Close,
    };
    let keep = !head.close && !matches!(framing, Framing::Close);
    let mut relay = Relay::new(link, conf.clone(), buffered, framing, keep || empty && !head.close);
    if empty {
        relay.end_now();
    } else {
        relay.begin(buffer, body_at);
        let sends_body = r.method.get() != Method::Head;
        if buffered && sends_body && !first_bytes(&mut relay).await {
            return Flow::Close(499);
        }
        if relay.is_refused() {
            return Flow::Close(head.status);
        }
    }
    response.body = Body::Stream(Box::new(relay));
    Flow::respond(response)
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
fn accel_redirect(r: &Request, conf: &Conf, head: &UpstreamHead, rewrite: &dyn Rewrite) -> Option<Flow> {
    let target = head.headers.get(HeaderId::XAccelRedirect)?;
    if conf.ignored.has(HeaderId::XAccelRedirect, b"") {
        return None;
    }
    let mut kept = Response::default();
    for (id, name, value) in head.headers.iter().filter(|(id, ..)| REDIRECTED.contains(id)) {
        pass(r, conf, id, (name, value), rewrite, &mut kept);
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
    Some(Flow::Redirect { uri: path.into_owned(), args: args.unwrap_or_default().to_vec() })
}

fn unsafe_uri(r: &Request, target: &[u8]) -> Flow {
    r.log_with(crate::log::Level::Error, |line| {
        line.put("unsafe URI \"").bytes(target).put("\" was detected");
        line.put(super::passage::Action::ReadingHead.text());
    });
    Flow::Finalize(404)
}

fn make_response(r: &Request, conf: &Conf, head: &mut UpstreamHead, rewrite: &dyn Rewrite) -> Response {
    let mut response = Response::new(head.status);
    let line = head.status_line();
    if status::status_line(head.status).is_none_or(|usual| usual.as_bytes() != line) {
        response.status_line = Some(Bytes::copy_from_slice(line));
    }
    response.headers = Headers::with_capacity(head.headers.len(), 512);
    for (id, name, value) in head.headers.iter() {
        if !conf.hidden.has(id, name) {
            pass(r, conf, id, (name, value), rewrite, &mut response);
        }
    }
    let passed = |id: HeaderId| !conf.hidden.has(id, b"") && !head.headers.has(id);
    response.no_server = passed(HeaderId::Server);
    response.no_date = passed(HeaderId::Date);
    response.content_length = head.content_length.filter(|_| !head.chunked);
    response.unconditional = true;
    if conf.force_ranges {
        response.allow_ranges = true;
        response.single_range = true;
    }
    if response.content_type.is_some() {
        // What an earlier upstream said before it redirected counts no more.
        r.out.pending.borrow_mut().remove(HeaderId::ContentType);
    }
    let charset = head.headers.get(HeaderId::XAccelCharset);
    if let Some(charset) = charset.filter(|_| !conf.ignored.has(HeaderId::XAccelCharset, b"")) {
        response.override_charset = Some(Bytes::copy_from_slice(charset));
    }
    apply_limit_rate(r, conf, &head.headers);
    response
}

/// Passes one header on.
fn pass(
    r: &Request,
    conf: &Conf,
    id: HeaderId,
    (name, value): (&[u8], &[u8]),
    rewrite: &dyn Rewrite,
    response: &mut Response,
) {
    let changed = match id {
        HeaderId::ContentLength | HeaderId::Connection | HeaderId::KeepAlive | HeaderId::TransferEncoding => return,
        HeaderId::AcceptRanges if conf.force_ranges => return,
        HeaderId::ContentType => {
            response.set_upstream_type(Bytes::copy_from_slice(value));
            return;
        }
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
fn buffers(r: &Request, conf: &Conf, headers: &Headers) -> bool {
    let said = headers.get(HeaderId::XAccelBuffering).filter(|_| !conf.ignored.has(HeaderId::XAccelBuffering, b""));
    let buffered = match said {
        Some(value) if value.eq_ignore_ascii_case(b"yes") => true,
        Some(value) if value.eq_ignore_ascii_case(b"no") => false,
        _ => conf.buffering,
    };
    if !buffered {
        r.out.limit_rate.set(Some(0));
    }
    buffered
}
