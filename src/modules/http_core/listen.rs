//! `listen`: an address and how to open it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::Conf;
use crate::conf::{Args, Ctx, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::{KeepAlive, ListenAddress, ListenSpec};
use crate::schema::value;

/// One `listen` of one server.
#[derive(Clone)]
pub(super) struct ListenConf {
    pub(super) spec: ListenSpec,
    pub(super) default_server: bool,
    /// A parameter that belongs to the socket was given, so no second `listen` may give others.
    pub(super) sets_options: bool,
    pub(super) at: Span,
}

/// nginx's `NGX_LISTEN_BACKLOG` on Linux.
const BACKLOG: i32 = 511;

pub(super) fn add(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    let addresses = addresses(args)?;
    for (address, text) in addresses {
        let mut listen = ListenConf {
            spec: plain(address, text),
            default_server: false,
            sets_options: false,
            at: args.word(1).span,
        };
        for index in 2..args.len() {
            parameter(&mut listen, args, index)?;
        }
        if c.listens.iter().any(|other| other.spec.address == listen.spec.address) {
            let message = format!("a duplicate listen {}", listen.spec.text);
            return Err(args.error(1, "duplicate-listen", message));
        }
        c.listens.push(listen);
    }
    Ok(())
}

/// The `listen` of a server without one: port 80, or 8000 for those who may not open it.
pub(super) fn implied(superuser: bool, at: Span) -> ListenConf {
    let port = if superuser { 80 } else { 8000 };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let spec = plain(ListenAddress::Tcp(address), address.to_string());
    ListenConf { spec, default_server: false, sets_options: false, at }
}

fn plain(address: ListenAddress, text: String) -> ListenSpec {
    ListenSpec {
        ipv6only: matches!(address, ListenAddress::Tcp(SocketAddr::V6(_))),
        address,
        text,
        backlog: BACKLOG,
        rcvbuf: None,
        sndbuf: None,
        reuseport: false,
        deferred: false,
        fastopen: None,
        keepalive: None,
        ssl: false,
        http2: false,
        proxy_protocol: false,
    }
}

/// `address[:port]`, `port`, `unix:path`; a name may stand for several addresses.
fn addresses(args: &Args<'_>) -> Result<Vec<(ListenAddress, String)>, Diagnostic> {
    let text = args.text(1);
    let fault =
        |what: &str| args.error(1, "invalid-address", format!("{what} in \"{text}\" of the \"listen\" directive"));
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            return Err(fault("no path in the unix domain socket"));
        }
        if path.len() > 107 {
            return Err(fault("too long path in the unix domain socket"));
        }
        return Ok(vec![(ListenAddress::Unix(PathBuf::from(path)), text.clone().into_owned())]);
    }
    let tcp = |address: SocketAddr| (ListenAddress::Tcp(address), address.to_string());
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = port(&text).ok_or_else(|| fault("invalid port"))?;
        return Ok(vec![tcp((Ipv4Addr::UNSPECIFIED, port).into())]);
    }
    let (host, given) = split_port(&text);
    let port = match given {
        Some(given) => port(given).ok_or_else(|| fault("invalid port"))?,
        None => 80,
    };
    if let Some(literal) = host.strip_prefix('[') {
        let literal = literal.strip_suffix(']').and_then(|literal| literal.parse::<Ipv6Addr>().ok());
        return Ok(vec![tcp((literal.ok_or_else(|| fault("invalid IPv6 address"))?, port).into())]);
    }
    match host {
        "" => Err(fault("no host")),
        "*" => Ok(vec![tcp((Ipv4Addr::UNSPECIFIED, port).into())]),
        _ => {
            if let Ok(ip) = host.parse::<IpAddr>() {
                return Ok(vec![tcp((ip, port).into())]);
            }
            let found = (host, port).to_socket_addrs().map_err(|_| fault("host not found"))?;
            Ok(found.map(tcp).collect())
        }
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    let after_literal = text.rfind(']').map_or(0, |at| at + 1);
    match text[after_literal..].rfind(':') {
        Some(at) => (&text[..after_literal + at], Some(&text[after_literal + at + 1..])),
        None => (text, None),
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

fn parameter(listen: &mut ListenConf, args: &Args<'_>, index: usize) -> SetResult {
    let text = args.text(index);
    let (name, given) = text.split_once('=').map_or((&*text, None), |(name, given)| (name, Some(given)));
    let spec = &mut listen.spec;
    let invalid =
        |what: &str| args.error(index, "invalid-value", format!("invalid {what} \"{}\"", given.unwrap_or_default()));
    match (name, given) {
        ("default_server" | "default", None) => {
            listen.default_server = true;
            return Ok(());
        }
        ("ssl", None) => {
            spec.ssl = true;
            return Err(not_run(args, index));
        }
        ("http2", None) => {
            spec.http2 = true;
            return Ok(());
        }
        ("proxy_protocol", None) | ("quic", None) => return Err(not_run(args, index)),
        ("bind", None) => {}
        ("reuseport", None) => spec.reuseport = true,
        ("deferred", None) => spec.deferred = true,
        ("backlog", Some(given)) => {
            let number = given.parse().ok().filter(|number| *number != 0);
            spec.backlog = number.ok_or_else(|| invalid("backlog"))?;
        }
        ("fastopen", Some(given)) => spec.fastopen = Some(given.parse().map_err(|_| invalid("fastopen"))?),
        ("setfib" | "accept_filter", Some(_)) => {
            return Err(args.invalid_parameter(index));
        }
        ("rcvbuf", Some(given)) => spec.rcvbuf = Some(size(given).ok_or_else(|| invalid("rcvbuf"))?),
        ("sndbuf", Some(given)) => spec.sndbuf = Some(size(given).ok_or_else(|| invalid("sndbuf"))?),
        ("ipv6only", Some(given)) => {
            if !matches!(spec.address, ListenAddress::Tcp(SocketAddr::V6(_))) {
                let message = format!("ipv6only is not supported on addr \"{}\", ignored", spec.text);
                return Err(args.error(index, "invalid-value", message));
            }
            spec.ipv6only = match given {
                "on" => true,
                "off" => false,
                _ => return Err(invalid("ipv6only flags")),
            };
        }
        ("so_keepalive", Some(given)) => {
            spec.keepalive = Some(keepalive(given).ok_or_else(|| {
                args.error(index, "invalid-value", format!("invalid so_keepalive value: \"{given}\""))
            })?)
        }
        _ => return Err(args.invalid_parameter(index)),
    }
    listen.sets_options = true;
    Ok(())
}

fn not_run(args: &Args<'_>, index: usize) -> Diagnostic {
    let message =
        format!("the parameter \"{}\" of \"listen\" is known to nginx, not run by rnginx yet", args.text(index));
    args.error(index, "not-run", message)
}

fn size(text: &str) -> Option<usize> {
    usize::try_from(value::size(text.as_bytes())?).ok()
}

/// `on`, `off` or `idle:interval:count`, each of the three optional.
fn keepalive(text: &str) -> Option<KeepAlive> {
    let plain = KeepAlive { on: true, idle: None, interval: None, count: None };
    match text {
        "on" => return Some(plain),
        "off" => return Some(KeepAlive { on: false, ..plain }),
        _ => {}
    }
    let mut fields = text.split(':');
    let mut time = || match fields.next() {
        None | Some("") => Some(None),
        Some(text) => value::sec(text.as_bytes()).map(Some),
    };
    let (idle, interval): (Option<Duration>, Option<Duration>) = (time()?, time()?);
    let count = match fields.next() {
        None | Some("") => None,
        Some(text) => Some(text.parse().ok()?),
    };
    (idle.is_some() || interval.is_some() || count.is_some()).then_some(KeepAlive { idle, interval, count, ..plain })
}
