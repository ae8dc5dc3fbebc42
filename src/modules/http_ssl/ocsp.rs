//! `ssl_ocsp` and `ssl_stapling`: whether certificates are still good, clients' ones and our own.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::build::zone_key;
use super::load::{certificates, fault};
use super::settings::OWNER;
use super::{Conf, Located, SessionZone};
use crate::conf::{Args, Ctx, NodeId, SetResult, assign};
use crate::diag::{Diagnostic, Span};
use crate::http::shared_zone;
use crate::schema::value;
use crate::tls::{self, Ocsp, OcspCache, Purpose, Responder, Staple, Trust, Verify};
use crate::upstream::{BadResponder, responder};

/// `ssl_ocsp`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Off,
    /// All certificates of a chain but the last one.
    On,
    /// The client's own.
    Leaf,
}

pub(super) const MODES: &[(&str, Mode)] = &[("off", Mode::Off), ("on", Mode::On), ("leaf", Mode::Leaf)];

/// `ssl_ocsp_cache`
pub(super) fn cache(field: &mut Option<Option<SessionZone>>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let text = args.text(1);
    let invalid = || args.error(1, "invalid-value", format!("invalid OCSP cache \"{text}\""));
    if text == "off" {
        return assign(field, args, || Ok(None));
    }
    let zone = text.strip_prefix("shared:").and_then(|zone| zone.split_once(':')).ok_or_else(invalid)?;
    let (name, size) = (zone.0, value::size(zone.1.as_bytes()).and_then(|size| usize::try_from(size).ok()));
    let size = size.filter(|_| !name.is_empty()).ok_or_else(invalid)?;
    if size < 8 * rustix::param::page_size() {
        return Err(args.error(1, "small-zone", format!("OCSP cache \"{text}\" is too small")));
    }
    ctx.shared_zone(name.as_bytes(), size, OWNER, args.word(1).span)?;
    assign(field, args, || Ok(Some(SessionZone { name: name.to_owned().into(), size })))
}

/// How clients' certificates are asked after, where they are.
pub(super) fn of_clients(ctx: &mut Ctx<'_>, node: NodeId) -> Result<Option<Arc<Ocsp>>, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let mode = conf.ocsp.unwrap_or(Mode::Off);
    if mode == Mode::Off {
        return Ok(None);
    }
    let (named, zone) = (conf.ocsp_responder.clone(), conf.ocsp_cache.clone().flatten());
    if conf.verify == Some(Verify::OptionalNoCa) {
        let message = "\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"";
        let at = conf.verify_at.unwrap_or_default();
        return Err(Box::new(Diagnostic::error("ocsp", message).at(at).after_reading()));
    }
    let responder = match named {
        None => None,
        Some(name) => Some(
            resolved(ctx, &name.value)
                .map_err(|why| Box::new(fault("ocsp", &name, format!("{why} in \"ssl_ocsp_responder\""))))?,
        ),
    };
    let cache = zone
        .map(|zone| shared_zone(zone_key(ctx, "ssl_ocsp", &zone.name, zone.size), || OcspCache::of_size(zone.size)));
    Ok(Some(Arc::new(Ocsp { responder, leaf: mode == Mode::Leaf, cache })))
}

/// A responder with the addresses of its name; else nginx's words.
fn resolved(ctx: &mut Ctx<'_>, url: &[u8]) -> Result<Responder, String> {
    let mut found = responder(url).map_err(|bad| match bad {
        BadResponder::Prefix => {
            format!("invalid URL prefix in OCSP responder \"{}\"", String::from_utf8_lossy(url))
        }
        BadResponder::Address(why, address) => format!("{why} in OCSP responder \"{address}\""),
    })?;
    if found.addresses.is_empty() {
        let addresses = ctx.resources.host(&found.host).ok_or_else(|| {
            let address = String::from_utf8_lossy(url.get(7..).unwrap_or_default()).into_owned();
            format!("host not found in OCSP responder \"{address}\"")
        })?;
        found.addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, found.port)).collect();
    }
    Ok(found)
}

/// What is to be sent along with the certificates of a server, where somebody can be asked for it.
pub(super) fn staples(
    ctx: &mut Ctx<'_>,
    node: NodeId,
    pairs: &[Arc<CertifiedKey>],
) -> Result<Vec<Arc<Staple>>, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let (names, at) = (conf.certificates.clone(), conf.stapling_at.unwrap_or_default());
    let (trusted, client) = (conf.trusted_certificate.clone(), conf.client_certificate.clone());
    let (named, verify) = (conf.stapling_responder.clone(), conf.stapling_verify.unwrap_or(false));
    let client = client.filter(|_| conf.verify.unwrap_or_default() != Verify::Off);
    let mut store = Vec::new();
    for name in [trusted, client].iter().flatten() {
        store.extend(certificates(ctx, name)?);
    }
    let trust = verify.then(|| {
        Arc::new(Trust { anchors: store.clone(), revoked: Vec::new(), depth: u64::MAX, purpose: Purpose::Any })
    });
    let mut staples = Vec::new();
    for (pair, name) in pairs.iter().zip(names) {
        match source(ctx, pair, &name, &store, named.as_ref()) {
            Ok((chain, responder)) => {
                let shown = ctx.conf_path(name.text()).display().to_string();
                staples.push(Arc::new(Staple::new((shown, pair.clone()), chain, responder, trust.clone())));
            }
            Err(why) => ignored(ctx, at, &why),
        }
    }
    Ok(staples)
}

fn ignored(ctx: &mut Ctx<'_>, at: Span, why: &str) {
    let message = format!("\"ssl_stapling\" ignored, {why}");
    ctx.complain(Diagnostic::warning("stapling", message).at(at).after_reading());
}

/// The certificate with those above it, and who knows whether it is still good.
fn source(
    ctx: &mut Ctx<'_>,
    pair: &CertifiedKey,
    name: &Located,
    store: &[CertificateDer<'static>],
    named: Option<&Located>,
) -> Result<(Vec<CertificateDer<'static>>, Responder), String> {
    let shown = ctx.conf_path(name.text()).display().to_string();
    let own = &pair.cert[0];
    let issuer = pair.cert[1..].iter().chain(store).find(|other| tls::is_issuer(other, own)).cloned();
    let issuer = issuer.ok_or_else(|| format!("issuer certificate not found for certificate \"{shown}\""))?;
    let url = named.map(|named| named.value.to_vec()).or_else(|| tls::ocsp_url(own));
    let url = url.ok_or_else(|| format!("no OCSP responder URL in the certificate \"{shown}\""))?;
    let responder = resolved(ctx, &url).map_err(|why| format!("{why} in the certificate \"{shown}\""))?;
    let mut chain = vec![own.clone(), issuer];
    let others = pair.cert[1..].iter().filter(|other| !chain.contains(other));
    chain.extend(others.cloned().collect::<Vec<_>>());
    Ok((chain, responder))
}
