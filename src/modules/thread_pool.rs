//! `thread_pool`: files are read where they are needed, so pools have nothing to do; but `aio` may name only those that
//! there are. <https://nginx.org/en/docs/ngx_core_module.html#thread_pool>

use std::collections::HashSet;

use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::diag::{Diagnostic, Span};

/// `ngx_thread_pool_module`.
pub struct ThreadPools;

/// Pools that were described, and those that were named.
#[derive(Default)]
struct Pools {
    known: HashSet<Vec<u8>>,
    used: Vec<(Vec<u8>, Span)>,
}

/// The pool that there is without being described.
const DEFAULT: &[u8] = b"default";

impl Module for ThreadPools {
    type Conf = ();
    const NAME: &'static str = "thread_pool";
    const COMMANDS: &'static [Command<()>] = &[Command::custom("thread_pool", |_, args, ctx| {
        if !ctx.collected::<Pools>().known.insert(args.value(1).to_vec()) {
            let message = format!("duplicate thread pool \"{}\"", args.text(1));
            return Err(args.error(1, "duplicate-value", message));
        }
        Ok(())
    })];

    fn finish(ctx: &mut Ctx<'_>) {
        let Pools { known, used } = std::mem::take(ctx.collected::<Pools>());
        let missing = used.into_iter().find(|(name, _)| name != DEFAULT && !known.contains(name));
        if let Some((name, at)) = missing {
            let message = format!("unknown thread pool \"{}\"", String::from_utf8_lossy(&name));
            ctx.complain(Diagnostic::error("unknown-thread-pool", message).at(at));
        }
    }
}

/// Remembers the pool that an `aio` names. A name with variables is not known before a request.
///
/// # Errors
/// nginx's sentences about variables.
pub(super) fn note_use(args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    match args.value(1).strip_prefix(b"threads=") {
        Some(name) if name.contains(&b'$') => drop(ctx.script(args.word(1))?),
        Some(name) => ctx.collected::<Pools>().used.push((name.to_vec(), args.directive().name.span)),
        None => {}
    }
    Ok(())
}
