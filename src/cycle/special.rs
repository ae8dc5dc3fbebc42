//! Statuses become answers: `error_page`, and nginx's own pages.

use bytes::Bytes;

use crate::http::browser::Browser;
use crate::http::uri::split_args;
use crate::http::{
    ErrorAnswer, ErrorPage, Escape, Flow, HeaderId, Method, Request, Response, Version, escaped, status,
};

/// What a status means for the request: another run, or a page.
pub(super) fn finalize(r: &Request, status: u16) -> Flow {
    r.error_status.set(status);
    if matches!(status, 400 | 413 | 414 | 494..=497 | 500 | 501) && r.is_main() {
        r.out.keep_alive.set(false);
    }
    let core = &r.location().core;
    if !r.error_page.get() && !core.error_pages.is_empty() && r.uri_changes_left.get() != 0 {
        if !core.recursive_error_pages {
            r.error_page.set(true);
        }
        if let Some(page) = core.error_pages.iter().find(|page| page.status == status) {
            return send_error_page(r, page);
        }
    }
    page(r, status)
}

fn send_error_page(r: &Request, page: &ErrorPage) -> Flow {
    match page.answer {
        ErrorAnswer::Keep => {}
        ErrorAnswer::FromTarget => r.error_status.set(0),
        ErrorAnswer::Replace(status) => r.error_status.set(status),
    }
    if !matches!(page.answer, ErrorAnswer::FromTarget | ErrorAnswer::Replace(200)) {
        // An error that stays one is no reason to send on what waits.
        r.body.forget_invitation();
    }
    let target = page.target.eval(r);
    match target.first() {
        Some(b'/') => {
            if r.method.get() != Method::Head {
                r.method.set(Method::Get);
            }
            let (uri, args) = split_args(&target);
            r.args_are_set.set(args.is_some() || page.target.as_constant().is_none());
            Flow::Redirect { uri: uri.to_vec(), args: args.unwrap_or_default().to_vec() }
        }
        Some(b'@') => Flow::Named(target[1..].to_vec()),
        _ => {
            if !matches!(page.answer, ErrorAnswer::Replace(301 | 302 | 303 | 307 | 308)) {
                r.error_status.set(302);
            }
            r.redirect_to(&target);
            self::page(r, r.error_status.get())
        }
    }
}

/// nginx's own page for a status.
pub(super) fn page(r: &Request, code: u16) -> Flow {
    // The connection does not go on behind a body that makes no sense; the answer stays what it is.
    r.body.forget_invitation();
    r.body.is_broken(r);
    r.body.discard();
    let mut pending = r.out.pending.borrow_mut();
    pending.remove(HeaderId::ContentType);
    pending.remove(HeaderId::ETag);
    drop(pending);
    r.expect_settled.set(true);
    let core = &r.location().core;
    if status::sent_status(code) != code {
        r.error_status.set(status::sent_status(code));
    }
    if core.msie_refresh && matches!(code, 301 | 302) && browser(r).msie {
        return refresh(r);
    }
    let mut response = Response::new(status::sent_status(code));
    response.redirect = true;
    let Some(page) = status::ErrorPage::of(code, core.server_tokens) else {
        response.content_length = Some(0);
        return Flow::respond(response);
    };
    let pad = core.msie_padding && code >= 400 && wants_padding(r);
    let page = if pad { page.with_padding() } else { page };
    let mut body = Vec::with_capacity(page.len());
    page.append_to(&mut body);
    response.content_type = Some(Bytes::from_static(b"text/html"));
    response.content_length = Some(body.len() as u64);
    response.body = crate::http::Body::Bytes(body.into());
    Flow::respond(response)
}

/// Old Internet Explorer and Chrome put pages of their own in place of short ones.
fn wants_padding(r: &Request) -> bool {
    let browser = browser(r);
    (browser.msie || browser.chrome) && r.head.version >= Version::HTTP_10
}

fn browser(r: &Request) -> Browser {
    r.header(HeaderId::UserAgent).map(|agent| Browser::of(&agent)).unwrap_or_default()
}

/// `msie_refresh`: a page that sends Internet Explorer on, in place of a redirect.
fn refresh(r: &Request) -> Flow {
    const HEAD: &[u8] = b"<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=";
    const TAIL: &[u8] = b"\"></head><body></body></html>\r\n";
    let mut pending = r.out.pending.borrow_mut();
    let target = pending.get(HeaderId::Location).map(<[u8]>::to_vec).unwrap_or_default();
    pending.remove(HeaderId::Location);
    r.error_status.set(200);
    Flow::respond(Response::with_bytes(200, "text/html", [HEAD, &escaped(&target, Escape::Refresh), TAIL].concat()))
}
