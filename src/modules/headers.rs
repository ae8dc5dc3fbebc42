//! `add_header`, `add_trailer`, `expires`. <https://nginx.org/en/docs/http/ngx_http_headers_module.html>

mod expires;

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use self::expires::Expires;
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};

use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Filter, FilterSlot, HeaderId, Headers, Request, Response, Script, SentHead,
};

/// `ngx_http_headers_filter_module`.
pub struct AddHeaders;

/// What one block adds.
#[derive(Default)]
pub struct Conf {
    expires: Option<Expires>,
    headers: Vec<Line>,
    trailers: Vec<Line>,
}

/// One header or trailer.
#[derive(Clone)]
struct Line {
    name: Bytes,
    value: Script,
    always: bool,
}

impl Module for AddHeaders {
    type Conf = Conf;
    const NAME: &'static str = "http_headers";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("expires", |c, args, ctx| assign(&mut c.expires, args, || Expires::read(args, ctx))),
        Command::custom("add_header", |c, args, ctx| add_line(&mut c.headers, args, ctx)),
        Command::custom("add_trailer", |c, args, ctx| add_line(&mut c.trailers, args, ctx)),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.expires.inherit(&parent.expires);
        conf.headers.inherit(&parent.headers);
        conf.trailers.inherit(&parent.trailers);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let expires = conf.expires.clone().filter(|expires| !matches!(expires, Expires::Off));
        if expires.is_none() && conf.headers.is_empty() && conf.trailers.is_empty() {
            return;
        }
        let (headers, trailers) = (conf.headers.as_slice().into(), conf.trailers.as_slice().into());
        location.filter(FilterSlot::Headers, Adder { expires, headers, trailers });
    }
}

fn add_line(lines: &mut Vec<Line>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let always = args.len() > 3;
    let value = ctx.script(args.word(2))?;
    if always && args.value(3) != b"always" {
        return Err(args.invalid_parameter(3));
    }
    lines.push(Line { name: args.bytes(1), value, always });
    Ok(())
}

struct Adder {
    expires: Option<Expires>,
    headers: Box<[Line]>,
    trailers: Arc<[Line]>,
}

/// The statuses for which headers are added without `always`.
fn is_safe(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

impl Filter for Adder {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if !r.is_main() {
            return Ok(());
        }
        let safe = is_safe(response.status);
        if safe && let Some(expires) = &self.expires {
            expires.apply(r, response);
            show(r, response);
        }
        for line in self.headers.iter().filter(|line| safe || line.always) {
            line.add_to(r, response);
            show(r, response);
        }
        if self.trailers.iter().any(|line| safe || line.always) {
            response.expect_trailers = true;
            let (r, lines) = (r.clone(), self.trailers.clone());
            response.body.wrap(|body| Box::new(Trailers { body, r, lines, safe }));
        }
        Ok(())
    }
}

/// What was added is there for the variables of what comes behind it.
fn show(r: &Request, response: &Response) {
    if r.cycle().shows_heads {
        *r.out.head.borrow_mut() = Some(SentHead::new(Box::new(response.head())));
    }
}

impl Line {
    fn add_to(&self, r: &Request, response: &mut Response) {
        let value = self.value.eval(r);
        match HeaderId::of(&self.name) {
            HeaderId::LastModified if value.is_empty() => response.clear_last_modified(),
            HeaderId::LastModified => {
                response.last_modified = None;
                response.headers.replace(&self.name, &value);
            }
            HeaderId::ETag if value.is_empty() => response.clear_etag(),
            HeaderId::ETag => response.headers.replace(&self.name, &value),
            _ if value.is_empty() => {}
            HeaderId::CacheControl | HeaderId::Link => response.headers.push(&self.name, &value),
            // To nginx a line of any other name is a line and no more: `Server` stands beside its own.
            _ => response.headers.push_plain(&self.name, &value),
        }
    }
}

/// Trailers are evaluated when the body has ended.
struct Trailers {
    body: Body,
    r: Rc<Request>,
    lines: Arc<[Line]>,
    safe: bool,
}

impl BodyStream for Trailers {
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
        let mut trailers = self.body.trailers().unwrap_or_default();
        for line in self.lines.iter().filter(|line| self.safe || line.always) {
            if let Some(head) = &mut *self.r.out.head.borrow_mut() {
                head.trailers.clone_from(&trailers);
            }
            let value = line.value.eval(&self.r);
            if !value.is_empty() {
                trailers.push(&line.name, &value);
            }
        }
        Some(trailers)
    }
}
