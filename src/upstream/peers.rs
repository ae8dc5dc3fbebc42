//! Peers of an upstream, and what is known of each: all threads of the worker, and all configurations that have the
//! same peer, share it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use bytes::Bytes;

use super::address::Address;
use super::balance::Points;

/// What one peer is, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    /// The address as nginx writes it in logs and `$upstream_addr`.
    pub(crate) name: Bytes,
    /// The `server` that it comes from, as written.
    pub(crate) server: Bytes,
    pub(crate) weight: i64,
    /// Most connections at a time; 0 is no limit.
    pub(crate) max_conns: i64,
    /// How many failures within `fail_timeout` put it aside; 0 counts none.
    pub(crate) max_fails: i64,
    /// Seconds.
    pub(crate) fail_timeout: i64,
    pub(crate) down: bool,
    /// The name that it was found under while running; `None` for those of the configuration.
    pub(crate) host: Option<Arc<Host>>,
    /// What is known of it.
    pub(crate) state: Arc<State>,
}

impl Peer {
    /// A peer with nginx's defaults.
    pub(crate) fn new(address: Address) -> Self {
        let name = address.name();
        Self {
            address,
            server: name.clone(),
            name,
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: 10,
            down: false,
            host: None,
            state: Arc::default(),
        }
    }

    /// The same peer at another address, with nothing known of it.
    pub(crate) fn at(&self, address: SocketAddr, server: Bytes, weight: i64) -> Self {
        let address = Address::Tcp(address);
        let state = Arc::default();
        Self { name: address.name(), address, server, weight, state, ..self.clone() }
    }

    /// Whether another configuration means the same peer.
    fn is_same(&self, other: &Peer) -> bool {
        let limits = |peer: &Peer| (peer.weight, peer.max_conns, peer.max_fails, peer.fail_timeout, peer.down);
        self.address == other.address && self.server == other.server && limits(self) == limits(other)
    }

    /// Whether it may be asked now.
    pub(super) fn is_live(&self, now: i64) -> bool {
        let state = &self.state;
        let failed =
            self.max_fails > 0 && state.fails.get() >= self.max_fails && now - state.checked.get() <= self.fail_timeout;
        let full = self.max_conns > 0 && state.conns.get() >= self.max_conns;
        !(self.down || failed || full)
    }

    /// Gives it the weight that it has gained; what it adds to the total.
    pub(super) fn gain(&self) -> i64 {
        let State { current_weight, effective_weight, .. } = &*self.state;
        let effective = effective_weight.get() + self.weight;
        current_weight.add(effective);
        if effective < self.weight {
            effective_weight.add(1);
        }
        effective
    }

    /// Counts a connection.
    pub(super) fn take(&self, now: i64) {
        self.state.conns.add(1);
        if now - self.state.checked.get() > self.fail_timeout {
            self.state.checked.set(now);
        }
    }
}

/// A number that is changed under its upstream's lock only.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicI64);

impl Number {
    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, more: i64) {
        self.set(self.get() + more);
    }
}

/// What is known of a peer while it is used.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) current_weight: Number,
    /// How much less weight it has than was configured, because it failed: never above zero.
    pub(super) effective_weight: Number,
    pub(super) conns: Number,
    pub(super) fails: Number,
    /// Seconds since some start: the last failure.
    pub(super) accessed: Number,
    /// Seconds: when it was last tried, or failed.
    pub(super) checked: Number,
}

/// A set of peers: the usual ones of an upstream, or its backups.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) peers: Box<[Arc<Peer>]>,
    /// There is one peer and no backup: it is used whatever happened to it.
    pub(super) single: bool,
    pub(super) total_weight: i64,
    tries: usize,
}

impl Group {
    fn new(peers: Vec<Arc<Peer>>, single: bool) -> Self {
        let total_weight = peers.iter().map(|peer| peer.weight).sum();
        let tries = peers.iter().filter(|peer| !peer.down).count();
        Self { peers: peers.into(), single, total_weight, tries }
    }
}

/// The peers of an upstream at some time.
#[derive(Debug)]
pub(crate) struct Set {
    pub(super) usual: Group,
    pub(super) backup: Option<Group>,
    /// Where they stand on the ring of `hash … consistent`.
    pub(super) points: Points,
}

impl Set {
    fn new(usual: Vec<Arc<Peer>>, backup: Vec<Arc<Peer>>, ring: bool) -> Self {
        let single = usual.len() == 1 && backup.is_empty();
        let points = if ring { Points::new(&usual) } else { Points::default() };
        let backup = (!backup.is_empty()).then(|| Group::new(backup, false));
        Self { usual: Group::new(usual, single), backup, points }
    }

    pub(super) fn group(&self, backup: bool) -> &Group {
        match &self.backup {
            Some(group) if backup => group,
            _ => &self.usual,
        }
    }

    pub(super) fn tries(&self) -> usize {
        self.usual.tries + self.backup.as_ref().map_or(0, |backup| backup.tries)
    }
}

/// What all configurations know of an upstream of one name.
#[derive(Debug, Default)]
pub(crate) struct Health {
    lock: Mutex<()>,
    known: Mutex<Vec<(Weak<Peer>, bool)>>,
    /// The latest set of peers where names are resolved while running.
    latest: Mutex<Weak<Set>>,
}

