//! `return`, `rewrite`, `if`, `set`, `break`. <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html>

use std::rc::Rc;

use crate::conf::{Args, Command, Ctx, LocationBuilder, Module, NodeKind, SetResult};
use crate::http::{Flow, Phase, PhaseHandler, Request, Response, Script};

/// `ngx_http_rewrite_module`.
pub struct Rewrite;

/// The codes of one block, in the order written.
#[derive(Default)]
pub struct Conf {
    codes: Vec<Code>,
}

#[derive(Clone)]
enum Code {
    Return(u16, Option<Script>),
}

impl Module for Rewrite {
    type Conf = Conf;
    const NAME: &'static str = "http_rewrite";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("return", add_return)];

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.codes.is_empty() {
            return;
        }
        let phase = match location.kind() {
            NodeKind::Server | NodeKind::ServerIf => Phase::ServerRewrite,
            _ => Phase::Rewrite,
        };
        location.on(phase, Codes(conf.codes.clone().into()));
    }
}

fn add_return(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let status = args.text(1).parse().map_err(|_| args.error(1, "invalid-value", "invalid return code"))?;
    let script = if args.len() > 2 { Some(ctx.script(args.word(2))?) } else { None };
    c.codes.push(Code::Return(status, script));
    Ok(())
}

struct Codes(Box<[Code]>);

impl PhaseHandler for Codes {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        for code in &self.0 {
            match code {
                Code::Return(444, _) => return Flow::Close(444),
                Code::Return(status, None) => return Flow::Finalize(*status),
                Code::Return(status, Some(script)) => {
                    let text = script.eval(r);
                    let content_type = r.location().core.default_type.clone();
                    return Flow::respond(Response::with_bytes(*status, content_type, text));
                }
            }
        }
        Flow::Declined
    }
}
