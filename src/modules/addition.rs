//! `add_before_body`, `add_after_body`: other responses around this one. <https://nginx.org/en/docs/http/ngx_http_addition_module.html>

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::conf::{Command, Inherit, LocationBuilder, Module};
use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Filter, FilterSlot, Headers, MediaTypes, Request, Response, Subrequest,
    SubrequestFuture,
};

/// `ngx_http_addition_filter_module`.
pub struct Addition;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    before: Option<Bytes>,
    after: Option<Bytes>,
    types: Option<MediaTypes>,
}

impl Module for Addition {
    type Conf = Conf;
    const NAME: &'static str = "http_addition";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::text("add_before_body", |c| &mut c.before),
        Command::text("add_after_body", |c| &mut c.after),
        Command::custom("addition_types", |c, args, _| {
            args.add_types(&mut c.types, &["text/html"]);
            Ok(())
        }),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.before.inherit(&parent.before);
        conf.after.inherit(&parent.after);
        conf.types.inherit(&parent.types);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let uri = |uri: &Option<Bytes>| uri.clone().filter(|uri| !uri.is_empty());
        let (before, after) = (uri(&conf.before), uri(&conf.after));
        if before.is_some() || after.is_some() {
            let types = conf.types.clone().unwrap_or_else(|| MediaTypes::new([&b"text/html"[..]]));
            location.filter(FilterSlot::Addition, Head(types));
            location.filter(FilterSlot::Postpone, Add { before, after });
        }
    }
}

/// Whether something is to be added to a request's response.
#[derive(Default)]
struct Wanted(Cell<bool>);

/// What becomes of the head.
struct Head(MediaTypes);

impl Filter for Head {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if response.status == 200 && r.is_main() && response.has_type(&self.0) {
            r.context::<Wanted>().0.set(true);
            response.clear_content_length();
            response.clear_accept_ranges();
            response.weaken_etag();
        }
        Ok(())
    }
}

/// What becomes of the body: other filters have nothing to do with what is added.
struct Add {
    before: Option<Bytes>,
    after: Option<Bytes>,
}

impl Filter for Add {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if !r.find_context::<Wanted>().is_some_and(|wanted| wanted.0.take()) {
            return Ok(());
        }
        let ask = |uri: &Option<Bytes>| uri.clone().map(Part::Inserted);
        let parts = [ask(&self.before), Some(Part::Main), ask(&self.after)].into_iter().flatten().collect();
        let r = r.clone();
        response.body.wrap(|body| Box::new(Added { r, body, parts, current: Current::None }));
        Ok(())
    }
}

/// A body of several parts, each of which is started when its turn comes.
struct Added {
    r: Rc<Request>,
    body: Body,
    parts: VecDeque<Part>,
    current: Current,
}

enum Part {
    Main,
    /// The response to this URI.
    Inserted(Bytes),
}

enum Current {
    None,
    Main,
    Waiting(SubrequestFuture),
    Inserted(Rc<Request>, Body),
}

impl Added {
    /// Begins the next part; `false` where there is none.
    fn begin(&mut self) -> Result<bool, BodyCut> {
        self.current = match self.parts.pop_front() {
            None => return Ok(false),
            Some(Part::Main) => Current::Main,
            Some(Part::Inserted(uri)) => {
                let sub = Subrequest { uri: uri.to_vec(), with_body: true, ..Subrequest::default() };
                match self.r.local.engine.subrequest(&self.r, sub) {
                    Ok(work) => Current::Waiting(work),
                    Err(_) => return Err(BodyCut),
                }
            }
        };
        Ok(true)
    }
}

impl BodyStream for Added {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            let next = match &mut self.current {
                Current::None => match self.begin() {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Ready(None),
                    Err(cut) => return Poll::Ready(Some(Err(cut))),
                },
                Current::Waiting(work) => {
                    let (r, answer) = ready!(work.as_mut().poll(cx));
                    let Ok(response) = answer else { return Poll::Ready(Some(Err(BodyCut))) };
                    self.current = Current::Inserted(r, response.body);
                    continue;
                }
                Current::Inserted(r, body) => match ready!(body.poll_next(cx)) {
                    // To nginx it has ended there; what stands behind it follows.
                    Some(Err(BodyCut)) if r.out.complete_when_cut.get() => None,
                    next => next,
                },
                Current::Main => ready!(self.body.poll_next(cx)),
            };
            match next {
                Some(chunk) => return Poll::Ready(Some(chunk)),
                None => self.current = Current::None,
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn postpones(&self) -> bool {
        match &self.current {
            Current::None => false,
            Current::Main => self.body.postpones(),
            Current::Waiting(_) => true,
            Current::Inserted(_, body) => body.postpones(),
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}