impl Health {
    /// A thread that broke off leaves numbers behind, nothing that could be half done.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives peers the state of those that they were before.
    fn recall(&self, peers: Vec<Peer>, backup: bool) -> Vec<Arc<Peer>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(peer, _)| peer.strong_count() > 0);
        let mut before: Vec<_> = known.iter().filter(|(_, was)| *was == backup).collect();
        let recall = |mut peer: Peer| {
            let same = |(other, _): &&(Weak<Peer>, bool)| other.upgrade().is_some_and(|other| other.is_same(&peer));
            if let Some(at) = before.iter().position(same)
                && let Some(other) = before.remove(at).0.upgrade()
            {
                peer.state = other.state.clone();
            }
            Arc::new(peer)
        };
        let peers: Vec<_> = peers.into_iter().map(recall).collect();
        known.splice(0..0, peers.iter().map(|peer| (Arc::downgrade(peer), backup)));
        peers
    }

    /// The peers of a group without those of a name that it has no more, and with those that it has now.
    fn exchange(&self, before: &Group, host: &Arc<Host>, mut found: Vec<Peer>, backup: bool) -> Vec<Arc<Peer>> {
        let stays = |peer: &&Arc<Peer>| {
            if !peer.host.as_ref().is_some_and(|other| Arc::ptr_eq(other, host)) {
                return true;
            }
            let at = found.iter().position(|other| other.is_same(peer));
            at.map(|at| found.remove(at)).is_some()
        };
        let mut peers: Vec<_> = before.peers.iter().filter(stays).cloned().collect();
        peers.extend(self.recall(found, backup));
        peers
    }

    fn settle(&self, set: &Arc<Set>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(set);
    }

    /// What a name was resolved to by the configuration before, backups or not.
    pub(crate) fn found_before(&self, host: &Host, backup: bool) -> Vec<Arc<Peer>> {
        let Some(set) = self.latest.lock().unwrap_or_else(PoisonError::into_inner).upgrade() else { return Vec::new() };
        let group = if backup { set.backup.as_ref() } else { Some(&set.usual) };
        let is_its = |peer: &&Arc<Peer>| peer.host.as_ref().is_some_and(|other| other.is_same(host));
        group.map_or(Vec::new(), |group| group.peers.iter().filter(is_its).cloned().collect())
    }
}

/// A name that is resolved while running.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: Bytes,
    /// `service=`; empty without.
    pub(crate) service: Bytes,
    /// Seconds on [`now`]'s clock: until when the addresses count.
    pub(crate) valid: AtomicI64,
}

impl Host {
    fn is_same(&self, other: &Host) -> bool {
        self.name == other.name && self.service == other.service
    }
}

/// Seconds on a clock that is never set.
pub(crate) fn now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse).tv_sec
}

/// The peers of an upstream.
#[derive(Debug)]
pub(crate) struct Peers {
    now: Now,
    pub(super) health: Arc<Health>,
    ring: bool,
}

#[derive(Debug)]
enum Now {
    Fixed(Set),
    /// Names are resolved while running.
    Changing(RwLock<Arc<Set>>),
}

/// The peers that one request chooses from.
#[derive(Debug)]
pub(super) enum Chosen {
    Fixed,
    Changing(Arc<Set>),
}

impl Peers {
    /// Peers, and those that are asked when no other one can be.
    pub(crate) fn new(usual: Vec<Peer>, backup: Vec<Peer>, health: Arc<Health>, ring: bool) -> Self {
        let set = Set::new(health.recall(usual, false), health.recall(backup, true), ring);
        Self { now: Now::Fixed(set), health, ring }
    }

    /// Peers of which some may change later.
    pub(crate) fn changing(usual: Vec<Peer>, backup: Vec<Peer>, health: Arc<Health>, ring: bool) -> Self {
        let set = Arc::new(Set::new(health.recall(usual, false), health.recall(backup, true), ring));
        health.settle(&set);
        Self { now: Now::Changing(RwLock::new(set)), health, ring }
    }

    /// Peers of one request alone.
    pub(crate) fn passing(addresses: impl IntoIterator<Item = Address>) -> Self {
        let peers = addresses.into_iter().map(|address| Arc::new(Peer::new(address))).collect();
        Self { now: Now::Fixed(Set::new(peers, Vec::new(), false)), health: Arc::default(), ring: false }
    }

    /// Puts what a name was resolved to in the place of what it was before. Peers that stay keep their places, and
    /// what is known of them.
    pub(crate) fn replace(&self, host: &Arc<Host>, usual: Vec<Peer>, backup: Vec<Peer>) {
        let Now::Changing(now) = &self.now else { return };
        let before = now.read().unwrap_or_else(PoisonError::into_inner).clone();
        let usual = self.health.exchange(&before.usual, host, usual, false);
        let backup = self.health.exchange(before.backup.as_ref().unwrap_or(&Group::default()), host, backup, true);
        let set = Arc::new(Set::new(usual, backup, self.ring));
        self.health.settle(&set);
        *now.write().unwrap_or_else(PoisonError::into_inner) = set;
    }

    pub(super) fn choose(&self) -> Chosen {
        match &self.now {
            Now::Fixed(_) => Chosen::Fixed,
            Now::Changing(set) => Chosen::Changing(set.read().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// The peers that were chosen from.
    pub(super) fn set<'a>(&'a self, chosen: &'a Chosen) -> &'a Set {
        match (&self.now, chosen) {
            (_, Chosen::Changing(set)) => set,
            (Now::Fixed(set), Chosen::Fixed) => set,
            (Now::Changing(_), Chosen::Fixed) => unreachable!("what changes was chosen as such"),
        }
    }
}
