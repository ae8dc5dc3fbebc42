//! `upstream` blocks, and the upstreams that `proxy_pass` and its kin name.
//! <https://nginx.org/en/docs/http/ngx_http_upstream_module.html>

mod balance;
mod cache;
mod cache_path;
mod commands;
mod keepalive;
mod late;
mod params;
mod pass;
mod passing;
mod server;
mod set_header;
mod settings;
mod ssl;
mod variables;
mod zone;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

pub(super) use balance::Balances;
pub(super) use cache_path::read_cache_path;
pub(super) use commands::{listed_commands, passing_commands, ssl_commands};
pub(super) use keepalive::KeepAlives;
pub(super) use late::{late_script, note_replaced};
pub(super) use params::{Encoding, ParamList, Params, add_param};
pub(super) use pass::{Destination, Pass, Schemes, Slash, Target, read_fixed_pass, read_pass, settled_pass};
pub(super) use passing::{Passing, PassingHandler, Speaker, look_up};
pub(super) use set_header::SetHeader;
pub(super) use settings::{Settings, check_all, want_temp_folders};
pub(super) use ssl::SslSettings;
pub(super) use zone::Zones;

use self::server::{HostConf, ServerConf};
use crate::conf::{Args, Command, Ctx, Module, NodeId, NodeKind, Resources, SetResult, assign};
use crate::diag::{Diagnostic, Span};
use crate::http::{BackgroundWork, NameMap, VariableDef, ZoneKey, shared_zone};
use crate::modules::resolver;
use crate::schema::{Context, Schema};
use crate::syntax::Directive;
use crate::upstream::{Address, Balance, Follower, Health, Peer, Peers, Resolver, Upstream, Url};

/// `ngx_http_upstream_module`.
pub struct Upstreams;

/// The directives of one `upstream` block.
#[derive(Default)]
pub struct Conf {
    servers: Vec<ServerConf>,
    balance: Option<Balance>,
    /// The method that was named has no use for backups.
    refuses_backup: bool,
    /// `keepalive` stands, and no method behind it.
    keepalive: bool,
    zone: bool,
    resolver: Option<Arc<Resolver>>,
    resolver_timeout: Option<Duration>,
}

impl Module for Upstreams {
    type Conf = Conf;
    const NAME: &'static str = "http_upstream";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("upstream", block),
        Command::custom("server", server::add),
        Command::custom("resolver", |c, args, ctx| {
            assign(&mut c.resolver, args, || Ok(Arc::new(resolver::read(args, ctx)?)))
        }),
        Command::msec("resolver_timeout", |c| &mut c.resolver_timeout),
    ];
    const VARIABLES: &'static [VariableDef] = variables::VARIABLES;

    fn finish(ctx: &mut Ctx<'_>) {
        build(ctx);
    }
}

/// Which upstream it is, before all of them are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamId(usize);

/// One upstream while the configuration is read.
struct Named {
    host: Bytes,
    port: u16,
    no_port: bool,
    /// There is a block of its name; without one it stands for its host.
    defined: bool,
    /// The block, once it has been read.
    block: Option<NodeId>,
    address: Option<Address>,
    at: Span,
    nginx_at: Span,
}

#[derive(Default)]
struct AllNamed {
    list: Vec<Named>,
    /// Their numbers by their hosts in lower case.
    by_host: NameMap<Vec<u8>, Vec<usize>>,
}

impl AllNamed {
    /// The numbers of those with this host, in the order in which they were named.
    fn of(&self, host: &[u8]) -> &[usize] {
        self.by_host.get(&host.to_ascii_lowercase()).map_or(&[], |numbers| numbers)
    }

    fn push(&mut self, named: Named) {
        self.by_host.entry(named.host.to_ascii_lowercase()).or_default().push(self.list.len());
        self.list.push(named);
    }
}

/// All upstreams of a configuration, for names that are known at request time only.
#[derive(Default)]
pub struct UpstreamList(Vec<Found>);

struct Found {
    host: Bytes,
    port: u16,
    upstream: Arc<Upstream>,
}

impl UpstreamList {
    /// The upstream of a host and port; one without a port fits only where none was asked for.
    pub fn find(&self, host: &[u8], port: u16, no_port: bool) -> Option<Arc<Upstream>> {
        let fits = |found: &&Found| {
            ((found.port == 0 && no_port) || found.port == port) && found.host.eq_ignore_ascii_case(host)
        };
        self.0.iter().find(fits).map(|found| found.upstream.clone())
    }

    /// The port of an upstream that stands for an address.
    pub fn port_of(&self, upstream: &Arc<Upstream>) -> Option<u16> {
        let found = self.0.iter().find(|found| Arc::ptr_eq(&found.upstream, upstream))?;
        Some(found.port).filter(|port| *port != 0)
    }
}

