//! Makes of what was written how each server greets its clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use super::choice::{self, Chosen, DEFAULT_CIPHERS};
use super::commands::{Commands, Lost};
use super::load::{self, fault};
use super::{Builtin, Conf, Located, ocsp, settings};
use crate::conf::{Ctx, NodeId};
use crate::diag::Diagnostic;
use crate::http::{ServerId, ZoneKey, shared_zone};
use crate::modules::http_core::{self, EncryptedAddress};
use crate::tls::{
    ClientCertificates, Dynamic, Ocsp, Purpose, Sessions, Site, SiteParts, Sites, Staple, TicketKeys, Trust, Verify,
};

/// What one server brings: that of its own, and that which counts only where it is the address's default.
struct Prepared {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    certificates: Vec<Arc<CertifiedKey>>,
    own_order: Option<bool>,
    tickets: Option<Arc<TicketKeys>>,
    sessions: Option<Arc<Sessions>>,
    scope: [u8; 16],
    trust: Option<Arc<Trust>>,
    verifier: Arc<dyn ClientCertVerifier>,
    dynamic: Option<Arc<Dynamic>>,
    ocsp: Option<Arc<Ocsp>>,
    staples: Vec<Arc<Staple>>,
}

/// nginx's `ssl_session_timeout`.
const LIFETIME: Duration = Duration::from_secs(300);

/// nginx's `ssl_buffer_size`, in bytes.
const BUFFER: usize = 16 << 10;

/// Builds all sites, and complains of what nginx complains of at the end of `http`.
pub(super) fn sites(ctx: &mut Ctx<'_>) {
    let servers = http_core::servers(ctx);
    let mut lost = Lost::default();
    let mut prepared = HashMap::new();
    for node in &servers {
        match prepare(ctx, *node, &mut lost) {
            Ok(Some(site)) => {
                prepared.insert(*node, site);
            }
            Ok(None) => {}
            Err(diagnostic) => ctx.complain(*diagnostic),
        }
    }
    let addresses = http_core::encrypted_addresses(ctx);
    let mut complete = true;
    for address in &addresses {
        if let Some(node) = lacks_certificate(ctx, address) {
            let message = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
            let help = "name them with \"ssl_certificate\" and \"ssl_certificate_key\"";
            let listen = address.servers.iter().position(|server| *server == node).map(|at| address.places[at]);
            let fault = Diagnostic::error("no-certificate", message).nginx_at(ctx.place(node)).help(help);
            let fault = fault.met_at(ctx.end_of_http());
            ctx.complain(fault.at(listen.unwrap_or(ctx.place(node))).label("this speaks TLS"));
            complete = false;
        }
    }
    if !addresses.is_empty() {
        lost.say(ctx);
    }
    if complete && !ctx.has_failed() {
        let sites = all_sites(ctx, &servers, &addresses, &prepared);
        ctx.extensions.insert(sites);
    }
}

/// The server of an address that has no certificate though one is needed.
fn lacks_certificate(ctx: &Ctx<'_>, address: &EncryptedAddress) -> Option<NodeId> {
    let conf = |node: NodeId| ctx.conf_at::<Conf>(node);
    let rejects = |node: NodeId| conf(node).reject_handshake.unwrap_or(false);
    if !conf(address.default).certificates.is_empty() {
        return None;
    }
    if !rejects(address.default) {
        return Some(address.default);
    }
    address.servers.iter().copied().find(|node| conf(*node).certificates.is_empty() && !rejects(*node))
}

/// Reads what a server names. In nginx it need not listen with `ssl` for that.
fn prepare(ctx: &mut Ctx<'_>, node: NodeId, lost: &mut Lost) -> Result<Option<Prepared>, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let (certificates, keys) = (conf.certificates.clone(), conf.keys.clone());
    if certificates.is_empty() && !conf.reject_handshake.unwrap_or(false) {
        return Ok(None);
    }
    if let Some(last) = certificates.last().filter(|_| keys.len() < certificates.len()) {
        let message = format!("no \"ssl_certificate_key\" is defined for certificate \"{}\"", last.text());
        return Err(Box::new(fault("no-certificate-key", last, message)));
    }
    let commands = Commands::read(&conf.conf_commands, lost)?;
    let chosen = Chosen::of(conf.ciphers.as_ref(), DEFAULT_CIPHERS, conf.curve.as_ref(), &commands, lost)?;
    let passwords = conf.passwords.clone().unwrap_or_default();
    let dynamic = dynamic(ctx, node, &certificates, &keys)?;
    let mut pairs = Vec::new();
    for (certificate, key) in certificates.iter().zip(&keys) {
        if dynamic.is_some() {
            break;
        }
        pairs.push(load::pair(ctx, certificate, key, &passwords)?);
    }
    if let (Some(certificate), Some(key)) = &commands.certificate {
        // It takes the place of the one whose key is of its kind.
        let pair = load::pair(ctx, certificate, key, &passwords)?;
        pairs.retain(|other| other.key.algorithm() != pair.key.algorithm());
        pairs.push(pair);
    }
    let scope = scope(ctx.conf_at::<Conf>(node), &pairs);
    let (trust, verifier) = clients(ctx, node)?;
    let ocsp = ocsp::of_clients(ctx, node)?;
    let (certificates, staples) = files(ctx, node, pairs, lost)?;
    let conf = ctx.conf_at::<Conf>(node);
    let versions = choice::versions(conf.protocols, conf.protocols_at, "ssl_protocols", &commands, lost)?;
    Ok(Some(Prepared {
        provider: chosen.provider(),
        versions,
        certificates,
        own_order: commands.own_order,
        tickets: tickets(ctx, node, &commands)?,
        sessions: sessions(ctx, node),
        scope,
        trust,
        verifier,
        dynamic,
        ocsp,
        staples,
    }))
}

