//! `proxy_pass`: requests go on to an HTTP server. <https://nginx.org/en/docs/http/ngx_http_proxy_module.html>

mod cookie;
mod handler;
mod headers;
mod pass;
mod redirect;
mod request;
mod variables;

use std::sync::Arc;

use self::cookie::Cookies;
use self::handler::Proxy;
use self::headers::Headers;
use self::pass::Pass;
use self::redirect::Redirects;
use super::resolver::NameService;
use super::upstream::{
    SetHeader, Settings, SslSettings, check_all, late_script, listed_commands, read_cache_path, ssl_commands,
    want_temp_folders,
};
use crate::conf::{Command, Ctx, Inherit, LocationBuilder, Module, NodeId, NodeKind, assign, temp_path};
use crate::http::{Script, TempPath, VariableDef};
use crate::upstream::BodyWanted;

/// `ngx_http_proxy_module`.
pub struct ProxyPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    ssl: SslSettings,
    pass: Option<Pass>,
    set_headers: Option<Arc<Vec<SetHeader>>>,
    set_body: Option<Script>,
    method: Option<Script>,
    http_11: Option<bool>,
    redirects: Redirects,
    cookies: Cookies,
}

/// Whose the caches are.
const OWNER: &str = "http_proxy";

/// Headers of answers that stay with us.
const HIDDEN: &[&str] = &[
    "Date",
    "Server",
    "X-Pad",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

impl Module for ProxyPass {
    type Conf = Conf;
    const NAME: &'static str = "http_proxy";
    const COMMANDS: &'static [Command<Conf>] = ssl_commands!(
        listed_commands,
        "proxy",
        [
            Command::custom("proxy_pass", pass::set),
            Command::custom("proxy_redirect", redirect::add),
            Command::custom("proxy_cookie_domain", cookie::add_domain),
            Command::custom("proxy_cookie_path", cookie::add_path),
            Command::custom("proxy_cookie_flags", cookie::add_flags),
            Command::custom("proxy_set_header", headers::add),
            Command::custom("proxy_set_body", |c, args, ctx| {
                if c.set_body.is_some() {
                    return Err(args.duplicate());
                }
                c.set_body = late_script(args, 1, ctx)?;
                Ok(())
            }),
            Command::script("proxy_method", |c| &mut c.method),
            Command::custom("proxy_http_version", |c, args, _| {
                assign(&mut c.http_11, args, || args.one_of(1, &[("1.0", false), ("1.1", true)]))
            }),
            Command::flag("proxy_pass_request_headers", |c| &mut c.common.pass_request_headers),
            Command::flag("proxy_pass_request_body", |c| &mut c.common.pass_request_body),
            Command::flag("proxy_pass_trailers", |c| &mut c.common.pass_trailers),
            Command::flag("proxy_buffering", |c| &mut c.common.buffering),
            Command::flag("proxy_request_buffering", |c| &mut c.common.request_buffering),
            Command::flag("proxy_ignore_client_abort", |c| &mut c.common.ignore_client_abort),
            Command::flag("proxy_intercept_errors", |c| &mut c.common.intercept_errors),
            Command::flag("proxy_force_ranges", |c| &mut c.common.force_ranges),
            Command::flag("proxy_socket_keepalive", |c| &mut c.common.socket_keepalive),
            Command::msec("proxy_connect_timeout", |c| &mut c.common.connect_timeout),
            Command::msec("proxy_send_timeout", |c| &mut c.common.send_timeout),
            Command::msec("proxy_read_timeout", |c| &mut c.common.read_timeout),
            Command::msec("proxy_next_upstream_timeout", |c| &mut c.common.next_upstream_timeout),
            Command::number("proxy_next_upstream_tries", |c| &mut c.common.next_upstream_tries),
            Command::custom("proxy_next_upstream", |c, args, _| c.common.read_next_upstream(args)),
            Command::custom("proxy_ignore_headers", |c, args, _| c.common.read_ignored(args)),
            Command::custom("proxy_hide_header", |c, args, _| {
                Settings::add_name(&mut c.common.hide, args);
                Ok(())
            }),
            Command::custom("proxy_pass_header", |c, args, _| {
                Settings::add_name(&mut c.common.pass, args);
                Ok(())
            }),
            Command::custom("proxy_buffers", |c, args, _| c.common.read_buffers(args)),
            Command::custom("proxy_buffer_size", |c, args, _| c.common.read_size(args, |s| &mut s.buffer_size)),
            Command::custom("proxy_busy_buffers_size", |c, args, _| c
                .common
                .read_size(args, |s| &mut s.busy_buffers_size)),
            Command::custom("proxy_max_temp_file_size", |c, args, _| {
                c.common.read_size(args, |s| &mut s.max_temp_file_size)
            }),
            Command::custom("proxy_temp_file_write_size", |c, args, _| {
                c.common.read_size(args, |s| &mut s.temp_file_write_size)
            }),
            Command::custom("proxy_temp_path", |c, args, ctx| {
                assign(&mut c.common.temp_path, args, || temp_path(args, ctx))
            }),
            Command::custom("proxy_bind", |c, args, ctx| c.common.read_bind(args, ctx)),
            Command::custom("proxy_store", |c, args, ctx| c.common.read_store(args, ctx)),
            Command::custom("proxy_store_access", |c, args, _| c.common.read_store_access(args)),
            Command::script("proxy_limit_rate", |c| &mut c.common.limit_rate),
            Command::custom("proxy_cache", |c, args, ctx| c.common.read_cache(args, ctx, OWNER)),
            Command::custom("proxy_cache_path", |_, args, ctx| read_cache_path(args, ctx, OWNER)),
            Command::script("proxy_cache_key", |c| &mut c.common.cache.key),
            Command::custom("proxy_cache_bypass", |c, args, ctx| c.common.cache.read_bypass(args, ctx)),
            Command::custom("proxy_no_cache", |c, args, ctx| c.common.cache.read_no_cache(args, ctx)),
            Command::custom("proxy_cache_valid", |c, args, _| c.common.cache.read_valid(args)),
            Command::number("proxy_cache_min_uses", |c| &mut c.common.cache.min_uses),
            Command::offset("proxy_cache_max_range_offset", |c| &mut c.common.cache.max_range_offset),
            Command::custom("proxy_cache_use_stale", |c, args, _| c.common.cache.read_use_stale(args)),
            Command::custom("proxy_cache_methods", |c, args, _| c.common.cache.read_methods(args)),
            Command::flag("proxy_cache_lock", |c| &mut c.common.cache.lock),
            Command::msec("proxy_cache_lock_timeout", |c| &mut c.common.cache.lock_timeout),
            Command::msec("proxy_cache_lock_age", |c| &mut c.common.cache.lock_age),
            Command::flag("proxy_cache_revalidate", |c| &mut c.common.cache.revalidate),
            Command::flag("proxy_cache_convert_head", |c| &mut c.common.cache.convert_head),
            Command::flag("proxy_cache_background_update", |c| &mut c.common.cache.background_update),
        ]
    );
    const VARIABLES: &'static [VariableDef] = variables::VARIABLES;

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.ssl.inherit(&parent.ssl);
        conf.set_headers.inherit(&parent.set_headers);
        conf.set_body.inherit(&parent.set_body);
        conf.method.inherit(&parent.method);
        conf.http_11.inherit(&parent.http_11);
        conf.redirects.inherit(&parent.redirects, conf.pass.as_ref());
        conf.cookies.inherit(&parent.cookies);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let passes = match &conf.pass {
            Some(pass) => Some(pass.clone()),
            None => around(location.ctx, location.node),
        };
        if let Some(pass) = passes
            && let Some(proxy) = build(conf, &pass, location.ctx, location.extensions.get::<NameService>())
        {
            if let Some(vars) = proxy.target.fixed_vars() {
                location.extensions.insert(vars.clone());
            }
            location.content(Handler(Arc::new(proxy)));
        }
    }

    fn finish(ctx: &mut Ctx<'_>) {
        check_all::<Conf>(ctx, "proxy", |conf| &conf.common);
        let default = default_temp_path(ctx);
        want_temp_folders::<Conf>(ctx, |conf| &conf.common, default);
    }
}

