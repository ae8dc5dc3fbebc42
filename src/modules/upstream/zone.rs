//! `zone` in an `upstream` block. All threads share what they know of peers anyway.
//! <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#zone>

use super::Conf as Block;
use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::schema::value;

/// `ngx_http_upstream_zone_module`.
pub struct Zones;

impl Module for Zones {
    type Conf = ();
    const NAME: &'static str = "http_upstream_zone";
    const COMMANDS: &'static [Command<()>] = &[Command::custom("zone", zone)];
}

/// The module that the memory belongs to.
const OWNER: &str = "upstream";

/// How many pages a zone has at least.
const FEWEST_PAGES: usize = 8;

fn zone(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let name = args.text(1);
    let fault = |index: usize, message: String| Err(args.error(index, "zone", message));
    if name.is_empty() {
        return fault(1, format!("invalid zone name \"{name}\""));
    }
    let mut size = 0;
    if args.len() > 2 {
        let Some(said) = value::size(args.value(2)).and_then(|size| usize::try_from(size).ok()) else {
            return fault(2, format!("invalid zone size \"{}\"", args.text(2)));
        };
        if said < FEWEST_PAGES * rustix::param::page_size() {
            return fault(1, format!("zone \"{name}\" is too small"));
        }
        size = said;
    }
    ctx.shared_zone(args.value(1), size, OWNER, args.word(0).span)?;
    ctx.conf_at_mut::<Block>(ctx.current()).zone = true;
    Ok(())
}
