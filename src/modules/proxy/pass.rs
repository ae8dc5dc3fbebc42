//! `proxy_pass` itself: where requests go, as written or as variables say.

use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, NodeKind, SetResult};
use crate::diag::Diagnostic;
use crate::http::{LocationKind, Request, Script};
use crate::log::Level;
use crate::modules::http_core::passes_requests_on;
use crate::modules::upstream::{self, UpstreamId, UpstreamList};
use crate::upstream::{Named, Upstream, UriPart, Url, parse_url};

/// One `proxy_pass`.
#[derive(Clone)]
pub(super) enum Pass {
    /// A URL without variables.
    Fixed {
        upstream: UpstreamId,
        /// The URL as written.
        url: Bytes,
        vars: Vars,
        /// The location's name; empty where there is no prefix that a URI could stand for.
        location: Bytes,
    },
    /// A URL with variables.
    Evaluated(Script),
}

/// What a URL says besides where its server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vars {
    /// `http://`, as written.
    pub(super) scheme: Bytes,
    /// `$proxy_host`: the host, with the port where it is not the usual one.
    pub(super) host: Bytes,
    /// `$proxy_port`
    pub(super) port: Bytes,
    /// The URI, empty where there is none.
    pub(super) uri: Bytes,
    /// What the keys of kept answers begin with.
    pub(super) key_start: Bytes,
}

/// Where requests go.
pub(super) enum Target {
    Fixed {
        upstream: Arc<Upstream>,
        vars: Vars,
        /// How many bytes of the request's URI give way to the one written here.
        prefix: usize,
    },
    Evaluated(Script),
}

/// The schemes, each with its usual port.
const SCHEMES: [(&[u8], u16); 2] = [(b"http://", 80), (b"https://", 443)];

/// How long the scheme of a URL is, and its usual port.
fn scheme(text: &[u8]) -> Option<(usize, u16)> {
    let known =
        |(name, _): &&(&[u8], u16)| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    SCHEMES.iter().find(known).map(|(name, port)| (name.len(), *port))
}

pub(super) fn set(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if c.pass.is_some() {
        return Err(args.duplicate());
    }
    let kind = ctx.kind(ctx.current()).clone();
    if matches!(&kind, NodeKind::Location(name) if name.name.ends_with(b"/")) {
        passes_requests_on(ctx);
    }
    let text = args.value(1);
    if text.contains(&b'$') {
        c.pass = Some(Pass::Evaluated(ctx.script(args.word(1))?));
        return Ok(());
    }
    let (length, port) = scheme(text).ok_or_else(|| args.error(1, "url-prefix", "invalid URL prefix"))?;
    let url = parse(args, length, port)?;
    let upstream = upstream::name(args, 1, &url, ctx)?;
    let vars = Vars::new(Bytes::copy_from_slice(&text[..length]), &url, port);
    let location = match &kind {
        NodeKind::Location(name) if !matches!(name.kind, LocationKind::Regex | LocationKind::Named) => {
            name.name.clone()
        }
        _ if vars.uri.is_empty() => Bytes::new(),
        _ => {
            let message = "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside \
                           named location, or inside \"if\" statement, or inside \"limit_except\" block";
            return Err(args.error(1, "proxy-pass-uri", message));
        }
    };
    c.pass = Some(Pass::Fixed { upstream, url: args.bytes(1), vars, location });
    Ok(())
}

fn parse<'a>(args: &Args<'a>, scheme: usize, port: u16) -> Result<Url<'a>, Diagnostic> {
    let rest = &args.value(1)[scheme..];
    parse_url(rest, port, UriPart::Allowed).map_err(|what| {
        args.error(1, "invalid-upstream", format!("{what} in upstream \"{}\"", String::from_utf8_lossy(rest)))
    })
}

impl Vars {
    /// Whether the server is to be spoken to in secret.
    pub(super) fn is_secure(&self) -> bool {
        self.scheme.len() == SCHEMES[1].0.len()
    }

    fn new(scheme: Bytes, url: &Url<'_>, usual: u16) -> Self {
        let uri = Bytes::copy_from_slice(url.uri);
        if url.is_unix() {
            let key_start = [&scheme[..], b"unix:", url.host, b":"].concat().into();
            return Self { scheme, host: Bytes::from_static(b"localhost"), port: Bytes::new(), uri, key_start };
        }
        if url.no_port || url.port == usual {
            let host = Bytes::copy_from_slice(url.host);
            let key_start = [&scheme[..], url.host].concat().into();
            return Self {
                scheme,
                host,
                port: Bytes::from_static(if usual == 80 { b"80" } else { b"443" }),
                uri,
                key_start,
            };
        }
        let host: Bytes = [url.host, b":", url.port_text].concat().into();
        let key_start = [&scheme[..], &host].concat().into();
        Self { scheme, host, port: Bytes::copy_from_slice(url.port_text), uri, key_start }
    }
}

impl Pass {
    /// Whether requests may have to go on in secret.
    pub(super) fn may_be_secure(&self) -> bool {
        match self {
            Pass::Fixed { vars, .. } => vars.is_secure(),
            Pass::Evaluated(_) => true,
        }
    }

    /// Where requests go, once all upstreams are known.
    pub(super) fn target(&self, ctx: &mut Ctx<'_>) -> Option<Target> {
        Some(match self {
            Pass::Evaluated(script) => Target::Evaluated(script.clone()),
            Pass::Fixed { upstream, vars, location, .. } => Target::Fixed {
                upstream: upstream::built(ctx, *upstream)?,
                vars: vars.clone(),
                prefix: if vars.uri.is_empty() { 0 } else { location.len() },
            },
        })
    }
}

impl Target {
    /// What the URL says, where it is the same for all requests.
    pub(super) fn fixed_vars(&self) -> Option<&Vars> {
        match self {
            Target::Fixed { vars, .. } => Some(vars),
            Target::Evaluated(_) => None,
        }
    }

    /// The upstream and the URL's parts for a request.
    ///
    /// # Errors
    /// The status for a URL that makes no sense.
    pub(super) fn evaluate(script: &Script, r: &Request) -> Result<(Named, Vars), u16> {
        let text = script.eval(r);
        let complain = |status: u16, what: &str, about: &[u8], behind: &str| {
            r.log_with(Level::Error, |line| {
                line.put(what).bytes(about).put(behind);
            });
            status
        };
        // nginx wants something behind the scheme before it calls it one.
        let Some((length, port)) = scheme(&text).filter(|(length, _)| text.len() > *length) else {
            return Err(complain(500, "invalid URL prefix in \"", &text, "\""));
        };
        let rest = &text[length..];
        let url = parse_url(rest, port, UriPart::Allowed)
            .map_err(|what| complain(500, &format!("{what} in upstream \""), rest, "\""))?;
        let mut vars = Vars::new(text.slice(..length), &url, port);
        if vars.uri.starts_with(b"?") {
            vars.uri = [b"/", &vars.uri[..]].concat().into();
        }
        let named =
            r.cycle().extensions.get::<UpstreamList>().and_then(|list| list.find(url.host, url.port, url.no_port));
        let host = Bytes::copy_from_slice(url.host);
        let upstream = match (named, url.address) {
            (Some(upstream), _) => Named::Upstream(upstream),
            (None, Some(address)) => Named::Upstream(Arc::new(Upstream::passing(host, [address]))),
            (None, None) => Named::Host(host, url.port),
        };
        Ok((upstream, vars))
    }
}