pub(super) use handler::Handler;

/// `if` and `limit_except` pass requests on as the location around them does.
fn around(ctx: &Ctx<'_>, node: NodeId) -> Option<Pass> {
    let mut node = node;
    while matches!(ctx.kind(node), NodeKind::LocationIf | NodeKind::LimitExcept) {
        node = ctx.parent(node)?;
        if let Some(pass) = &ctx.conf_at::<Conf>(node).pass {
            return Some(pass.clone());
        }
    }
    None
}

fn default_temp_path(ctx: &Ctx<'_>) -> TempPath {
    let paths = ctx.paths();
    TempPath { path: paths.of(paths.layout.proxy_temp), levels: [1, 2, 0] }
}

/// Everything resolved; `None` where the upstream was complained about.
fn build(conf: &Conf, pass: &Pass, ctx: &mut Ctx<'_>, names: Option<&NameService>) -> Option<Proxy> {
    let temp = default_temp_path(ctx);
    let target = pass.target(ctx)?;
    let backend = if pass.may_be_secure() { Some(conf.ssl.resolve(ctx, "proxy", &[])?) } else { None };
    let set = conf.set_headers.as_ref().map_or(&[][..], |headers| &headers[..]);
    let common = conf.common.resolve((ctx, OWNER), HIDDEN, || temp);
    let cached_headers = common.cache.as_ref().map(|_| Headers::for_cache(set, target.fixed_vars(), ctx));
    Some(Proxy {
        conf: Arc::new(common),
        headers: Headers::new(set, target.fixed_vars(), ctx),
        cached_headers,
        target,
        backend,
        body: conf.set_body.clone(),
        method: conf.method.clone(),
        http_11: conf.http_11.unwrap_or(false),
        pass_request_headers: conf.common.pass_request_headers.unwrap_or(true),
        body_wanted: BodyWanted {
            passes: conf.common.pass_request_body.unwrap_or(true) && conf.set_body.is_none(),
            streams: !conf.common.request_buffering.unwrap_or(true),
            chunked: conf.http_11.unwrap_or(false),
        },
        redirects: conf.redirects.settled(),
        cookies: conf.cookies.settled(),
        resolver: names.map(|names| (names.resolver.clone(), names.timeout)),
    })
}