/// Certificates, and what is asked for to be sent along with them.
type Stapled = (Vec<Arc<CertifiedKey>>, Vec<Arc<Staple>>);

/// Files that only have to be there, and what is sent along with certificates.
fn files(
    ctx: &mut Ctx<'_>,
    node: NodeId,
    mut pairs: Vec<CertifiedKey>,
    lost: &mut Lost,
) -> Result<Stapled, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let dhparam = conf.dhparam.clone();
    let stapling = conf.stapling.unwrap_or(false);
    let file = conf.stapling_file.clone();
    if let Some(name) = &dhparam {
        load::dhparam(ctx, name)?;
        lost.add("ssl_dhparam", &[name.text()], name.at);
    }
    if !stapling {
        return Ok((load::shared(pairs), Vec::new()));
    }
    let mut staples = Vec::new();
    if let Some(file) = &file {
        let response = load::staple(ctx, file)?;
        pairs.iter_mut().for_each(|pair| pair.ocsp = Some(response.clone()));
    }
    let pairs = load::shared(pairs);
    if file.is_none() {
        staples = ocsp::staples(ctx, node, &pairs)?;
    }
    Ok((pairs, staples))
}

/// Names of certificates that hold variables; then none of them is read now.
fn dynamic(
    ctx: &mut Ctx<'_>,
    node: NodeId,
    certificates: &[Located],
    keys: &[Located],
) -> Result<Option<Arc<Dynamic>>, Box<Diagnostic>> {
    if !certificates.iter().chain(keys).any(|name| name.value.contains(&b'$')) {
        return Ok(None);
    }
    let mut pairs = Vec::new();
    for (certificate, key) in certificates.iter().zip(keys) {
        pairs.push((ctx.script_at(certificate.at, &certificate.value)?, ctx.script_at(key.at, &key.value)?));
    }
    let conf = ctx.conf_at::<Conf>(node);
    let passwords = conf.passwords.as_deref().cloned().unwrap_or_default();
    let cache = conf.certificate_cache.flatten();
    Ok(Some(Arc::new(Dynamic { pairs, passwords, folder: ctx.conf_path(""), cache })))
}

/// Whom to believe what clients say of themselves, and who asks them.
type Clients = (Option<Arc<Trust>>, Arc<dyn ClientCertVerifier>);

/// Whether clients are asked for certificates, and which of those are believed.
fn clients(ctx: &mut Ctx<'_>, node: NodeId) -> Result<Clients, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let (verify, depth) = (conf.verify.unwrap_or_default(), conf.verify_depth.unwrap_or(1));
    let (client, trusted, crl) = (conf.client_certificate.clone(), conf.trusted_certificate.clone(), conf.crl.clone());
    if matches!(verify, Verify::On | Verify::Optional) && client.is_none() && trusted.is_none() {
        let message = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client";
        let at = conf.verify_at.unwrap_or_default();
        return Err(Box::new(Diagnostic::error("no-client-ca", message).at(at).after_reading()));
    }
    let mut authorities = Vec::new();
    if let Some(name) = client.filter(|_| verify != Verify::Off) {
        authorities = load::certificates(ctx, &name)?;
    }
    let verifier = ClientCertificates::new(&authorities);
    if let Some(name) = &trusted {
        authorities.extend(load::certificates(ctx, name)?);
    }
    let revoked = match &crl {
        Some(name) => load::revoked(ctx, name)?,
        None => Vec::new(),
    };
    if verify == Verify::Off {
        return Ok((None, WebPkiClientVerifier::no_client_auth()));
    }
    let trust = Trust { anchors: authorities, revoked, depth, purpose: Purpose::Client };
    Ok((Some(Arc::new(trust)), Arc::new(verifier)))
}

/// What tells the sessions of servers apart, as nginx's context of sessions does: its certificates, and whom it trusts.
fn scope(conf: &Conf, pairs: &[CertifiedKey]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    pairs.iter().filter_map(|pair| pair.cert.first()).for_each(|certificate| context.update(certificate));
    context.update(format!("{:?}", conf.verify).as_bytes());
    if pairs.is_empty() {
        conf.certificates.iter().for_each(|name| context.update(&name.value));
    }
    for list in [&conf.client_certificate, &conf.trusted_certificate, &conf.crl].into_iter().flatten() {
        context.update(&list.value);
    }
    let mut scope = [0; 16];
    scope.copy_from_slice(&context.finish().as_ref()[..16]);
    scope
}

