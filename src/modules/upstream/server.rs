//! `server` in an `upstream` block.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, Resources, SetResult};
use crate::diag::Diagnostic;
use crate::schema::value;
use crate::upstream::{Address, Host, Peer, UriPart, Url, parse_url};

/// One `server`: a peer for each of its addresses.
#[derive(Clone, Debug)]
pub(super) struct ServerConf {
    pub(super) peers: Vec<Peer>,
    pub(super) backup: bool,
    /// The name, where it is resolved while running.
    pub(super) host: Option<HostConf>,
}

/// A name that is resolved while running.
#[derive(Clone, Debug)]
pub(super) struct HostConf {
    pub(super) host: Arc<Host>,
    /// What its peers are like. Its address holds the port.
    pub(super) template: Peer,
}

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut parameters = Parameters { weight: 1, max_fails: 1, fail_timeout: 10, ..Default::default() };
    for index in 2..args.len() {
        parameters.read(args, index, !c.refuses_backup)?;
    }
    let url = read_url(args, &parameters)?;
    let peer = |address: Address| Peer {
        weight: parameters.weight,
        max_conns: parameters.max_conns,
        max_fails: parameters.max_fails,
        fail_timeout: parameters.fail_timeout,
        down: parameters.down,
        server: args.bytes(1),
        ..Peer::new(address)
    };
    let backup = parameters.backup;
    if parameters.resolve && url.address.is_none() {
        let template = peer(Address::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, url.port))));
        let (name, service) = (Bytes::copy_from_slice(url.host), parameters.service);
        let host = Arc::new(Host { name, service, valid: 0.into() });
        c.servers.push(ServerConf { peers: Vec::new(), backup, host: Some(HostConf { host, template }) });
        return Ok(());
    }
    let peers = addresses(args, &url, ctx.resources)?.into_iter().map(peer).collect();
    c.servers.push(ServerConf { peers, backup, host: None });
    Ok(())
}

fn read_url<'a>(args: &Args<'a>, parameters: &Parameters) -> Result<Url<'a>, Diagnostic> {
    let text = args.text(1);
    let refuse = |message: String| Err(args.error(1, "invalid-upstream", message));
    let is_service = !parameters.service.is_empty();
    if is_service && !parameters.resolve {
        return refuse(format!("service upstream \"{text}\" requires \"resolve\" parameter"));
    }
    let url = match parse_url(args.value(1), 80, UriPart::Refused) {
        Ok(url) => url,
        Err(what) => return refuse(format!("{what} in upstream \"{text}\"")),
    };
    if is_service && !url.no_port {
        return refuse(format!("service upstream \"{text}\" may not have port"));
    }
    if is_service && url.address.is_some() {
        return refuse(format!("service upstream \"{text}\" requires domain name"));
    }
    Ok(url)
}

fn addresses(args: &Args<'_>, url: &Url<'_>, resources: &mut dyn Resources) -> Result<Vec<Address>, Diagnostic> {
    if let Some(address) = &url.address {
        return Ok(vec![address.clone()]);
    }
    let found = resources
        .host(url.host)
        .ok_or_else(|| args.error(1, "invalid-upstream", format!("host not found in upstream \"{}\"", args.text(1))))?;
    Ok(found.into_iter().map(|ip| Address::Tcp(SocketAddr::new(ip, url.port))).collect())
}

#[derive(Default)]
struct Parameters {
    weight: i64,
    max_conns: i64,
    max_fails: i64,
    fail_timeout: i64,
    backup: bool,
    down: bool,
    resolve: bool,
    service: Bytes,
}

impl Parameters {
    fn read(&mut self, args: &Args<'_>, index: usize, backups: bool) -> SetResult {
        let text = args.value(index);
        let invalid = || args.invalid_parameter(index);
        let number =
            |digits: &[u8]| value::number(digits).and_then(|number| i64::try_from(number).ok()).ok_or_else(invalid);
        if let Some(digits) = text.strip_prefix(b"weight=") {
            self.weight = number(digits)?;
            if self.weight == 0 {
                return Err(invalid());
            }
        } else if let Some(digits) = text.strip_prefix(b"max_conns=") {
            self.max_conns = number(digits)?;
        } else if let Some(digits) = text.strip_prefix(b"max_fails=") {
            self.max_fails = number(digits)?;
        } else if let Some(time) = text.strip_prefix(b"fail_timeout=") {
            let time = value::sec(time).ok_or_else(invalid)?;
            self.fail_timeout = i64::try_from(time.as_secs()).map_err(|_| invalid())?;
        } else if let Some(service) = text.strip_prefix(b"service=") {
            if service.is_empty() {
                return Err(args.error(index, "invalid-parameter", "service is empty"));
            }
            self.service = Bytes::copy_from_slice(service);
        } else {
            match text {
                b"backup" if !backups => {
                    let message = "balancing method does not support parameter \"backup\"";
                    return Err(args.error(index, "invalid-parameter", message));
                }
                b"backup" => self.backup = true,
                b"down" => self.down = true,
                b"resolve" => self.resolve = true,
                _ => return Err(invalid()),
            }
        }
        Ok(())
    }
}