fn block(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let name = args.bytes(1);
    define(args, ctx, &name)?;
    let index = ctx.collected::<AllNamed>().of(&name).first().copied();
    let node = ctx.block(args, NodeKind::Upstream(name));
    if let Some(index) = index {
        ctx.collected::<AllNamed>().list[index].block = Some(node);
    }
    let children = args.directive().children();
    let is_known = |child: &Directive| Schema::nginx().find(&child.name.value, Context::UPSTREAM).is_some();
    // What nginx does not know has ended its reading before it could miss something.
    let is_whole = args.directive().block.as_ref().is_some_and(|block| !block.pruned);
    if is_whole && children.iter().all(|child| is_known(child) && &*child.name.value != b"server") {
        let close = ctx.end(node);
        return Err(args.error(0, "empty-upstream", "no servers are inside upstream").nginx_at(close));
    }
    Ok(())
}

/// Gives a block its name; a `proxy_pass` further up may have used it already.
fn define(args: &Args<'_>, ctx: &mut Ctx<'_>, name: &Bytes) -> SetResult {
    let at = args.word(1).span;
    let nginx_at = args.directive().end;
    let all = ctx.collected::<AllNamed>();
    let Some(named) = all.of(name).first().copied().map(|number| &mut all.list[number]) else {
        let (host, defined) = (name.clone(), true);
        all.push(Named { host, port: 0, no_port: true, defined, block: None, address: None, at, nginx_at });
        return Ok(());
    };
    let text = String::from_utf8_lossy(name);
    if named.defined {
        let fault = args.error(1, "duplicate-upstream", format!("duplicate upstream \"{text}\""));
        return Err(fault.related(named.at, "the first one is here"));
    }
    if !named.no_port {
        let message = format!("upstream \"{text}\" may not have port {}", named.port);
        return Err(Diagnostic::error("upstream-port", message).at(named.at).nginx_at(named.nginx_at));
    }
    (named.port, named.defined, named.at, named.nginx_at) = (0, true, at, nginx_at);
    Ok(())
}

/// Names an upstream from a directive that passes requests on. The word at `index` holds the URL.
///
/// # Errors
/// nginx's `upstream "x" may not have port 80`.
pub fn name(args: &Args<'_>, index: usize, url: &Url<'_>, ctx: &mut Ctx<'_>) -> Result<UpstreamId, Diagnostic> {
    let all = ctx.collected::<AllNamed>();
    for &id in all.of(url.host) {
        let named = &all.list[id];
        if named.defined && !url.no_port {
            let message = format!("upstream \"{}\" may not have port {}", String::from_utf8_lossy(url.host), url.port);
            return Err(args.error(index, "upstream-port", message));
        }
        if named.port == 0 || url.port == 0 || named.port == url.port {
            return Ok(UpstreamId(id));
        }
    }
    all.push(Named {
        host: Bytes::copy_from_slice(url.host),
        port: url.port,
        no_port: url.no_port,
        defined: false,
        block: None,
        address: url.address.clone(),
        at: args.word(index).span,
        nginx_at: args.directive().end,
    });
    Ok(UpstreamId(all.list.len() - 1))
}

/// All upstreams with their peers, in the order of their ids.
#[derive(Default)]
struct Built(Vec<Option<Arc<Upstream>>>);

/// The upstream of an id, once all blocks have been read; `None` where it was complained about.
pub fn built(ctx: &mut Ctx<'_>, id: UpstreamId) -> Option<Arc<Upstream>> {
    ctx.collected::<Built>().0.get(id.0).cloned().flatten()
}

fn build(ctx: &mut Ctx<'_>) {
    let all = std::mem::take(&mut ctx.collected::<AllNamed>().list);
    let mut list = UpstreamList::default();
    let mut built = Vec::with_capacity(all.len());
    for named in all {
        match build_one(ctx, &named) {
            Ok(upstream) => {
                list.0.push(Found { host: named.host, port: named.port, upstream: upstream.clone() });
                built.push(Some(upstream));
            }
            Err(fault) => {
                // nginx looks at them when it has read all of `http`, and names the line where they were named.
                let end = ctx.end_of_http();
                let fault = fault.map(|fault| fault.at(named.at).nginx_at(named.nginx_at).met_at(end));
                fault.into_iter().for_each(|fault| ctx.complain(fault));
                built.push(None);
            }
        }
    }
    ctx.collected::<Built>().0 = built;
    ctx.extensions.insert(list);
}

/// `Err(None)` where the fault has been told already.
fn build_one(ctx: &mut Ctx<'_>, named: &Named) -> Result<Arc<Upstream>, Option<Diagnostic>> {
    let name = named.host.clone();
    let health = health(ctx, named);
    let Some(node) = named.block else {
        if named.defined {
            return Err(None);
        }
        let peers = Peers::new(implicit_peers(named, ctx.resources)?, Vec::new(), health, false);
        return Ok(Arc::new(Upstream { name, peers, balance: Balance::RoundRobin, keepalive: None }));
    };
    let conf = ctx.conf_at::<Conf>(node);
    let balance = conf.balance.clone().unwrap_or(Balance::RoundRobin);
    let peers = block_peers(conf, &named.host, health, balance.needs_ring())?;
    let resolving = resolving(conf, &named.host, ctx)?;
    let upstream = Arc::new(Upstream { name, peers, balance, keepalive: keepalive::settled(ctx, node) });
    if let Some((resolver, timeout)) = resolving {
        follow(ctx, node, &upstream, (resolver, timeout));
    }
    Ok(upstream)
}

