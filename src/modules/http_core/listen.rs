//! `listen`: an address and how to open it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Conf, address, ports};
use crate::conf::{Args, Ctx, NodeId, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::{KeepAlive, ListenAddress, ListenSpec};
use crate::schema::value;

/// One `listen` of one server.
#[derive(Clone)]
pub(super) struct ListenConf {
    pub(super) spec: ListenSpec,
    pub(super) default_server: bool,
    /// A parameter that belongs to the socket was given, so no second `listen` may give others, and the address
    /// has a socket of its own.
    pub(super) sets_options: bool,
    pub(super) at: Span,
}

/// nginx's `NGX_LISTEN_BACKLOG` on Linux.
const BACKLOG: i32 = 511;

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    c.listens = true;
    let addresses = address::parse(&args.text(1), &mut |host| ctx.resources.host(host.as_bytes())).map_err(|what| {
        let message = format!("{what} in \"{}\" of the \"listen\" directive", args.text(1));
        args.error(1, "invalid-address", message)
    })?;
    let mut addresses = addresses.into_iter();
    let Some((address, text)) = addresses.next() else { return Ok(()) };
    let at = args.word(1).span;
    let mut listen = ListenConf { spec: plain(address, text), default_server: false, sets_options: false, at };
    for index in 2..args.len() {
        parameter(&mut listen, args, index, ctx)?;
    }
    let server = ctx.current();
    loop {
        if let Some(warning) = ports::add(ctx, server, listen.clone())? {
            ctx.complain_in(args.directive(), warning);
        }
        let Some((address, text)) = addresses.next() else { return Ok(()) };
        listen.spec.address = address;
        listen.spec.text = text;
    }
}

/// The `listen` of a server without one: port 80, or 8000 for those who may not open it.
pub(super) fn implied(ctx: &mut Ctx<'_>, server: NodeId) -> SetResult {
    let at = ctx.place(server);
    let port = if ctx.resources.superuser() { 80 } else { 8000 };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let spec = plain(ListenAddress::Tcp(address), address.to_string());
    ports::add(ctx, server, ListenConf { spec, default_server: false, sets_options: false, at })?;
    Ok(())
}

fn plain(address: ListenAddress, text: String) -> ListenSpec {
    ListenSpec {
        ipv6only: true,
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

fn parameter(listen: &mut ListenConf, args: &Args<'_>, index: usize, ctx: &mut Ctx<'_>) -> SetResult {
    let text = args.text(index);
    let (name, given) = text.split_once('=').map_or((&*text, None), |(name, given)| (name, Some(given)));
    match (name, given) {
        ("default_server" | "default", None) => listen.default_server = true,
        ("http2", None) => {
            let message = "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
            ctx.complain_in(args.directive(), Diagnostic::warning("deprecated", message).at(args.word(index).span));
            listen.spec.http2 = true;
        }
        ("ssl", None) => listen.spec.ssl = true,
        ("proxy_protocol", None) => listen.spec.proxy_protocol = true,
        ("accept_filter", Some(_)) => {
            let message = format!("accept filters \"{text}\" are not supported on this platform, ignored");
            ctx.complain_in(args.directive(), Diagnostic::warning("not-supported", message).at(args.word(index).span));
        }
        ("quic", None) => return Err(not_run(args, index)),
        _ => {
            socket_option(&mut listen.spec, args, index, name, given)?;
            listen.sets_options = true;
        }
    }
    Ok(())
}

fn socket_option(spec: &mut ListenSpec, args: &Args<'_>, index: usize, name: &str, given: Option<&str>) -> SetResult {
    let invalid = || args.error(index, "invalid-value", format!("invalid {name} \"{}\"", args.text(index)));
    match (name, given) {
        ("bind", None) => {}
        ("reuseport", None) => spec.reuseport = true,
        ("deferred", None) => spec.deferred = true,
        ("backlog", Some(given)) => {
            spec.backlog = number(given).filter(|number| *number != 0).ok_or_else(invalid)?;
        }
        ("fastopen", Some(given)) => spec.fastopen = Some(number(given).ok_or_else(invalid)?),
        ("rcvbuf", Some(given)) => spec.rcvbuf = Some(size(given).ok_or_else(invalid)?),
        ("sndbuf", Some(given)) => spec.sndbuf = Some(size(given).ok_or_else(invalid)?),
        ("ipv6only", Some("on")) => spec.ipv6only = true,
        ("ipv6only", Some("off")) => spec.ipv6only = false,
        ("ipv6only", Some(given)) if given.starts_with('o') => {
            return Err(args.error(index, "invalid-value", format!("invalid ipv6only flags \"{given}\"")));
        }
        ("so_keepalive", Some(given)) => {
            let message = || args.error(index, "invalid-value", format!("invalid so_keepalive value: \"{given}\""));
            spec.keepalive = Some(keepalive(given).ok_or_else(message)?);
        }
        _ => return Err(args.invalid_parameter(index)),
    }
    Ok(())
}

fn not_run(args: &Args<'_>, index: usize) -> Diagnostic {
    let message =
        format!("the parameter \"{}\" of \"listen\" is known to nginx, not run by rnginx yet", args.text(index));
    args.error(index, "not-run", message)
}

fn number(text: &str) -> Option<i32> {
    i32::try_from(value::number(text.as_bytes())?).ok()
}

fn size(text: &str) -> Option<usize> {
    usize::try_from(value::size(text.as_bytes())?).ok()
}

/// `on`, `off` or `idle:interval:count`, each of the three optional; 0 is as good as none.
fn keepalive(text: &str) -> Option<KeepAlive> {
    let plain = KeepAlive { on: true, idle: None, interval: None, count: None };
    match text {
        "on" => return Some(plain),
        "off" => return Some(KeepAlive { on: false, ..plain }),
        _ => {}
    }
    let mut fields = text.splitn(3, ':');
    let mut time = || match fields.next() {
        None | Some("") => Some(None),
        Some(text) => Some(value::sec(text.as_bytes()).map(|time| Some(time).filter(|time| !time.is_zero()))?),
    };
    let (idle, interval): (Option<Duration>, Option<Duration>) = (time()?, time()?);
    let count = match fields.next() {
        None | Some("") => None,
        Some(text) => u32::try_from(number(text)?).ok().filter(|count| *count > 0),
    };
    (idle.is_some() || interval.is_some() || count.is_some()).then_some(KeepAlive { idle, interval, count, ..plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_so_keepalive() {
        assert_eq!(keepalive("off").map(|read| read.on), Some(false));
        let second = Duration::from_secs(1);
        let read = keepalive("1h::10").unwrap();
        assert_eq!((read.idle, read.interval, read.count), (Some(3600 * second), None, Some(10)));
        for text in ["", "::", "0:0:0", "1h:2:x", "1h:2:3:4", "maybe"] {
            assert_eq!(keepalive(text), None, "{text}");
        }
    }
}
