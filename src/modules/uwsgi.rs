//! `uwsgi_pass`: requests go on to a uWSGI server.
//! <https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html>

use std::sync::Arc;

use bytes::Bytes;

use super::upstream::{
    Encoding, ParamList, Params, Pass, Passing, PassingHandler, Settings, Speaker, SslSettings, add_param, check_all,
    passing_commands, read_cache_path, read_pass_behind, settled_pass, want_temp_folders,
};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, NodeKind, SetResult, assign, temp_path};
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
    /// The address stands behind `suwsgi://`.
    secure: bool,
}

/// Headers of answers that stay with us.
const HIDDEN: &[&str] =
    &["X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"];

const SCHEME: &str = "uwsgi://";
const SECURE_SCHEME: &str = "suwsgi://";

impl Module for UwsgiPass {
    type Conf = Conf;
    const NAME: &'static str = "http_uwsgi";
    const COMMANDS: &'static [Command<Conf>] = passing_commands!(
        "uwsgi",
        [
            Command::custom("uwsgi_pass", pass),
            Command::number("uwsgi_modifier1", |c| &mut c.modifier1),
            Command::number("uwsgi_modifier2", |c| &mut c.modifier2),
            Command::text("uwsgi_string", |c| &mut c.string),
            Command::flag("uwsgi_ssl_session_reuse", |c| &mut c.ssl.session_reuse),
            Command::script("uwsgi_ssl_name", |c| &mut c.ssl.name),
            Command::flag("uwsgi_ssl_server_name", |c| &mut c.ssl.server_name),
            Command::flag("uwsgi_ssl_verify", |c| &mut c.ssl.verify),
            Command::number("uwsgi_ssl_verify_depth", |c| &mut c.ssl.verify_depth),
            Command::custom("uwsgi_ssl_protocols", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_ciphers", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_trusted_certificate", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_crl", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_certificate", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_certificate_key", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_certificate_cache", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_password_file", |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom("uwsgi_ssl_conf_command", |c, args, ctx| c.ssl.read(args, ctx)),
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
            && let secure = is_secure(conf, location)
            && let Some(passing) = build(conf, &pass, location.ctx, secure)
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

fn pass(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if args.value(1).get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"suwsgi://")) {
        c.secure = true;
        return read_pass_behind(&mut c.pass, args, ctx, SECURE_SCHEME.as_bytes());
    }
    read_pass_behind(&mut c.pass, args, ctx, SCHEME.as_bytes())
}

/// Whether the address stands behind `suwsgi://`; `if` and `limit_except` pass on as the location around them does.
fn is_secure(conf: &Conf, location: &LocationBuilder<'_, '_>) -> bool {
    let (mut node, mut found) = (location.node, (conf.pass.is_some(), conf.secure));
    while !found.0 && matches!(location.ctx.kind(node), NodeKind::LocationIf | NodeKind::LimitExcept) {
        let Some(around) = location.ctx.parent(node) else { break };
        node = around;
        let conf = location.ctx.conf_at::<Conf>(node);
        found = (conf.pass.is_some(), conf.secure);
    }
    found.1
}

fn default_temp_path(ctx: &Ctx<'_>) -> TempPath {
    let paths = ctx.paths();
    TempPath { path: paths.of(paths.layout.uwsgi_temp), levels: [1, 2, 0] }
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>, secure: bool) -> Option<Passing<Packet>> {
    let temp = default_temp_path(ctx);
    let backend = if secure { Some(conf.ssl.resolve(ctx, "uwsgi", &[])?) } else { None };
    let headers = conf.common.pass_request_headers.unwrap_or(true);
    let modifier = |number: Option<u64>| number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
    Some(Passing {
        conf: Arc::new(conf.common.resolve((ctx, UwsgiPass::NAME), HIDDEN, || temp)),
        target: pass.target(ctx)?,
        scheme: if secure { SECURE_SCHEME } else { SCHEME },
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