/// What other configurations of this file know of the upstream.
fn health(ctx: &Ctx<'_>, named: &Named) -> Arc<Health> {
    let name = [&named.host[..], b":", named.port.to_string().as_bytes()].concat();
    let key = ZoneKey { configuration: ctx.paths().conf.clone(), owner: "upstream", name, size: 0 };
    shared_zone(key, Health::default)
}

/// How names of servers are resolved while running; `None` where there are none.
fn resolving(
    conf: &Conf,
    name: &Bytes,
    ctx: &Ctx<'_>,
) -> Result<Option<(Arc<Resolver>, Duration)>, Option<Diagnostic>> {
    if conf.servers.iter().all(|server| server.host.is_none()) {
        return Ok(None);
    }
    let name = String::from_utf8_lossy(name);
    let fault = |message: String| Some(Diagnostic::error("resolve", message));
    if !conf.zone {
        return Err(fault(format!("resolving names at run time requires upstream \"{name}\" to be in shared memory")));
    }
    let http = ctx.nodes().find(|node| matches!(ctx.kind(*node), NodeKind::Http));
    let around = http.map(|node| ctx.conf_at::<resolver::Conf>(node));
    let Some(resolver) = conf.resolver.as_ref().or(around.and_then(resolver::Conf::resolver)) else {
        let message = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
        return Err(fault(message));
    };
    let timeout = conf.resolver_timeout.or(around.and_then(resolver::Conf::timeout)).unwrap_or(resolver::TIMEOUT);
    Ok(Some((resolver.clone(), timeout)))
}

/// Has the names of an upstream's servers followed while the configuration runs.
fn follow(ctx: &mut Ctx<'_>, node: NodeId, upstream: &Arc<Upstream>, (resolver, timeout): (Arc<Resolver>, Duration)) {
    let conf = ctx.conf_at::<Conf>(node);
    let backups = !conf.refuses_backup || conf.servers.iter().any(|server| server.backup);
    let follower = |server: &ServerConf| {
        let HostConf { host, template } = server.host.clone()?;
        let (upstream, resolver, backup) = (upstream.clone(), resolver.clone(), server.backup);
        Some(Arc::new(Follower { upstream, host, template, backup, backups, resolver, timeout }) as Arc<_>)
    };
    let followers: Vec<_> = conf.servers.iter().filter_map(follower).collect();
    let mut work = ctx.extensions.get::<BackgroundWork>().cloned().unwrap_or_default();
    work.0.extend(followers);
    ctx.extensions.insert(work);
}

fn block_peers(conf: &Conf, name: &Bytes, health: Arc<Health>, ring: bool) -> Result<Peers, Option<Diagnostic>> {
    if conf.servers.is_empty() {
        return Err(None);
    }
    if conf.servers.iter().all(|server| server.backup) {
        let message = format!("no servers in upstream \"{}\"", String::from_utf8_lossy(name));
        return Err(Some(Diagnostic::error("empty-upstream", message)));
    }
    let (usual, backup) = (peers(conf, &health, false), peers(conf, &health, true));
    Ok(if conf.servers.iter().any(|server| server.host.is_some()) {
        Peers::changing(usual, backup, health, ring)
    } else {
        Peers::new(usual, backup, health, ring)
    })
}

/// The peers that are written down, and behind them those that the configuration before had found for names.
fn peers(conf: &Conf, health: &Health, backup: bool) -> Vec<Peer> {
    let written = conf.servers.iter().filter(|server| server.backup == backup);
    let mut peers: Vec<Peer> = written.flat_map(|server| server.peers.iter().cloned()).collect();
    for server in conf.servers.iter().filter(|server| backup || !server.backup) {
        let Some(HostConf { host, template }) = &server.host else { continue };
        for before in health.found_before(host, backup) {
            let valid = before.host.as_ref().map_or(0, |host| host.valid.load(Ordering::Relaxed));
            host.valid.store(valid, Ordering::Relaxed);
            peers.push(template.found_again(&before, host));
        }
    }
    peers
}

fn implicit_peers(named: &Named, resources: &mut dyn Resources) -> Result<Vec<Peer>, Option<Diagnostic>> {
    let is_unix = named.address.as_ref().is_some_and(Address::is_unix);
    if named.port == 0 && !is_unix {
        let message = format!("no port in upstream \"{}\"", String::from_utf8_lossy(&named.host));
        return Err(Some(Diagnostic::error("upstream-port", message)));
    }
    if let Some(address) = &named.address {
        return Ok(vec![Peer::new(address.clone())]);
    }
    let Some(found) = resources.host(&named.host) else {
        let message = format!("host not found in upstream \"{}\"", String::from_utf8_lossy(&named.host));
        return Err(Some(Diagnostic::error("host-not-found", message)));
    };
    let peer = |ip| Peer::new(Address::Tcp(SocketAddr::new(ip, named.port)));
    Ok(found.into_iter().map(peer).collect())
}
