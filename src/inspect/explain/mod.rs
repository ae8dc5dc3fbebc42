//! Which server and which location answer a request, why, and what becomes of it: told by the handlers that serve.

mod locations;
mod log;
mod request;
mod server;

use std::{rc::Rc, sync::Arc};

pub use request::Question;

use super::{Inspection, effective::Nests, words};
use crate::{
    cycle::{Answer, End, Moment, observe},
    diag::Span,
    http::{Cycle, Flow, LocationId, LocationKind, Request, Response},
    load::Origin,
    server::settle_head,
};
use log::Notes;

/// Why a request cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration has errors, which its inspection tells.
    #[error("the configuration has errors")]
    Configuration,
    /// It is no URL.
    #[error("\"{0}\" is no URL: write http://HOST/PATH or /PATH")]
    Url(String),
    /// No server listens on this port; the addresses on which servers do.
    #[error("nobody listens on port {0}: the configuration listens on {1}")]
    NobodyListens(u16, String),
    /// The log of the request could not be made.
    #[error("no memory for a log: {0}")]
    Log(#[from] request::LogError),
}

/// A request's way.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// `GET /path HTTP/1.1`
    pub request: String,
    /// The host that was asked for, in lower case and without port.
    pub host: String,
    /// The listening address, and why that one.
    pub listen: Reason,
    /// The server block, and why that one.
    pub server: Reason,
    /// What happened to it, in order.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: Outcome,
    /// The response's head, as filters leave it: names and values.
    pub headers: Vec<(String, String)>,
    /// Directives of the blocks around that are not in force, because a nearer block has one of its own.
    pub lost: Vec<Lost>,
}

/// Something that was chosen.
#[derive(Clone, Debug)]
pub struct Reason {
    /// What it is.
    pub what: String,
    /// Where it is written: `FILE:LINE`; empty where it is not.
    pub place: String,
    /// Why it was chosen.
    pub why: String,
}

/// One step of a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// A location was looked for.
    Search {
        /// The path that was looked for.
        uri: String,
        /// The locations in the order in which they were tried, the chosen one among them.
        tried: Vec<Reason>,
        /// Which of them was chosen; none where the server block itself is.
        chosen: Option<usize>,
    },
    /// A handler had something to do with it.
    Handler {
        /// nginx's name of the phase.
        phase: &'static str,
        /// The module that has the handler.
        module: &'static str,
        /// What it decided.
        said: String,
        /// What it wrote into the error log, at all levels.
        log: Vec<String>,
    },
    /// The request begins again, elsewhere.
    Moved(String),
}

/// How a request ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With a response: its status, and the file or folder that the URI stands for.
    Response {
        /// The status.
        status: u16,
        /// The path that the URI stands for in the location.
        path: Option<String>,
        /// The module that answered.
        module: Option<&'static str>,
    },
    /// Another server answers.
    Sent {
        /// The module that sends it there.
        module: &'static str,
        /// The URL.
        to: Option<String>,
    },
    /// The connection is closed without an answer.
    Closed(u16),
}

/// A directive that is not in force.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The directive.
    pub directive: String,
    /// Where it stands.
    pub place: String,
    /// Where the one stands that put it out of force.
    pub because: String,
}