fn tickets(ctx: &mut Ctx<'_>, node: NodeId, commands: &Commands) -> Result<Option<Arc<TicketKeys>>, Box<Diagnostic>> {
    let conf = ctx.conf_at::<Conf>(node);
    let lifetime = conf.session_timeout.unwrap_or(LIFETIME);
    let files = conf.ticket_keys.clone();
    let wanted = commands.tickets.unwrap_or(conf.session_tickets.unwrap_or(true));
    let mut keys = Vec::new();
    for file in &files {
        keys.push(load::ticket_key(ctx, file)?);
    }
    if !wanted {
        return Ok(None);
    }
    if !keys.is_empty() {
        return Ok(Some(Arc::new(TicketKeys::from_files(&keys))));
    }
    let key = zone_key(ctx, "ssl_tickets", lifetime.as_secs().to_string().as_bytes(), 0);
    Ok(Some(shared_zone(key, || TicketKeys::random(lifetime))))
}

/// Where sessions are kept; with `ssl_early_data` somewhere in any case.
fn sessions(ctx: &Ctx<'_>, node: NodeId) -> Option<Arc<Sessions>> {
    let conf = ctx.conf_at::<Conf>(node);
    let (owner, name, size) = match (&conf.zone, conf.builtin.unwrap_or(Builtin::None)) {
        (Some(zone), _) => (settings::OWNER, &zone.name[..], zone.size),
        (None, Builtin::Of(count)) => ("ssl_builtin", &b""[..], count),
        (None, Builtin::None) if conf.early_data.unwrap_or(false) => ("ssl_builtin", &b""[..], 20_480),
        (None, Builtin::None) => return None,
    };
    let make = || if owner == settings::OWNER { Sessions::of_size(size) } else { Sessions::new(size) };
    Some(shared_zone(zone_key(ctx, owner, name, size), make))
}

pub(super) fn zone_key(ctx: &Ctx<'_>, owner: &'static str, name: &[u8], size: usize) -> ZoneKey {
    ZoneKey { configuration: ctx.paths().conf.clone(), owner, name: name.to_vec(), size }
}

/// A site for each server of each encrypted address.
fn all_sites(
    ctx: &mut Ctx<'_>,
    servers: &[NodeId],
    addresses: &[EncryptedAddress],
    prepared: &HashMap<NodeId, Prepared>,
) -> Sites {
    let number = |node: NodeId| {
        let at = servers.iter().position(|server| *server == node).expect("a server is listed when its block ends");
        ServerId(u32::try_from(at).expect("fewer servers than bytes in a file"))
    };
    let verify = servers.iter().map(|node| ctx.conf_at::<Conf>(*node).verify.unwrap_or_default()).collect();
    let mut sites = Sites { verify, ..Sites::default() };
    for address in addresses {
        for server in &address.servers {
            let key = (number(address.default), number(*server), address.http2);
            let Some(parts) = parts(ctx, address, *server, prepared) else { continue };
            match Site::new(parts) {
                Ok(site) => {
                    sites.sites.insert(key, Arc::new(site));
                }
                Err(error) => {
                    let message = format!("SSL_CTX_new() failed (SSL: {error})");
                    ctx.complain(Diagnostic::error("tls", message).at(ctx.place(*server)));
                }
            }
        }
    }
    sites
}

/// As in nginx versions, suites, groups and sessions are those of the address's default server, certificates those of
/// the server that was asked for, where it has any.
fn parts(
    ctx: &Ctx<'_>,
    address: &EncryptedAddress,
    server: NodeId,
    prepared: &HashMap<NodeId, Prepared>,
) -> Option<SiteParts> {
    let default = prepared.get(&address.default)?;
    let own = prepared.get(&server).unwrap_or(default);
    let base = ctx.conf_at::<Conf>(address.default);
    Some(SiteParts {
        provider: default.provider.clone(),
        versions: default.versions.clone(),
        own_order: default.own_order.or(base.prefer_server_ciphers).unwrap_or(false),
        certificates: own.certificates.clone(),
        verifier: own.verifier.clone(),
        trust: own.trust.clone(),
        dynamic: own.dynamic.clone(),
        ocsp: own.ocsp.clone(),
        staples: own.staples.clone(),
        http2: address.http2 || http_core::server_speaks_http2(ctx, server),
        buffer_size: ctx.conf_at::<Conf>(server).buffer_size.unwrap_or(BUFFER),
        tickets: default.tickets.clone().filter(|_| own.tickets.is_some()),
        sessions: default.sessions.clone(),
        lifetime: base.session_timeout.unwrap_or(LIFETIME),
        early_data: base.early_data.unwrap_or(false),
        scope: own.scope,
        reject: ctx.conf_at::<Conf>(server).reject_handshake.unwrap_or(false),
    })
}
