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
    Fixed {
        upstream: UpstreamId,
        /// The address stands behind the scheme of encrypted connections.
        secure: bool,
    },
    /// With variables, and what may stand before the address.
    Evaluated(Script, Schemes),
}

/// The schemes of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Schemes {
    /// `uwsgi://`, for the log.
    pub plain: &'static str,
    /// The one of encrypted connections, if there are any: `suwsgi://`.
    pub secure: Option<&'static str>,
    /// They may stand before an address.
    pub written: bool,
}

/// Where requests go.
pub enum Target {
    Fixed { upstream: Arc<Upstream>, secure: bool },
    Evaluated(Script, Schemes),
}

/// Where one request goes.
pub struct Destination {
    pub named: Named,
    /// Encrypted.
    pub secure: bool,
    /// The address as variables give it, without its scheme; empty where it was written.
    pub text: Bytes,
}

/// What a directive says of the `/` that is missing behind a location's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// A redirect adds it.
    Added,
    /// The same, but not where the address has variables.
    AddedForFixed,
}

/// Reads the directive.
///
/// # Errors
/// nginx's sentences about a second one, and about what is no address.
pub fn read_pass(
    slot: &mut Option<Pass>,
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
    (schemes, slash): (Schemes, Slash),
) -> SetResult {
    let evaluated = args.value(1).contains(&b'$');
    begin_pass(slot, args, ctx, !evaluated || slash == Slash::Added)?;
    if evaluated {
        *slot = Some(Pass::Evaluated(ctx.script(args.word(1))?, schemes));
        return Ok(());
    }
    let (secure, text) = schemes.split(args.value(1));
    fix_pass(slot, args, ctx, text, secure)
}

/// The same for a directive that takes no variables.
///
/// # Errors
/// As [`read_pass`].
pub fn read_fixed_pass(slot: &mut Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    begin_pass(slot, args, ctx, true)?;
    fix_pass(slot, args, ctx, args.value(1), false)
}

fn begin_pass(slot: &Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>, adds_slash: bool) -> SetResult {
    if slot.is_some() {
        return Err(args.duplicate());
    }
    if adds_slash && matches!(ctx.kind(ctx.current()), NodeKind::Location(name) if name.name.ends_with(b"/")) {
        passes_requests_on(ctx);
    }
    Ok(())
}

fn fix_pass(slot: &mut Option<Pass>, args: &Args<'_>, ctx: &mut Ctx<'_>, text: &[u8], secure: bool) -> SetResult {
    let url = parse_url(text, 0, UriPart::Refused).map_err(|what| {
        args.error(1, "invalid-upstream", format!("{what} in upstream \"{}\"", String::from_utf8_lossy(text)))
    })?;
    *slot = Some(Pass::Fixed { upstream: name(args, 1, &url, ctx)?, secure });
    Ok(())
}

impl Schemes {
    /// Those that never stand before an address.
    pub const fn unwritten(plain: &'static str) -> Self {
        Self { plain, secure: None, written: false }
    }

    /// Both stand before addresses.
    pub const fn written(plain: &'static str, secure: &'static str) -> Self {
        Self { plain, secure: Some(secure), written: true }
    }

    /// The one in use.
    pub fn name(&self, secure: bool) -> &'static str {
        self.secure.filter(|_| secure).unwrap_or(self.plain)
    }

    /// Whether the connection is encrypted, and the address.
    pub fn split<'t>(&self, text: &'t [u8]) -> (bool, &'t [u8]) {
        let behind = |scheme: &str| {
            let (start, rest) = text.split_at_checked(scheme.len())?;
            (self.written && start.eq_ignore_ascii_case(scheme.as_bytes())).then_some(rest)
        };
        match (behind(self.plain), self.secure.and_then(behind)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => (false, text),
        }
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
            Pass::Fixed { upstream, secure } => Target::Fixed { upstream: built(ctx, *upstream)?, secure: *secure },
            Pass::Evaluated(script, schemes) => Target::Evaluated(script.clone(), *schemes),
        })
    }

    /// Whether requests may have to go on encrypted.
    pub fn may_be_secure(&self) -> bool {
        match self {
            Pass::Fixed { secure, .. } => *secure,
            Pass::Evaluated(_, schemes) => schemes.secure.is_some(),
        }
    }
}

impl Target {
    /// Where a request goes; the upstream may have to be looked up.
    ///
    /// # Errors
    /// The status for an address that makes no sense; the log knows.
    pub fn destination(&self, r: &Request) -> Result<Destination, u16> {
        let (script, schemes) = match self {
            Target::Fixed { upstream, secure } => {
                return Ok(Destination {
                    named: Named::Upstream(upstream.clone()),
                    secure: *secure,
                    text: Bytes::new(),
                });
            }
            Target::Evaluated(script, schemes) => (script, schemes),
        };
        let whole = script.eval(r);
        // nginx wants something behind a scheme before it calls it one.
        let (secure, text) = match schemes.split(&whole) {
            (_, b"") => (false, &whole[..]),
            found => found,
        };
        Ok(Destination { named: named(r, text)?, secure, text: whole.slice_ref(text) })
    }

    /// The URL that a request goes to, without a path; `None` where variables make one that makes no sense.
    pub fn url(&self, schemes: &Schemes, r: &Request) -> Option<Vec<u8>> {
        let Destination { named, secure, text } = self.destination(r).ok()?;
        let mut url = schemes.name(secure).as_bytes().to_vec();
        let upstream = match named {
            Named::Upstream(upstream) if text.is_empty() => upstream,
            // As the variables say it.
            _ => {
                url.extend_from_slice(&text);
                return Some(url);
            }
        };
        if upstream.name.starts_with(b"/") {
            url.extend_from_slice(b"unix:");
        }
        url.extend_from_slice(&upstream.name);
        if let Some(port) = r.cycle().extensions.get::<UpstreamList>().and_then(|list| list.port_of(&upstream)) {
            url.extend_from_slice(format!(":{port}").as_bytes());
        }
        Some(url)
    }
}

/// The upstream or host that an address is about.
fn named(r: &Request, text: &[u8]) -> Result<Named, u16> {
    let complain = |what: &str, about: &[u8]| {
        r.log_with(Level::Error, |line| {
            line.put(what).put(" in upstream \"").bytes(about).put('"');
        });
        500
    };
    let url = parse_url(text, 0, UriPart::Refused).map_err(|what| complain(what, text))?;
    let list = r.cycle().extensions.get::<UpstreamList>();
    let upstream = list.and_then(|list| list.find(url.host, url.port, url.no_port));
    match (upstream, url.address) {
        (Some(upstream), _) => Ok(Named::Upstream(upstream)),
        (None, Some(address)) if url.port != 0 || address.is_unix() => {
            Ok(Named::Upstream(Arc::new(Upstream::passing(Bytes::copy_from_slice(url.host), [address]))))
        }
        (None, _) if url.port == 0 => Err(complain("no port", url.host)),
        (None, _) => Ok(Named::Host(Bytes::copy_from_slice(url.host), url.port)),
    }
}