/// The module that answered, and the URL that it sent the request to.
type Answered = (&'static str, Option<String>);

/// A location that was tried.
struct Tried {
    location: LocationId,
    why: String,
    chosen: bool,
}

/// Explains a request. Files are looked at as they would be for a real one; nothing is sent anywhere, and nothing written.
///
/// # Errors
/// [`ExplainError`]
pub fn explain(look: Inspection, question: &Question) -> Result<Explanation, ExplainError> {
    let target = request::Target::of(&question.url)?;
    let mut notes = Notes::new()?;
    let mut look = look;
    let cycle = look.cycle.take().and_then(Arc::into_inner).filter(|_| !look.has_errors());
    let mut cycle = cycle.ok_or(ExplainError::Configuration)?;
    for location in &mut cycle.locations {
        location.core.error_log = notes.log.clone();
    }
    let cycle = Arc::new(cycle);
    let (listen, why) = target.listen(&cycle)?;
    let posed = request::pose(&cycle, question, &target, listen);
    let teller = Teller { look: &look, cycle: &cycle, nests: Nests::new(&look) };
    let mut steps = Vec::new();
    if let Some((status, why)) = &posed.refused {
        steps.push(Step::Moved(format!("the request is refused with {status}: {why}")));
    }
    let mut answered = None;
    let refused = posed.refused.as_ref().map(|(status, _)| *status);
    let r = &posed.r;
    let end = observe(r, refused, &mut |moment| {
        let news = notes.news();
        teller.step(r, moment, news, &mut steps, &mut answered);
    });
    let (end, headers) = teller.end(r, end, answered);
    let spec = &cycle.listens[listen].spec;
    let why = match (spec.ssl, target.secure) {
        (true, false) if !target.authority.is_empty() => {
            format!("{why}; it speaks TLS, and a request without it gets 400")
        }
        (false, true) => format!("{why}; it does not speak TLS, so https does not work there"),
        _ => why.to_owned(),
    };
    Ok(Explanation {
        request: String::from_utf8_lossy(r.head.line()).into_owned(),
        host: String::from_utf8_lossy(&r.host.borrow()).into_owned(),
        listen: Reason { what: spec.text.clone(), place: String::new(), why },
        server: teller.server(&posed.choice, &r.host.borrow()),
        steps,
        lost: teller.lost(r, &end),
        end,
        headers,
    })
}

struct Teller<'a> {
    look: &'a Inspection,
    cycle: &'a Arc<Cycle>,
    nests: Nests<'a>,
}

impl Teller<'_> {
    fn step(
        &self,
        r: &Rc<Request>,
        moment: Moment<'_>,
        log: Vec<String>,
        steps: &mut Vec<Step>,
        answered: &mut Option<Answered>,
    ) {
        match moment {
            Moment::Chosen => {
                steps.push(self.search(r));
                if !log.is_empty() {
                    steps.push(Step::Handler {
                        phase: "find config",
                        module: "engine",
                        said: "refuses it".into(),
                        log,
                    });
                }
            }
            Moment::Asked { phase, module, said } => {
                if matches!(said, Flow::Respond(_) | Flow::Finalize(_)) {
                    *answered = Some((module, None));
                }
                if !matches!(said, Flow::Declined) || !log.is_empty() {
                    steps.push(Step::Handler { phase, module, said: tell(said), log });
                }
            }
            Moment::Sent { module, to } => {
                let to = to.map(|to| String::from_utf8_lossy(&to).into_owned());
                let said = to.as_ref().map_or("sends the request on".into(), |to| format!("sends the request to {to}"));
                *answered = Some((module, to));
                steps.push(Step::Handler { phase: "content", module, said, log });
            }
            Moment::Settled(flow) => {
                if !log.is_empty() {
                    steps.push(Step::Handler { phase: "end", module: "engine", said: tell(flow), log });
                }
            }
            Moment::Again => {
                let uri = String::from_utf8_lossy(&r.uri.borrow()).into_owned();
                let location = r.location();
                let said = match (location.kind, refused(steps)) {
                    (LocationKind::Named, _) => {
                        format!("goes on in the named location @{}", String::from_utf8_lossy(&location.name))
                    }
                    (_, Some(status)) => format!("error_page for {status}: begins again as {uri}"),
                    _ => format!("begins again as {uri}"),
                };
                steps.push(Step::Moved(said));
            }
        }
    }

    fn search(&self, r: &Rc<Request>) -> Step {
        let uri = r.uri.borrow().clone();
        let base = r.server().base;
        let tried = locations::tried(self.cycle, r, base, &uri, r.location_id());
        let chosen = tried.iter().rposition(|tried| tried.chosen);
        // Looking once more has taken the captures along; the search itself leaves the same ones.
        let _ = self.cycle.find_location(r, base, &uri);
        let reasons = tried.into_iter().map(|tried| {
            let (what, place) = self.location(tried.location);
            Reason { what, place, why: tried.why }
        });
        Step::Search { uri: String::from_utf8_lossy(&uri).into_owned(), tried: reasons.collect(), chosen }
    }

    /// A location as it was written, and where.
    fn location(&self, id: LocationId) -> (String, String) {
        let place = self.look.places.get(id.0 as usize).copied().unwrap_or_default();
        match self.nests.at(place).and_then(|nest| nest.path.last().copied()) {
            Some(directive) => (words(self.look, directive), self.place(place)),
            None => (format!("{:?}", self.cycle.location(id)), String::new()),
        }
    }

    fn place(&self, place: Span) -> String {
        let source = self.look.loaded.sources.get(place.file);
        if source.origin == Origin::File { self.look.loaded.sources.place(place) } else { String::new() }
    }

    fn end(&self, r: &Request, end: End, answered: Option<Answered>) -> (Outcome, Vec<(String, String)>) {
        let (module, to) = answered.map_or((None, None), |(module, to)| (Some(module), to));
        match end {
            End::Sent(response) => (Outcome::Sent { module: module.unwrap_or_default(), to }, headers(&response)),
            End::Answer(Answer::Close(status)) => (Outcome::Closed(status), Vec::new()),
            End::Answer(Answer::Response(mut response)) => {
                settle_head(r, &mut response);
                let is_file =
                    module.is_some_and(|module| matches!(module, "static_files" | "gzip_static" | "autoindex"));
                let path = r.map_uri().filter(|_| is_file).map(|path| String::from_utf8_lossy(&path).into_owned());
                (Outcome::Response { status: response.status, path, module }, headers(&response))
            }
        }
    }

    /// Headers of the blocks around that the location does not add, and those that are not sent upstream.
    fn lost(&self, r: &Request, end: &Outcome) -> Vec<Lost> {
        let place = self.look.places.get(r.location_id().0 as usize).copied().unwrap_or_default();
        let Some(nest) = self.nests.at(place) else { return Vec::new() };
        let upstream: &[&str] = match end {
            Outcome::Sent { module: "proxy", .. } => &["proxy_set_header", "proxy_hide_header"],
            Outcome::Sent { module: "fastcgi", .. } => &["fastcgi_param"],
            Outcome::Sent { module: "uwsgi", .. } => &["uwsgi_param"],
            Outcome::Sent { module: "scgi", .. } => &["scgi_param"],
            Outcome::Sent { module: "grpc", .. } => &["grpc_set_header"],
            _ => &[],
        };
        let names = ["add_header", "add_trailer"].iter().chain(upstream);
        let lost = names.flat_map(|name| nest.lost(name)).map(|(lost, by)| Lost {
            directive: words(self.look, lost),
            place: self.place(lost.name.span),
            because: self.place(by.name.span),
        });
        lost.collect()
    }
}

