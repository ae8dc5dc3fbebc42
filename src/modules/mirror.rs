//! `mirror`: copies of requests, sent where nobody waits for the answer. <https://nginx.org/en/docs/http/ngx_http_mirror_module.html>

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::{Flow, Phase, PhaseHandler, Request, Subrequest};

/// `ngx_http_mirror_module`.
pub struct Mirror;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    /// Empty for `off`.
    uris: Option<Vec<Bytes>>,
    body: Option<bool>,
}

impl Module for Mirror {
    type Conf = Conf;
    const NAME: &'static str = "http_mirror";
    const COMMANDS: &'static [Command<Conf>] =
        &[Command::custom("mirror", add), Command::flag("mirror_request_body", |c| &mut c.body)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.uris.inherit(&parent.uris);
        conf.body.inherit(&parent.body);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(uris) = conf.uris.as_ref().filter(|uris| !uris.is_empty()) {
            let handler = Handler { uris: uris.as_slice().into(), reads_body: conf.body.unwrap_or(true) };
            location.on(Phase::Precontent, handler);
        }
    }
}

fn add(c: &mut Conf, args: &Args<'_>, _: &mut Ctx<'_>) -> SetResult {
    let off = args.value(1) == b"off";
    match &mut c.uris {
        None if off => c.uris = Some(Vec::new()),
        None => c.uris = Some(vec![args.bytes(1)]),
        Some(uris) if off || uris.is_empty() => return Err(args.duplicate()),
        Some(uris) => uris.push(args.bytes(1)),
    }
    Ok(())
}

struct Handler {
    uris: Arc<[Bytes]>,
    reads_body: bool,
}

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !r.is_main() {
            return Flow::Declined;
        }
        if !self.reads_body || !r.body.exists() || r.body.stored().is_some() {
            return start(r, &self.uris);
        }
        let (r, uris) = (r.clone(), self.uris.clone());
        Flow::wait(async move {
            match r.body.read(&r).await {
                Ok(_) => start(&r, &uris),
                Err(error) if error.is_final() => Flow::Close(error.status()),
                Err(error) => Flow::Finalize(error.status()),
            }
        })
    }
}

fn start(r: &Rc<Request>, uris: &[Bytes]) -> Flow {
    for uri in uris {
        let sub = Subrequest {
            uri: uri.to_vec(),
            args: r.args.borrow().clone(),
            method: Some(r.method.get()),
            with_body: true,
            ..Subrequest::default()
        };
        if r.local.engine.beside(r, sub).is_err() {
            return Flow::Finalize(500);
        }
    }
    Flow::Declined
}
