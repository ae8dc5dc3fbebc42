//! Follows names of an upstream's servers while running: `server … resolve`.
//! Behaviour of nginx's `ngx_http_upstream_zone_module.c`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::address::Address;
use super::conf::Upstream;
use super::dns::{Fault, Located, Resolver};
use super::peers::{Host, Peer, now};
use crate::http::{Background, Local};
use crate::log::Level;

/// Follows one name.
pub(crate) struct Follower {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) host: Arc<Host>,
    /// What its peers are like. Its address holds the port.
    pub(crate) template: Peer,
    /// Its peers are backups.
    pub(crate) backup: bool,
    /// Servers of a service that come second may be backups.
    pub(crate) backups: bool,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) timeout: Duration,
}

/// What a name was resolved to: peers, and backups.
type Peers = (Vec<Peer>, Vec<Peer>);

impl Background for Follower {
    fn work(self: Arc<Self>, local: Rc<Local>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let left = self.host.valid.load(Ordering::Relaxed) - now();
            tokio::time::sleep(match u64::try_from(left) {
                Ok(left) if left > 0 => Duration::from_secs(left),
                _ => Duration::from_millis(1),
            })
            .await;
            loop {
                let wait = self.follow(&local).await;
                tokio::time::sleep(wait).await;
            }
        })
    }
}

impl Follower {
    /// Resolves the name once; tells how long the outcome counts.
    async fn follow(&self, local: &Local) -> Duration {
        let found = match self.host.service.is_empty() {
            true => self.resolve_name(local).await,
            false => self.resolve_service(local).await,
        };
        let Some(((usual, backup), valid)) = found else { return self.timeout.max(Duration::from_secs(1)) };
        self.upstream.peers.replace(&self.host, usual, backup);
        self.host.valid.store(valid, Ordering::Relaxed);
        let left = valid - now();
        Duration::from_secs(u64::try_from(left).map_or(1, |left| left + 1))
    }

    async fn resolve_name(&self, local: &Local) -> Option<(Peers, i64)> {
        match self.resolver.resolve(local, &self.host.name, self.timeout).await {
            Ok(resolved) => {
                let peers = resolved.addresses.iter().map(|ip| self.peer(*ip)).collect();
                let both = if self.backup { (Vec::new(), peers) } else { (peers, Vec::new()) };
                Some((both, resolved.valid))
            }
            Err(fault) => {
                let name = String::from_utf8_lossy(&self.host.name);
                local.cycle.error_log.say(Level::Error, format_args!("{name} {fault}"));
                self.nothing(fault)
            }
        }
    }

    async fn resolve_service(&self, local: &Local) -> Option<(Peers, i64)> {
        let Host { name, service, .. } = &*self.host;
        let (shown_name, shown) = (String::from_utf8_lossy(name), String::from_utf8_lossy(service));
        let resolved = self.resolver.resolve_service(local, (name, service), self.timeout).await;
        let (Ok(servers) | Err((_, servers))) = &resolved;
        for (lost, fault) in &servers.lost {
            let lost = String::from_utf8_lossy(lost);
            let message = format_args!("{lost} {fault} while resolving service {shown} of {shown_name}");
            local.cycle.error_log.say(Level::Error, message);
        }
        match resolved {
            Ok(servers) => Some((self.sort(&servers.found), servers.valid)),
            Err((fault, _)) => {
                let message = format_args!("service {shown} of {shown_name} {fault}");
                local.cycle.error_log.say(Level::Error, message);
                self.nothing(fault)
            }
        }
    }

    /// A name that does not exist has no peers; another fault leaves those it has.
    fn nothing(&self, fault: Fault) -> Option<(Peers, i64)> {
        (fault == Fault::NO_SUCH_HOST).then(|| (Peers::default(), self.resolver.fault_valid()))
    }

    /// Servers of the first priority are the usual ones, the others backups.
    fn sort(&self, found: &[Located]) -> Peers {
        let first = found.iter().map(|server| server.priority).min().unwrap_or_default();
        let (usual, others): (Vec<&Located>, Vec<&Located>) = found.iter().partition(|server| server.priority == first);
        let peers = |servers: Vec<&Located>| servers.into_iter().map(|server| self.server(server)).collect::<Vec<_>>();
        match (self.backup, self.backups) {
            (true, _) => (Vec::new(), peers(usual)),
            (false, true) => (peers(usual), peers(others)),
            (false, false) => (peers(usual), Vec::new()),
        }
    }

    fn server(&self, server: &Located) -> Peer {
        let weight = if self.template.weight == 1 { i64::from(server.weight) } else { self.template.weight };
        let host = Some(self.host.clone());
        Peer { host, ..self.template.at(server.address, server.name.clone(), weight) }
    }

    fn peer(&self, ip: std::net::IpAddr) -> Peer {
        let address = SocketAddr::new(ip, self.template.port());
        let host = Some(self.host.clone());
        Peer { host, ..self.template.at(address, self.template.server.clone(), self.template.weight) }
    }
}

impl Peer {
    fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }

    /// What the configuration before had found under the name, made to this one's measure.
    pub(crate) fn found_again(&self, before: &Peer, host: &Arc<Host>) -> Peer {
        let Address::Tcp(mut address) = before.address else { return self.clone() };
        let (server, weight) = match host.service.is_empty() {
            true => {
                address.set_port(self.port());
                (self.server.clone(), self.weight)
            }
            false => (before.server.clone(), if self.weight == 1 { before.weight } else { self.weight }),
        };
        Peer { host: Some(host.clone()), ..self.at(address, server, weight) }
    }
}