/// The status that the last handler ended the request with: what `error_page` may answer in its place, under another one.
fn refused(steps: &[Step]) -> Option<&str> {
    let Some(Step::Handler { said, .. }) = steps.last() else { return None };
    said.strip_prefix("ends with status ").or(said.strip_prefix("answers with status "))
}

/// What a handler decided.
fn tell(flow: &Flow) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match flow {
        Flow::Declined => "goes on".into(),
        Flow::Ok => "lets it through".into(),
        Flow::Finalize(status) => format!("ends with status {status}"),
        Flow::Respond(response) => format!("answers with status {}", response.status),
        Flow::Redirect { uri, args } if args.is_empty() => format!("internal redirect to {}", text(uri)),
        Flow::Redirect { uri, args } => format!("internal redirect to {}?{}", text(uri), text(args)),
        Flow::Named(name) => format!("goes to the named location @{}", text(name)),
        Flow::Delay(time) => format!("waits {} ms", time.as_millis()),
        Flow::Async(_) => "asks elsewhere and waits; taken to go well".into(),
        Flow::Close(status) => format!("closes the connection ({status})"),
    }
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let typed = response.content_type.iter().map(|value| match &response.charset {
        Some(charset) => ("Content-Type".to_owned(), format!("{}; charset={}", text(value), text(charset))),
        None => ("Content-Type".to_owned(), text(value)),
    });
    let length = response.content_length.iter().map(|length| ("Content-Length".to_owned(), length.to_string()));
    let others = response.headers.iter().map(|(_, name, value)| (text(name), text(value)));
    typed.chain(length).chain(others).collect()
}
