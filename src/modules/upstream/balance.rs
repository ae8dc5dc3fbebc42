//! `hash`, `ip_hash`, `least_conn` and `random` in an `upstream` block.
//! <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#hash>

use super::Conf as Block;
use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::diag::Diagnostic;
use crate::upstream::Balance;

/// `ngx_http_upstream_hash_module` and the modules of the other methods.
pub struct Balances;

impl Module for Balances {
    type Conf = ();
    const NAME: &'static str = "http_upstream_hash";
    const ALSO: &'static [&'static str] =
        &["http_upstream_ip_hash", "http_upstream_least_conn", "http_upstream_random"];
    const COMMANDS: &'static [Command<()>] = &[
        Command::custom("hash", |_, args, ctx| {
            let script = ctx.script(args.word(1))?;
            balance(args, ctx, Balance::Hash(script.clone()));
            if args.len() > 2 {
                if args.value(2) != b"consistent" {
                    return Err(args.invalid_parameter(2));
                }
                block(ctx).balance = Some(Balance::Consistent(script));
            }
            Ok(())
        }),
        Command::custom("ip_hash", |_, args, ctx| {
            balance(args, ctx, Balance::IpHash);
            Ok(())
        }),
        Command::custom("least_conn", |_, args, ctx| {
            balance(args, ctx, Balance::LeastConn);
            Ok(())
        }),
        Command::custom("random", random),
    ];
}

fn random(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    balance(args, ctx, Balance::Random { two: args.len() > 1 });
    for (index, word) in [(1, b"two".as_slice()), (2, b"least_conn")] {
        if args.len() > index && args.value(index) != word {
            return Err(args.invalid_parameter(index));
        }
    }
    Ok(())
}

fn block<'c>(ctx: &'c mut Ctx<'_>) -> &'c mut Block {
    ctx.conf_at_mut(ctx.current())
}

/// Sets the method. It takes the place of the one before, and of `keepalive`, as in nginx.
fn balance(args: &Args<'_>, ctx: &mut Ctx<'_>, method: Balance) {
    let block = block(ctx);
    let again = block.balance.is_some() || block.keepalive;
    block.refuses_backup = method != Balance::LeastConn;
    (block.balance, block.keepalive) = (Some(method), false);
    if again {
        let warning = Diagnostic::warning("balancing-method", "load balancing method redefined");
        ctx.complain_in(args.directive(), warning);
    }
}
