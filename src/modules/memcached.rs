//! `memcached_pass`: answers are values of a memcached server.
//! <https://nginx.org/en/docs/http/ngx_http_memcached_module.html>

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::upstream::{Destination, Pass, Schemes, Settings, Target, look_up, read_fixed_pass, settled_pass};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::escape::append_escaped;
use crate::http::{Escape, Flow, Method, PhaseHandler, Request, TempPath, VarIndex};
use crate::log::Level;
use crate::upstream::{self, Content, Exchange, Lookup, Passage, Protocol, Stop, Unchanged, respond};

/// `ngx_http_memcached_module`.
pub struct MemcachedPass;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    common: Settings,
    pass: Option<Pass>,
    /// `$memcached_key`, where this block passes requests on.
    key: Option<VarIndex>,
    gzip_flag: Option<u64>,
}

impl Module for MemcachedPass {
    type Conf = Conf;
    const NAME: &'static str = "http_memcached";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("memcached_pass", pass),
        Command::custom("memcached_bind", |c, args, ctx| c.common.read_bind(args, ctx)),
        Command::flag("memcached_socket_keepalive", |c| &mut c.common.socket_keepalive),
        Command::msec("memcached_connect_timeout", |c| &mut c.common.connect_timeout),
        Command::msec("memcached_send_timeout", |c| &mut c.common.send_timeout),
        Command::msec("memcached_read_timeout", |c| &mut c.common.read_timeout),
        Command::size("memcached_buffer_size", |c| &mut c.common.buffer_size),
        Command::custom("memcached_next_upstream", |c, args, _| c.common.read_next_upstream(args)),
        Command::number("memcached_next_upstream_tries", |c| &mut c.common.next_upstream_tries),
        Command::msec("memcached_next_upstream_timeout", |c| &mut c.common.next_upstream_timeout),
        Command::number("memcached_gzip_flag", |c| &mut c.gzip_flag),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.common.inherit(&parent.common);
        conf.key.inherit(&parent.key);
        conf.gzip_flag.inherit(&parent.gzip_flag);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(pass) = settled_pass::<Conf>(&conf.pass, location.ctx, location.node, |conf| &conf.pass)
            && let Some(key) = conf.key
            && let Some(target) = pass.target(location.ctx)
        {
            let conf = Arc::new(Memcached {
                conf: Arc::new(resolved(conf, location.ctx)),
                target,
                key,
                gzip_flag: conf.gzip_flag.unwrap_or(0),
            });
            location.content(Handler(conf));
        }
    }
}

fn pass(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    read_fixed_pass(&mut c.pass, args, ctx)?;
    c.key = Some(ctx.variable(b"memcached_key", args.word(0).span));
    Ok(())
}

/// What nobody can set is as nginx has it.
fn resolved(conf: &Conf, ctx: &Ctx<'_>) -> upstream::Conf {
    let mut settings = conf.common.clone();
    settings.buffering = Some(false);
    settings.intercept_errors = Some(true);
    settings.force_ranges = Some(true);
    let no_files = || TempPath { path: Default::default(), levels: [0; 3] };
    upstream::Conf { intercept_404: true, ..settings.resolve((ctx, MemcachedPass::NAME), &[], no_files) }
}

/// Everything about a location, resolved.
struct Memcached {
    conf: Arc<upstream::Conf>,
    target: Target,
    key: VarIndex,
    gzip_flag: u64,
}

/// Answers all requests of a location.
struct Handler(Arc<Memcached>);

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !matches!(r.method.get(), Method::Get | Method::Head) {
            return Flow::Finalize(405);
        }
        r.body.discard();
        let (memcached, r) = (self.0.clone(), r.clone());
        Flow::wait(async move { memcached.serve(&r).await.unwrap_or_else(Stop::flow) })
    }

    /// The key stands where a URL has its path, as it does there mostly.
    fn destination(&self, r: &Rc<Request>) -> Option<Vec<u8>> {
        if !matches!(r.method.get(), Method::Get | Method::Head) {
            return None;
        }
        let mut url = self.0.target.url(&Schemes::unwritten("memcached://"), r)?;
        let key = self.0.key(r)?;
        if !key.starts_with(b"/") {
            url.push(b'/');
        }
        url.extend_from_slice(&key);
        Some(url)
    }
}

impl Memcached {
    async fn serve(&self, r: &Rc<Request>) -> Result<Flow, Stop> {
        let Destination { named, .. } = self.target.destination(r).map_err(Stop::Answer)?;
        let upstream = look_up(named, r, &self.conf).await?;
        let passage = Passage::begin(r, Bytes::from_static(b"memcached://"));
        let key = self.key(r).ok_or(Stop::Answer(500))?;
        let mut out = passage.take_request();
        out.extend_from_slice(b"get ");
        out.extend_from_slice(&key);
        out.extend_from_slice(b"\r\n");
        passage.set_request(out, 0..0);
        let protocol = Protocol::Memcached(Lookup { key, gzip_flag: self.gzip_flag });
        let exchange = Exchange { r, conf: &self.conf, upstream, passage: &passage, protocol, secure: None };
        let answer = exchange.run(Content::None).await?;
        let mut flow = respond(&exchange, answer, &Unchanged, false).await;
        if let Flow::Respond(response) = &mut flow {
            response.content_type = Some(r.media_type());
        }
        Ok(flow)
    }

    /// The key as it goes over the wire.
    fn key(&self, r: &Request) -> Option<Bytes> {
        let Some(key) = r.variable(self.key).filter(|key| !key.is_empty()) else {
            r.log(Level::Error, "the \"$memcached_key\" variable is not set");
            return None;
        };
        let mut escaped = Vec::with_capacity(key.len());
        append_escaped(&key, Escape::Memcached, &mut escaped);
        Some(escaped.into())
    }
}
