//! `server` in an `upstream` block.

use std::net::SocketAddr;

use super::Conf;
use crate::conf::{Args, Ctx, Resources, SetResult};
use crate::diag::Diagnostic;
use crate::schema::value;
use crate::upstream::{Address, Peer, UriPart, parse_url};

/// One `server`: a peer for each of its addresses.
#[derive(Clone, Debug)]
pub(super) struct ServerConf {
    pub(super) peers: Vec<Peer>,
    pub(super) backup: bool,
}

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut parameters = Parameters { weight: 1, max_conns: 0, max_fails: 1, fail_timeout: 10, ..Default::default() };
    for index in 2..args.len() {
        parameters.read(args, index)?;
    }
    let peer = |address: Address| Peer {
        weight: parameters.weight,
        max_conns: parameters.max_conns,
        max_fails: parameters.max_fails,
        fail_timeout: parameters.fail_timeout,
        down: parameters.down,
        ..Peer::new(address)
    };
    let peers = addresses(args, ctx.resources)?.into_iter().map(peer).collect();
    c.servers.push(ServerConf { peers, backup: parameters.backup });
    Ok(())
}

fn addresses(args: &Args<'_>, resources: &mut dyn Resources) -> Result<Vec<Address>, Diagnostic> {
    let fault = |what: &str| args.error(1, "invalid-upstream", format!("{what} in upstream \"{}\"", args.text(1)));
    let url = parse_url(args.value(1), 80, UriPart::Refused).map_err(fault)?;
    if let Some(address) = url.address {
        return Ok(vec![address]);
    }
    let found = resources.host(url.host).ok_or_else(|| fault("host not found"))?;
    Ok(found.into_iter().map(|ip| Address::Tcp(SocketAddr::new(ip, url.port))).collect())
}

#[derive(Default)]
struct Parameters {
    weight: i64,
    max_conns: u64,
    max_fails: u64,
    fail_timeout: i64,
    backup: bool,
    down: bool,
}

impl Parameters {
    fn read(&mut self, args: &Args<'_>, index: usize) -> SetResult {
        let text = args.value(index);
        let invalid = || args.invalid_parameter(index);
        let number = |digits: &[u8]| value::number(digits).ok_or_else(invalid);
        let seconds = |time: &[u8]| value::sec(time).map(|time| time.as_secs()).ok_or_else(invalid);
        let signed = |number: u64| i64::try_from(number).map_err(|_| invalid());
        if let Some(digits) = text.strip_prefix(b"weight=") {
            self.weight = signed(number(digits)?)?;
            if self.weight == 0 {
                return Err(invalid());
            }
        } else if let Some(digits) = text.strip_prefix(b"max_conns=") {
            self.max_conns = number(digits)?;
        } else if let Some(digits) = text.strip_prefix(b"max_fails=") {
            self.max_fails = number(digits)?;
        } else if let Some(time) = text.strip_prefix(b"fail_timeout=") {
            self.fail_timeout = signed(seconds(time)?)?;
        } else {
            match text {
                b"backup" => self.backup = true,
                b"down" => self.down = true,
                b"resolve" => return Err(not_run(args, index)),
                _ if text.starts_with(b"service=") => return Err(not_run(args, index)),
                _ => return Err(invalid()),
            }
        }
        Ok(())
    }
}

fn not_run(args: &Args<'_>, index: usize) -> Diagnostic {
    let message =
        format!("the parameter \"{}\" of \"server\" is known to nginx, not run by rnginx yet", args.text(index));
    args.error(index, "not-run", message)
}
