//! `fastcgi_pass`: requests go on to a FastCGI application, such as PHP-FPM.
//! <https://nginx.org/en/docs/http/ngx_http_fastcgi_module.html>

mod split;
mod write;

use std::sync::Arc;

use bytes::Bytes;

use self::split::{Split, VARIABLES, read_split};
use self::write::Records;
use super::upstream::{
    Encoding, ParamList, Params, Pass, Passing, PassingHandler, Schemes, Settings, Slash, add_param, check_all,
    passing_commands, read_cache_path, read_pass, settled_pass, want_temp_folders,
};
use crate::conf::{Command, Ctx, Inherit, LocationBuilder, Module, assign, temp_path};
use crate::http::{Regex, TempPath, VariableDef};
use crate::upstream::{BodyWanted, FastCgi, Protocol};

/// `ngx_http_fastcgi_module`.
pub struct FastCgiPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    pass: Option<Pass>,
    params: ParamList,
    index: Option<Bytes>,
    split: Option<Arc<Regex>>,
    keep_conn: Option<bool>,
    catch_stderr: Option<Vec<Bytes>>,
    /// Nothing comes of it on Linux.
    send_lowat: Option<usize>,
}

/// Headers of answers that stay with us.
const HIDDEN: &[&str] =
    &["Status", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"];

const SCHEMES: Schemes = Schemes::unwritten("fastcgi://");

impl Module for FastCgiPass {
    type Conf = Conf;
    const NAME: &'static str = "http_fastcgi";
    const COMMANDS: &'static [Command<Conf>] = passing_commands!(
        "fastcgi",
        [
            Command::custom("fastcgi_pass", |c, args, ctx| {
                read_pass(&mut c.pass, args, ctx, (SCHEMES, Slash::Added))
            }),
            Command::text("fastcgi_index", |c| &mut c.index),
            Command::custom("fastcgi_split_path_info", read_split),
            Command::flag("fastcgi_keep_conn", |c| &mut c.keep_conn),
            Command::custom("fastcgi_catch_stderr", |c, args, _| {
                c.catch_stderr.get_or_insert_default().push(args.bytes(1));
                Ok(())
            }),
            Command::size("fastcgi_send_lowat", |c| &mut c.send_lowat),
        ]
    );
    const VARIABLES: &'static [VariableDef] = VARIABLES;

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.params.inherit(&parent.params);
        conf.index.inherit(&parent.index);
        conf.split.inherit(&parent.split);
        conf.keep_conn.inherit(&parent.keep_conn);
        conf.catch_stderr.inherit(&parent.catch_stderr);
        conf.send_lowat.inherit(&parent.send_lowat);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.split.is_some() || conf.index.is_some() {
            location.extensions.insert(Split::new(conf));
        }
        if let Some(pass) = settled_pass::<Conf>(&conf.pass, location.ctx, location.node, |conf| &conf.pass)
            && let Some(passing) = build(conf, &pass, location.ctx)
        {
            location.content(PassingHandler(Arc::new(passing)));
        }
    }

    fn finish(ctx: &mut Ctx<'_>) {
        check_all::<Conf>(ctx, "fastcgi", |conf| &conf.common);
        let default = default_temp_path(ctx);
        want_temp_folders::<Conf>(ctx, |conf| &conf.common, default);
    }
}

fn default_temp_path(ctx: &Ctx<'_>) -> TempPath {
    let paths = ctx.paths();
    TempPath { path: paths.of(paths.layout.fastcgi_temp), levels: [1, 2, 0] }
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>) -> Option<Passing<Records>> {
    let temp = default_temp_path(ctx);
    let keep_conn = conf.keep_conn.unwrap_or(false);
    let headers = conf.common.pass_request_headers.unwrap_or(true);
    let catch_stderr = conf.catch_stderr.clone().unwrap_or_default();
    Some(Passing {
        backend: None,
        conf: Arc::new(conf.common.resolve((ctx, FastCgiPass::NAME), HIDDEN, || temp)),
        target: pass.target(ctx)?,
        schemes: SCHEMES,
        protocol: Protocol::FastCgi(Arc::new(FastCgi { keep_conn, catch_stderr })),
        body: BodyWanted {
            passes: conf.common.pass_request_body.unwrap_or(true),
            streams: !conf.common.request_buffering.unwrap_or(true),
            chunked: true,
        },
        params: Params::new(&conf.params, Encoding::FastCgi, headers, ctx),
        speaker: Records { keep_conn },
    })
}
