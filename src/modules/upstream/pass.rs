//! `fastcgi_pass`, `uwsgi_pass` and their kin: an upstream or an address, as written or as variables say.

use std::sync::Arc;

use bytes::Bytes;

use super::{UpstreamId, UpstreamList, built, name};
use crate::conf::{Args, Ctx, NodeId, NodeKind, SetResult};
use crate::http::{Request, Script};
use crate::log::Level;
use crate::modules::http_core::passes_requests_on;
use crate::upstream::{Named, Upstream, UriPart, parse_url};

/// One directive.
#[derive(Clone)]
pub enum Pass {
    /// Without variables.
    Fixed(UpstreamId),
    /// With variables, and the scheme that may stand before the address.
    Evaluated(Script, &'static [u8]),
}

/// Where requests go.
pub enum Target {
    Fixed(Arc<Upstream>),
    Evaluated(Script, &'static [u8]),
}

/// Reads the directive.
///
/// # Errors
/// nginx's sentences about a second one, and about what is no address.
pub fn read_pass(slot: &mut Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    read_pass_behind(slot, args, ctx, b"")
}

/// The same for a directive that takes no variables.
///
/// # Errors
/// As [`read_pass`].
pub fn read_fixed_pass(slot: &mut Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    begin_pass(slot, args, ctx)?;
    fix_pass(slot, args, ctx, args.value(1))
}

/// The same for an address behind a scheme, which may be written or not.
///
/// # Errors
/// As [`read_pass`].
pub fn read_pass_behind(
    slot: &mut Option<Pass>,
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
    scheme: &'static [u8],
) -> SetResult {
    begin_pass(slot, args, ctx)?;
    let text = args.value(1);
    if text.contains(&b'$') {
        *slot = Some(Pass::Evaluated(ctx.script(args.word(1))?, scheme));
        return Ok(());
    }
    fix_pass(slot, args, ctx, without(text, scheme))
}

fn begin_pass(slot: &Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if slot.is_some() {
        return Err(args.duplicate());
    }
    if matches!(ctx.kind(ctx.current()), NodeKind::Location(name) if name.name.ends_with(b"/")) {
        passes_requests_on(ctx);
    }
    Ok(())
}

fn fix_pass(slot: &mut Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>, text: &[u8]) -> SetResult {
    let url = parse_url(text, 0, UriPart::Refused).map_err(|what| {
        args.error(1, "invalid-upstream", format!("{what} in upstream \"{}\"", String::from_utf8_lossy(text)))
    })?;
    *slot = Some(Pass::Fixed(name(args, 1, &url, ctx)?));
    Ok(())
}

fn without<'t>(text: &'t [u8], scheme: &[u8]) -> &'t [u8] {
    match text.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => rest,
        _ => text,
    }
}

/// The directive of a block in hand, or, for `if` and `limit_except`, of the location around it.
pub fn settled_pass<C: 'static>(
    own: &Option<Pass>,
    ctx: &Ctx<'_>,
    mut node: NodeId,
    pass: fn(&C) -> &Option<Pass>,
) -> Option<Pass> {
    let mut found = own.clone();
    while found.is_none() && matches!(ctx.kind(node), NodeKind::LocationIf | NodeKind::LimitExcept) {
        node = ctx.parent(node)?;
        found.clone_from(pass(ctx.conf_at::<C>(node)));
    }
    found
}

impl Pass {
    /// Where requests go, once all upstreams are known; `None` where the upstream was complained about.
    pub fn target(&self, ctx: &mut Ctx<'_>) -> Option<Target> {
        Some(match self {
            Pass::Fixed(id) => Target::Fixed(built(ctx, *id)?),
            Pass::Evaluated(script, scheme) => Target::Evaluated(script.clone(), scheme),
        })
    }
}

impl Target {
    /// The upstream for a request, which may have to be looked up.
    ///
    /// # Errors
    /// The status for an address that makes no sense; the log knows.
    pub fn named(&self, r: &Request) -> Result<Named, u16> {
        let (script, scheme) = match self {
            Target::Fixed(upstream) => return Ok(Named::Upstream(upstream.clone())),
            Target::Evaluated(script, scheme) => (script, scheme),
        };
        let text = script.eval(r);
        let text = without(&text, scheme);
        let complain = |status: u16, what: &str, about: &[u8], behind: &str| {
            r.log_with(Level::Error, |line| {
                line.put(what).bytes(about).put(behind);
            });
            status
        };
        let url = parse_url(text, 0, UriPart::Refused)
            .map_err(|what| complain(500, &format!("{what} in upstream \""), text, "\""))?;
        let list = r.cycle().extensions.get::<UpstreamList>();
        let named = list.and_then(|list| list.find(url.host, url.port, url.no_port));
        match (named, url.address) {
            (Some(upstream), _) => Ok(Named::Upstream(upstream)),
            (None, Some(address)) if url.port != 0 || address.is_unix() => {
                let upstream = Upstream::passing(Bytes::copy_from_slice(url.host), [address]);
                Ok(Named::Upstream(Arc::new(upstream)))
            }
            (None, _) if url.port == 0 => Err(complain(500, "no port in upstream \"", url.host, "\"")),
            (None, _) => Ok(Named::Host(Bytes::copy_from_slice(url.host), url.port)),
        }
    }

    /// The text that variables give for a request; empty without any.
    pub fn text(&self, r: &Request) -> Bytes {
        match self {
            Target::Fixed(_) => Bytes::new(),
            Target::Evaluated(script, scheme) => {
                let text = script.eval(r);
                let length = without(&text, scheme).len();
                text.slice(text.len() - length..)
            }
        }
    }
}
