//! `set_real_ip_from`: the client is who a trusted proxy says it is.
//! <https://nginx.org/en/docs/http/ngx_http_realip_module.html>

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::forwarded::{Named, Trusted};
use crate::conf::{Args, Cidr, Command, Ctx, Inherit, LocationBuilder, Module, NodeKind, SetResult, assign};
use crate::diag::Diagnostic;
use crate::http::{Flow, HeaderId, Phase, PhaseHandler, Request, VariableDef};

/// `ngx_http_realip_module`.
pub struct Realip;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    from: Vec<From>,
    source: Option<Source>,
    recursive: Option<bool>,
}

/// Who is trusted.
#[derive(Clone, Copy)]
enum From {
    Unix,
    Network(Cidr),
}

/// Where the client's address stands.
#[derive(Clone)]
enum Source {
    RealIp,
    ForwardedFor,
    ProxyProtocol,
    /// The header of this name, in lower case.
    Header(Bytes),
}

impl Module for Realip {
    type Conf = Conf;
    const NAME: &'static str = "http_realip";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("set_real_ip_from", trust),
        Command::custom("real_ip_header", |c, args, ctx| {
            keep_early_values(ctx);
            assign(&mut c.source, args, || {
                Ok(match args.value(1) {
                    b"X-Real-IP" => Source::RealIp,
                    b"X-Forwarded-For" => Source::ForwardedFor,
                    b"proxy_protocol" => Source::ProxyProtocol,
                    name => Source::Header(name.to_ascii_lowercase().into()),
                })
            })
        }),
        Command::flag("real_ip_recursive", |c| &mut c.recursive),
    ];
    const VARIABLES: &'static [VariableDef] =
        &[VariableDef::new("realip_remote_addr", remote_addr), VariableDef::new("realip_remote_port", remote_port)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.from.inherit(&parent.from);
        conf.source.inherit(&parent.source);
        conf.recursive.inherit(&parent.recursive);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.from.is_empty() {
            return;
        }
        let networks = conf.from.iter().filter_map(|from| match from {
            From::Network(network) => Some(*network),
            From::Unix => None,
        });
        let finder = Finder {
            trusted: Trusted {
                networks: networks.collect(),
                unix: conf.from.iter().any(|from| matches!(from, From::Unix)),
                recursive: conf.recursive.unwrap_or(false),
            },
            source: conf.source.clone().unwrap_or(Source::RealIp),
        };
        let finder = Arc::new(finder);
        location.on(Phase::PostRead, finder.clone());
        location.on(Phase::Preaccess, finder);
    }
}

/// Within a location the client may change after somebody has asked who it is, and to whom asked nginx sticks to its answer.
fn keep_early_values(ctx: &mut Ctx<'_>) {
    if matches!(ctx.kind(ctx.current()), NodeKind::Location(_)) {
        ["remote_addr", "remote_port", "binary_remote_addr"].iter().for_each(|name| ctx.keep_variable(name));
    }
}

fn trust(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    keep_early_values(ctx);
    if args.value(1) == b"unix:" {
        c.from.push(From::Unix);
        return Ok(());
    }
    if let Some((network, odd)) = Cidr::parse(args.value(1)) {
        if odd {
            let message = format!("low address bits of {} are meaningless", args.text(1));
            let warning = Diagnostic::warning("low-address-bits", message).at(args.word(1).span);
            ctx.complain_in(args.directive(), warning);
        }
        c.from.push(From::Network(network));
        return Ok(());
    }
    let found = ctx.resources.host(args.value(1)).ok_or_else(|| {
        let message = format!("host not found in set_real_ip_from \"{}\"", args.text(1));
        args.error(1, "unknown-host", message)
    })?;
    c.from.extend(found.into_iter().map(|ip| From::Network(Cidr { address: ip, bits: width(ip) })));
    Ok(())
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

struct Finder {
    trusted: Trusted,
    source: Source,
}

impl PhaseHandler for Arc<Finder> {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if r.connection.replaced.borrow().is_none()
            && let Some(client) = self.client(r)
        {
            r.connection.replace_client(client);
        }
        Flow::Declined
    }
}

impl Finder {
    fn client(&self, r: &Request) -> Option<SocketAddr> {
        let from = r.connection.peer.get();
        let headers = r.headers.borrow();
        let named = match &self.source {
            Source::RealIp => self.trusted.client(from, headers.find(b"x-real-ip").into_iter()),
            Source::Header(name) => self.trusted.client(from, headers.find(name).into_iter()),
            Source::ForwardedFor => {
                let values: Vec<_> = headers.get_all(HeaderId::XForwardedFor).collect();
                self.trusted.client(from, values.into_iter())
            }
            Source::ProxyProtocol => {
                let proxy = r.connection.proxy.get()?;
                let mut named = self.trusted.client(from, std::iter::once(&proxy.source[..]));
                if let Named::Found(address) = &mut named {
                    address.set_port(proxy.source_port);
                }
                named
            }
        };
        match named {
            Named::Nobody => None,
            Named::Found(address) => Some(address),
        }
    }
}

fn remote_addr(r: &Request, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&r.connection.came_from().text);
    true
}

fn remote_port(r: &Request, out: &mut Vec<u8>) -> bool {
    let port = r.connection.came_from().peer.map_or(0, |peer| peer.port());
    if port > 0 {
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    true
}
