//! `scgi_pass`: requests go on to an SCGI application.
//! <https://nginx.org/en/docs/http/ngx_http_scgi_module.html>

use std::sync::Arc;

use super::upstream::{
    Encoding, ParamList, Params, Pass, Passing, PassingHandler, Schemes, Settings, Slash, Speaker, add_param,
    check_all, passing_commands, read_cache_path, read_pass, settled_pass, want_temp_folders,
};
use crate::conf::{Command, Ctx, Inherit, LocationBuilder, Module, assign, temp_path};
use crate::http::{Request, TempPath};
use crate::upstream::{BodyWanted, Content, Protocol};

/// `ngx_http_scgi_module`.
pub struct ScgiPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    pass: Option<Pass>,
    params: ParamList,
}

/// Headers of answers that stay with us.
const HIDDEN: &[&str] =
    &["Status", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"];

const SCHEMES: Schemes = Schemes::unwritten("scgi://");

impl Module for ScgiPass {
    type Conf = Conf;
    const NAME: &'static str = "http_scgi";
    const COMMANDS: &'static [Command<Conf>] = passing_commands!(
        "scgi",
        [Command::custom("scgi_pass", |c, args, ctx| {
            read_pass(&mut c.pass, args, ctx, (SCHEMES, Slash::AddedForFixed))
        })]
    );

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.params.inherit(&parent.params);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(pass) = settled_pass::<Conf>(&conf.pass, location.ctx, location.node, |conf| &conf.pass)
            && let Some(passing) = build(conf, &pass, location.ctx)
        {
            location.content(PassingHandler(Arc::new(passing)));
        }
    }

    fn finish(ctx: &mut Ctx<'_>) {
        check_all::<Conf>(ctx, "scgi", |conf| &conf.common);
        let default = default_temp_path(ctx);
        want_temp_folders::<Conf>(ctx, |conf| &conf.common, default);
    }
}

fn default_temp_path(ctx: &Ctx<'_>) -> TempPath {
    let paths = ctx.paths();
    TempPath { path: paths.of(paths.layout.scgi_temp), levels: [1, 2, 0] }
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>) -> Option<Passing<Netstring>> {
    let temp = default_temp_path(ctx);
    let headers = conf.common.pass_request_headers.unwrap_or(true);
    Some(Passing {
        backend: None,
        conf: Arc::new(conf.common.resolve((ctx, ScgiPass::NAME), HIDDEN, || temp)),
        target: pass.target(ctx)?,
        schemes: SCHEMES,
        protocol: Protocol::Cgi,
        body: BodyWanted {
            passes: conf.common.pass_request_body.unwrap_or(true),
            streams: !conf.common.request_buffering.unwrap_or(true),
            chunked: false,
        },
        params: Params::new(&conf.params, Encoding::Scgi, headers, ctx),
        speaker: Netstring,
    })
}

/// Writes requests: <https://python.ca/scgi/protocol.txt>.
struct Netstring;

impl Speaker for Netstring {
    fn write(&self, r: &Request, params: &Params, content: &Content, out: &mut Vec<u8>) -> Result<(), u16> {
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(b"CONTENT_LENGTH\0");
        text.extend_from_slice(itoa::Buffer::new().format(body_length(r, content)).as_bytes());
        text.push(0);
        params.append(r, &mut text);
        out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
        out.push(b':');
        out.extend_from_slice(&text);
        out.push(b',');
        Ok(())
    }
}

/// The body's length, even where `scgi_pass_request_body` keeps it back.
fn body_length(r: &Request, content: &Content) -> u64 {
    match content {
        Content::Streamed { .. } => r.body.declared_length().unwrap_or(0),
        Content::Stored(_) | Content::None => r.body.stored().map_or(0, |stored| stored.length()),
    }
}
