//! `keepalive` and its kin in an `upstream` block.
//! <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive>

use std::time::Duration;

use super::Conf as Block;
use crate::conf::{Command, Ctx, Module, NodeId, assign};
use crate::schema::value;
use crate::upstream::KeepAlive;

/// `ngx_http_upstream_keepalive_module`.
pub struct KeepAlives;

/// The directives of one `upstream` block.
#[derive(Default)]
pub struct Conf {
    connections: Option<usize>,
    requests: Option<u64>,
    time: Option<Duration>,
    timeout: Option<Duration>,
}

impl Module for KeepAlives {
    type Conf = Conf;
    const NAME: &'static str = "http_upstream_keepalive";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("keepalive", |c, args, ctx| {
            ctx.conf_at_mut::<Block>(ctx.current()).keepalive = true;
            assign(&mut c.connections, args, || {
                let number = value::number(args.value(1)).and_then(|number| usize::try_from(number).ok());
                number.filter(|number| *number > 0).ok_or_else(|| {
                    let message = format!("invalid value \"{}\" in \"keepalive\" directive", args.text(1));
                    args.error(1, "invalid-value", message)
                })
            })
        }),
        Command::msec("keepalive_time", |c| &mut c.time),
        Command::msec("keepalive_timeout", |c| &mut c.timeout),
        Command::number("keepalive_requests", |c| &mut c.requests),
    ];
}

/// What an upstream's block says, every default resolved; `None` where its connections are not kept.
pub(super) fn settled(ctx: &Ctx<'_>, node: NodeId) -> Option<KeepAlive> {
    let conf = ctx.conf_at::<Conf>(node);
    if !ctx.conf_at::<Block>(node).keepalive {
        return None;
    }
    Some(KeepAlive {
        connections: conf.connections?,
        requests: conf.requests.unwrap_or(1000),
        time: conf.time.unwrap_or(Duration::from_secs(3600)),
        timeout: conf.timeout.unwrap_or(Duration::from_secs(60)),
    })
}
