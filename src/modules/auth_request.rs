//! `auth_request`: another request decides. <https://nginx.org/en/docs/http/ngx_http_auth_request_module.html>

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::http::{
    Flow, Getter, HeaderId, Phase, PhaseHandler, Request, Response, Script, Subrequest, SubrequestFuture, VarIndex,
};
use crate::log::Level;
use crate::upstream::Passage;

/// `ngx_http_auth_request_module`.
pub struct AuthRequest;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    /// Empty for `off`.
    uri: Option<Bytes>,
    variables: Vec<(VarIndex, Script)>,
}

impl Module for AuthRequest {
    type Conf = Conf;
    const NAME: &'static str = "http_auth_request";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("auth_request", |c, args, _| {
            assign(&mut c.uri, args, || Ok(if args.value(1) == b"off" { Bytes::new() } else { args.bytes(1) }))
        }),
        Command::custom("auth_request_set", set_variable),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.uri.inherit(&parent.uri);
        conf.variables.inherit(&parent.variables);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(uri) = conf.uri.clone().filter(|uri| !uri.is_empty()) {
            location.on(Phase::Access, Asker { uri, variables: conf.variables.as_slice().into() });
        }
    }
}

fn set_variable(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let variable = ctx.assigned_variable(args.word(1), Getter::Assigned)?;
    c.variables.push((variable, ctx.script(args.word(2))?));
    Ok(())
}

struct Asker {
    uri: Bytes,
    variables: Arc<[(VarIndex, Script)]>,
}

impl PhaseHandler for Asker {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        // The client's body is not shown: it may not have been read, and will be needed.
        let sub = Subrequest { uri: self.uri.to_vec(), ..Subrequest::default() };
        match r.local.engine.subrequest(r, sub) {
            Ok(work) => Flow::wait(ask(r.clone(), work, self.variables.clone())),
            Err(_) => Flow::Close(500),
        }
    }
}

async fn ask(r: Rc<Request>, work: SubrequestFuture, variables: Arc<[(VarIndex, Script)]>) -> Flow {
    let (sub, answer) = work.await;
    let mut response = match answer {
        Ok(response) => response,
        Err(status) => return Flow::Close(status),
    };
    // Only the head is wanted. Variables that speak of the upstream are complete without the body.
    drop(std::mem::take(&mut response.body));
    for (variable, value) in variables.iter() {
        r.assign(*variable, value.eval(&sub));
    }
    match response.status {
        403 => Flow::Finalize(403),
        401 => {
            take_challenges(&r, &sub, &response);
            Flow::Finalize(401)
        }
        200..300 => Flow::Ok,
        status => {
            r.log(Level::Error, format_args!("auth request unexpected status: {status}"));
            Flow::Finalize(500)
        }
    }
}

/// What the client is to authenticate with is said by the answer, or by the upstream whose answer it is.
fn take_challenges(r: &Request, sub: &Request, response: &Response) {
    let mut pending = r.out.pending.borrow_mut();
    let mut push = |name: &[u8], value: &[u8]| pending.push(name, value);
    if response.headers.has(HeaderId::WwwAuthenticate) {
        each_challenge(&response.headers, &mut push);
    } else if let Some(passage) = Passage::of(sub) {
        each_challenge(&passage.headers(), &mut push);
    }
}

fn each_challenge(headers: &crate::http::Headers, push: &mut dyn FnMut(&[u8], &[u8])) {
    let challenges = headers.iter().filter(|(id, ..)| *id == HeaderId::WwwAuthenticate);
    challenges.for_each(|(_, name, value)| push(name, value));
}
