//! `uwsgi_pass`: requests go on to a uWSGI server.
//! <https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html>

use std::sync::Arc;

use bytes::Bytes;

use super::upstream::{
    Encoding, ParamList, Params, Pass, Passing, PassingHandler, Schemes, Settings, Slash, Speaker, SslSettings,
    add_param, check_all, passing_commands, read_cache_path, read_pass, settled_pass, ssl_commands, want_temp_folders,
};
use crate::conf::{Command, Ctx, Inherit, LocationBuilder, Module, assign, temp_path};
use crate::http::{Request, TempPath};
use crate::log::Level;
use crate::upstream::{BodyWanted, Content, Protocol};

/// `ngx_http_uwsgi_module`.
pub struct UwsgiPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    pass: Option<Pass>,
    params: ParamList,
    modifier1: Option<u64>,
    modifier2: Option<u64>,
    string: Option<Bytes>,
    ssl: SslSettings,
}

/// Headers of answers that stay with us.
const HIDDEN: &[&str] =
    &["X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"];

const SCHEMES: Schemes = Schemes::written("uwsgi://", "suwsgi://");

impl Module for UwsgiPass {
    type Conf = Conf;
    const NAME: &'static str = "http_uwsgi";
    const COMMANDS: &'static [Command<Conf>] = ssl_commands!(
        passing_commands,
        "uwsgi",
        [
            Command::custom("uwsgi_pass", |c, args, ctx| {
                read_pass(&mut c.pass, args, ctx, (SCHEMES, Slash::AddedForFixed))
            }),
            Command::number("uwsgi_modifier1", |c| &mut c.modifier1),
            Command::number("uwsgi_modifier2", |c| &mut c.modifier2),
            Command::text("uwsgi_string", |c| &mut c.string),
        ]
    );

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.params.inherit(&parent.params);
        conf.modifier1.inherit(&parent.modifier1);
        conf.modifier2.inherit(&parent.modifier2);
        conf.string.inherit(&parent.string);
        conf.ssl.inherit(&parent.ssl);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(pass) = settled_pass::<Conf>(&conf.pass, location.ctx, location.node, |conf| &conf.pass)
            && let Some(passing) = build(conf, &pass, location.ctx)
        {
            location.content(PassingHandler(Arc::new(passing)));
        }
    }

    fn finish(ctx: &mut Ctx<'_>) {
        check_all::<Conf>(ctx, "uwsgi", |conf| &conf.common);
        let default = default_temp_path(ctx);
        want_temp_folders::<Conf>(ctx, |conf| &conf.common, default);
    }
}

fn default_temp_path(ctx: &Ctx<'_>) -> TempPath {
    let paths = ctx.paths();
    TempPath { path: paths.of(paths.layout.uwsgi_temp), levels: [1, 2, 0] }
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>) -> Option<Passing<Packet>> {
    let temp = default_temp_path(ctx);
    let backend = if pass.may_be_secure() { Some(conf.ssl.resolve(ctx, "uwsgi", &[])?) } else { None };
    let headers = conf.common.pass_request_headers.unwrap_or(true);
    let modifier = |number: Option<u64>| number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
    Some(Passing {
        conf: Arc::new(conf.common.resolve((ctx, UwsgiPass::NAME), HIDDEN, || temp)),
        target: pass.target(ctx)?,
        schemes: SCHEMES,
        protocol: Protocol::Cgi,
        backend,
        body: BodyWanted {
            passes: conf.common.pass_request_body.unwrap_or(true),
            streams: !conf.common.request_buffering.unwrap_or(true),
            chunked: false,
        },
        params: Params::new(&conf.params, Encoding::Uwsgi, headers, ctx),
        speaker: Packet {
            modifiers: (modifier(conf.modifier1), modifier(conf.modifier2)),
            string: conf.string.clone().unwrap_or_default(),
        },
    })
}

/// Writes requests: <https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html>.
struct Packet {
    modifiers: (u8, u8),
    /// `uwsgi_string`
    string: Bytes,
}

impl Speaker for Packet {
    fn write(&self, r: &Request, params: &Params, _content: &Content, out: &mut Vec<u8>) -> Result<(), u16> {
        out.extend_from_slice(&[self.modifiers.0, 0, 0, self.modifiers.1]);
        params.append(r, out);
        out.extend_from_slice(&self.string);
        let length = out.len() - 4;
        let Ok(size) = u16::try_from(length) else {
            r.log(Level::Alert, format_args!("uwsgi request is too big: {length}"));
            return Err(500);
        };
        out[1..3].copy_from_slice(&size.to_le_bytes());
        Ok(())
    }
}
