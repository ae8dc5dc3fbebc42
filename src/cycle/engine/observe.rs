//! A run looked at step by step, for `explain`: the same handlers, and nothing that waits is waited for.

use std::rc::Rc;

use super::{Answer, Run, Stage, filter};
use crate::http::{Flow, Phase, PhaseHandler, Request, Response};

/// What has just happened to the request.
pub enum Moment<'a> {
    /// A location was chosen; the request is in it now.
    Chosen,
    /// A handler was asked.
    Asked {
        /// nginx's name of the phase.
        phase: &'static str,
        /// The file of its module.
        module: &'static str,
        /// What it said.
        said: &'a Flow,
    },
    /// The location's own handler would send the request on.
    Sent {
        /// The file of its module.
        module: &'static str,
        /// The URL, where the module says it.
        to: Option<Vec<u8>>,
    },
    /// What the handlers have settled is followed.
    Settled(&'a Flow),
    /// The request begins again with the URI that it has now.
    Again,
}

/// How it ended.
pub enum End {
    /// With an answer.
    Answer(Answer),
    /// With the request being sent on: the head of an answer of 200, as the filters of the location make it.
    Sent(Box<Response>),
}

/// Runs a request as far as it goes without waiting; `refused` is the status of a head that cannot be read.
pub fn observe(r: &Rc<Request>, refused: Option<u16>, watch: &mut dyn FnMut(Moment<'_>)) -> End {
    let mut run = if refused.is_some() { Run::refusal(r) } else { Run::new(r) };
    let mut flow = refused.map(Flow::Finalize);
    loop {
        let settled = match flow.take() {
            Some(flow) => flow,
            None => match run.walk_watched(r, watch) {
                Some(flow) => flow,
                None => return End::Sent(sent(r)),
            },
        };
        watch(Moment::Settled(&settled));
        if let Some(answer) = run.follow(r, settled) {
            return End::Answer(answer);
        }
        watch(Moment::Again);
    }
}

/// The head of the answer that an upstream is supposed to give.
fn sent(r: &Rc<Request>) -> Box<Response> {
    let mut response = Box::new(Response::new(200));
    // A filter that refuses has said so in the log.
    let _ = filter(r, &mut response);
    response
}

impl Run {
    /// Until something is settled; `None` where the request is sent on.
    fn walk_watched(&mut self, r: &Rc<Request>, watch: &mut dyn FnMut(Moment<'_>)) -> Option<Flow> {
        loop {
            let Some((phase, handler)) = self.next_handler(r) else {
                let stage = self.stage;
                let settled = self.next_stage(r);
                if stage == Stage::FindConfig {
                    watch(Moment::Chosen);
                }
                match settled {
                    Some(Flow::Async(_)) => return Some(Flow::Finalize(401)),
                    Some(flow) => return Some(flow),
                    None => continue,
                }
            };
            let module = module(handler.name());
            if self.stage == Stage::OwnContent
                && let Some(to) = handler.destination(r)
            {
                watch(Moment::Sent { module, to: Some(to) });
                return None;
            }
            let said = if writes(module) { Flow::Declined } else { handler.handle(r) };
            self.asked += 1;
            watch(Moment::Asked { phase, module, said: &said });
            let said = match said {
                Flow::Async(_) if matches!(self.stage, Stage::OwnContent | Stage::Content) => {
                    watch(Moment::Sent { module, to: None });
                    return None;
                }
                // What would be waited for is taken to go well.
                Flow::Async(_) | Flow::Delay(_) => Flow::Declined,
                said => said,
            };
            match self.judge(r, said) {
                Some(Flow::Async(_)) => return Some(Flow::Finalize(401)),
                Some(flow) => return Some(flow),
                None => {}
            }
        }
    }

    fn next_handler<'r>(&self, r: &'r Request) -> Option<(&'static str, &'r dyn PhaseHandler)> {
        let (phase, name) = match self.stage {
            Stage::PostRead => (Phase::PostRead, "post-read"),
            Stage::ServerRewrite => (Phase::ServerRewrite, "server rewrite"),
            Stage::Rewrite => (Phase::Rewrite, "rewrite"),
            Stage::Preaccess => (Phase::Preaccess, "preaccess"),
            Stage::Access => (Phase::Access, "access"),
            Stage::Precontent => (Phase::Precontent, "precontent"),
            Stage::Content => (Phase::Content, "content"),
            Stage::OwnContent => return r.content_handler().map(|handler| ("content", handler)),
            Stage::FindConfig | Stage::Settled => return None,
        };
        let handler = r.cycle().location(self.location).handlers(phase).get(self.asked)?;
        Some((name, &**handler))
    }
}

/// `rnginx::modules::try_files::Handler` is of `try_files`.
fn module(type_name: &'static str) -> &'static str {
    type_name.split("modules::").nth(1).and_then(|rest| rest.split("::").next()).unwrap_or(type_name)
}

/// Modules whose handlers change files.
fn writes(module: &str) -> bool {
    module == "dav"
}
