//! `grpc_pass`: requests go on to a gRPC server. <https://nginx.org/en/docs/http/ngx_http_grpc_module.html>

mod handler;
mod headers;

use std::sync::Arc;

use bytes::Bytes;

use self::handler::{Authority, Grpc, Handler};
use self::headers::{Headers, TRAILERS};
use super::upstream::{
    Pass, Schemes, SetHeader, Settings, Slash, SslSettings, listed_commands, read_pass, settled_pass, ssl_commands,
};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::{TempPath, VariableDef};
use crate::upstream;

/// `ngx_http_grpc_module`.
pub struct GrpcPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    ssl: SslSettings,
    pass: Option<Pass>,
    /// What `grpc_pass` is followed by, without its scheme.
    host: Option<Bytes>,
    set_headers: Option<Arc<Vec<SetHeader>>>,
}

/// Headers of answers that stay with us.
const HIDDEN: &[&str] = &[
    "Date",
    "Server",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

const SCHEMES: Schemes = Schemes::written("grpc://", "grpcs://");

impl Module for GrpcPass {
    type Conf = Conf;
    const NAME: &'static str = "http_grpc";
    const COMMANDS: &'static [Command<Conf>] = ssl_commands!(
        listed_commands,
        "grpc",
        [
            Command::custom("grpc_pass", pass),
            Command::custom("grpc_bind", |c, args, ctx| c.common.read_bind(args, ctx)),
            Command::custom("grpc_set_header", headers::add),
            Command::flag("grpc_intercept_errors", |c| &mut c.common.intercept_errors),
            Command::flag("grpc_socket_keepalive", |c| &mut c.common.socket_keepalive),
            Command::msec("grpc_connect_timeout", |c| &mut c.common.connect_timeout),
            Command::msec("grpc_send_timeout", |c| &mut c.common.send_timeout),
            Command::msec("grpc_read_timeout", |c| &mut c.common.read_timeout),
            Command::size("grpc_buffer_size", |c| &mut c.common.buffer_size),
            Command::custom("grpc_next_upstream", |c, args, _| c.common.read_next_upstream(args)),
            Command::number("grpc_next_upstream_tries", |c| &mut c.common.next_upstream_tries),
            Command::msec("grpc_next_upstream_timeout", |c| &mut c.common.next_upstream_timeout),
            Command::custom("grpc_ignore_headers", |c, args, _| c.common.read_ignored(args)),
            Command::custom("grpc_hide_header", |c, args, _| {
                Settings::add_name(&mut c.common.hide, args);
                Ok(())
            }),
            Command::custom("grpc_pass_header", |c, args, _| {
                Settings::add_name(&mut c.common.pass, args);
                Ok(())
            }),
        ]
    );
    const VARIABLES: &'static [VariableDef] = &[TRAILERS];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.ssl.inherit(&parent.ssl);
        conf.set_headers.inherit(&parent.set_headers);
        if conf.pass.is_none() {
            conf.host.inherit(&parent.host);
        }
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(pass) = settled_pass::<Conf>(&conf.pass, location.ctx, location.node, |conf| &conf.pass)
            && let Some(grpc) = build(conf, &pass, location.ctx)
        {
            location.content(Handler(Arc::new(grpc)));
        }
    }
}

fn pass(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    read_pass(&mut c.pass, args, ctx, (SCHEMES, Slash::Added))?;
    c.host = Some(Bytes::copy_from_slice(SCHEMES.split(args.value(1)).1));
    Ok(())
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>) -> Option<Grpc> {
    let set = conf.set_headers.as_ref().map_or(&[][..], |headers| &headers[..]);
    let headers = Headers::new(set, ctx);
    let authority = match pass {
        Pass::Fixed { .. } => Authority::Fixed(authority(conf.host.clone().unwrap_or_default())),
        Pass::Evaluated(..) => Authority::Evaluated,
    };
    let backend = if pass.may_be_secure() { Some(conf.ssl.resolve(ctx, "grpc", &[b"h2"])?) } else { None };
    Some(Grpc { conf: Arc::new(resolved(conf, ctx)), target: pass.target(ctx)?, backend, authority, headers })
}

/// What nobody can set is as nginx has it.
fn resolved(conf: &Conf, ctx: &Ctx<'_>) -> upstream::Conf {
    let mut settings = conf.common.clone();
    (settings.buffering, settings.pass_trailers) = (Some(false), Some(true));
    let no_files = || TempPath { path: Default::default(), levels: [0; 3] };
    settings.resolve((ctx, GrpcPass::NAME), HIDDEN, no_files)
}

/// A UNIX socket is spoken to as `localhost`.
fn authority(host: Bytes) -> Bytes {
    let is_unix = host.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
    if is_unix { Bytes::from_static(b"localhost") } else { host }
}
