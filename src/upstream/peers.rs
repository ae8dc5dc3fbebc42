//! Peers of an upstream, and the smooth weighted round robin that chooses among them.
//! Behaviour of nginx's `ngx_http_upstream_round_robin.c`; all threads of the worker share one state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::address::Address;
use super::conf::Upstream;

/// What one peer is, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    /// The address as nginx writes it in logs and `$upstream_addr`.
    pub(crate) name: Bytes,
    pub(crate) weight: i64,
    /// Most connections at a time; 0 is no limit.
    pub(crate) max_conns: u64,
    /// How many failures within `fail_timeout` put it aside; 0 counts none.
    pub(crate) max_fails: u64,
    /// Seconds.
    pub(crate) fail_timeout: i64,
    pub(crate) down: bool,
}

impl Peer {
    /// A peer with nginx's defaults.
    pub(crate) fn new(address: Address) -> Self {
        let name = address.name();
        Self { address, name, weight: 1, max_conns: 0, max_fails: 1, fail_timeout: 10, down: false }
    }
}

/// What is known of a peer while it is used.
#[derive(Clone, Debug, Default)]
struct State {
    current_weight: i64,
    effective_weight: i64,
    conns: u64,
    fails: u64,
    /// Seconds since some start: the last failure.
    accessed: i64,
    /// Seconds: when it was last tried, or failed.
    checked: i64,
}

/// A set of peers: the usual ones of an upstream, or its backups.
#[derive(Debug)]
struct Group {
    peers: Box<[Peer]>,
    states: Mutex<Box<[State]>>,
    /// There is one peer and no backup: it is used whatever happened to it.
    single: bool,
}

impl Group {
    fn new(peers: Vec<Peer>, single: bool) -> Self {
        let state = |peer: &Peer| State { effective_weight: peer.weight, ..State::default() };
        let states = peers.iter().map(state).collect();
        Self { peers: peers.into(), states: Mutex::new(states), single }
    }

    /// A thread that broke off leaves numbers behind, nothing that could be half done.
    fn states(&self) -> MutexGuard<'_, Box<[State]>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tries(&self) -> usize {
        self.peers.iter().filter(|peer| !peer.down).count()
    }
}

/// The peers of an upstream.
#[derive(Debug)]
pub(crate) struct Peers {
    usual: Group,
    backup: Option<Group>,
}

impl Peers {
    /// Peers, and those that are asked when no other one can be.
    pub(crate) fn new(usual: Vec<Peer>, backup: Vec<Peer>) -> Self {
        let single = usual.len() == 1 && backup.is_empty();
        let backup = (!backup.is_empty()).then(|| Group::new(backup, false));
        Self { usual: Group::new(usual, single), backup }
    }

    fn group(&self, backup: bool) -> &Group {
        match &self.backup {
            Some(group) if backup => group,
            _ => &self.usual,
        }
    }

    /// One of the peers.
    pub(super) fn peer(&self, key: PeerKey) -> &Peer {
        &self.group(key.backup).peers[key.index]
    }
}

/// Which peer of an upstream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerKey {
    backup: bool,
    index: usize,
}

/// Seconds on a clock that is never set.
fn now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse).tv_sec
}

/// How a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered, or nothing can be said against it.
    Fine,
    /// It failed.
    Failed,
}

/// One request's way through the peers of its upstream.
#[derive(Debug)]
pub(crate) struct Choice {
    upstream: Arc<Upstream>,
    tried: Tried,
    backup: bool,
    current: Option<usize>,
    /// How many more peers may be tried.
    pub(crate) tries: usize,
}

/// Which peers were tried. Few upstreams have more than 64.
#[derive(Debug, Default)]
struct Tried {
    first: u64,
    more: Vec<u64>,
}

impl Tried {
    fn word(&mut self, index: usize) -> &mut u64 {
        let Some(word) = (index / 64).checked_sub(1) else { return &mut self.first };
        if self.more.len() <= word {
            self.more.resize(word + 1, 0);
        }
        &mut self.more[word]
    }

    fn has(&mut self, index: usize) -> bool {
        *self.word(index) & (1 << (index % 64)) != 0
    }

    fn insert(&mut self, index: usize) {
        *self.word(index) |= 1 << (index % 64);
    }
}

impl Choice {
    /// Nothing tried yet.
    pub(crate) fn new(upstream: Arc<Upstream>) -> Self {
        let peers = &upstream.peers;
        let tries = peers.usual.tries() + peers.backup.as_ref().map_or(0, Group::tries);
        Self { upstream, tried: Tried::default(), backup: false, current: None, tries }
    }

    /// The upstream whose peers these are.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Which peer is in use.
    pub(super) fn key(&self) -> Option<PeerKey> {
        Some(PeerKey { backup: self.backup, index: self.current? })
    }

    /// Chooses the next peer; `None` where there is no live one.
    pub(crate) fn next(&mut self) -> Option<&Peer> {
        self.next_at(now)
    }

    fn next_at(&mut self, now: impl Fn() -> i64) -> Option<&Peer> {
        self.current = self.pick(&now);
        if self.current.is_none() && !self.backup && self.upstream.peers.backup.is_some() {
            self.backup = true;
            self.tried = Tried::default();
            self.current = self.pick(&now);
        }
        self.peer()
    }

    /// The peer in use.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        Some(self.upstream.peers.peer(self.key()?))
    }

    fn pick(&mut self, now: impl Fn() -> i64) -> Option<usize> {
        let group = self.upstream.peers.group(self.backup);
        if group.single {
            return group.pick_single();
        }
        group.pick(&mut self.tried, now())
    }

    /// Gives the peer in use back; `true` where it was put aside because it failed too often.
    pub(crate) fn free(&mut self, outcome: Outcome) -> bool {
        self.free_at(outcome, now)
    }

    fn free_at(&mut self, outcome: Outcome, now: impl Fn() -> i64) -> bool {
        let Some(index) = self.current.take() else { return false };
        let group = self.upstream.peers.group(self.backup);
        if group.single {
            group.free_single();
            self.tries = 0;
            return false;
        }
        self.tries = self.tries.saturating_sub(1);
        group.free(index, outcome, now)
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        // The request ended without a word about the peer: its connection is counted no more.
        self.free(Outcome::Fine);
    }
}

impl Group {
    fn pick_single(&self) -> Option<usize> {
        let peer = &self.peers[0];
        if peer.down {
            return None;
        }
        if peer.max_conns > 0 {
            let state = &mut self.states()[0];
            if state.conns >= peer.max_conns {
                return None;
            }
            state.conns += 1;
        }
        Some(0)
    }

    fn free_single(&self) {
        if self.peers[0].max_conns > 0 {
            self.states()[0].conns -= 1;
        }
    }

    fn pick(&self, tried: &mut Tried, now: i64) -> Option<usize> {
        let mut states = self.states();
        let (mut best, mut total) = (None, 0);
        for (index, (peer, state)) in self.peers.iter().zip(states.iter_mut()).enumerate() {
            let failed =
                peer.max_fails > 0 && state.fails >= peer.max_fails && now - state.checked <= peer.fail_timeout;
            let full = peer.max_conns > 0 && state.conns >= peer.max_conns;
            if tried.has(index) || peer.down || failed || full {
                continue;
            }
            state.current_weight += state.effective_weight;
            total += state.effective_weight;
            if state.effective_weight < peer.weight {
                state.effective_weight += 1;
            }
            if best.is_none_or(|(_, weight)| state.current_weight > weight) {
                best = Some((index, state.current_weight));
            }
        }
        let (index, _) = best?;
        tried.insert(index);
        let state = &mut states[index];
        state.current_weight -= total;
        if now - state.checked > self.peers[index].fail_timeout {
            state.checked = now;
        }
        state.conns += 1;
        Some(index)
    }

    fn free(&self, index: usize, outcome: Outcome, now: impl Fn() -> i64) -> bool {
        let (peer, mut states) = (&self.peers[index], self.states());
        let state = &mut states[index];
        state.conns -= 1;
        if outcome == Outcome::Fine {
            // It lives, if it was tried since it failed.
            if state.accessed < state.checked {
                state.fails = 0;
            }
            return false;
        }
        let now = now();
        state.fails += 1;
        state.accessed = now;
        state.checked = now;
        if peer.max_fails == 0 {
            return false;
        }
        let less = peer.weight / i64::try_from(peer.max_fails).unwrap_or(i64::MAX);
        state.effective_weight = (state.effective_weight - less).max(0);
        state.fails >= peer.max_fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16, weight: i64) -> Peer {
        Peer { weight, ..Peer::new(Address::Tcp(([127, 0, 0, 1], port).into())) }
    }

    fn port(peer: Option<&Peer>) -> u16 {
        match peer.map(|peer| &peer.address) {
            Some(Address::Tcp(address)) => address.port(),
            _ => 0,
        }
    }

    fn upstream(usual: Vec<Peer>, backup: Vec<Peer>) -> Arc<Upstream> {
        Arc::new(Upstream { name: Bytes::new(), peers: Peers::new(usual, backup), keepalive: None })
    }

    fn one(upstream: &Arc<Upstream>, outcome: Outcome, now: i64) -> u16 {
        let mut choice = Choice::new(upstream.clone());
        let port = port(choice.next_at(|| now));
        choice.free_at(outcome, || now);
        port
    }

    #[test]
    fn is_smooth() {
        let peers = upstream(vec![peer(1, 5), peer(2, 1), peer(3, 1)], vec![]);
        let ports: Vec<_> = (0..7).map(|_| one(&peers, Outcome::Fine, 0)).collect();
        assert_eq!(ports, [1, 1, 2, 1, 3, 1, 1]);
    }

    #[test]
    fn tries_each_once_then_backups() {
        let down = Peer { down: true, ..peer(3, 1) };
        let peers = upstream(vec![peer(1, 1), peer(2, 1), down], vec![peer(4, 1)]);
        let mut choice = Choice::new(peers);
        assert_eq!(choice.tries, 3);
        let mut ports = Vec::new();
        while let Some(peer) = choice.next_at(|| 0) {
            ports.push(port(Some(peer)));
            choice.free_at(Outcome::Failed, || 0);
        }
        assert_eq!((ports, choice.tries), (vec![1, 2, 4], 0));
    }

    #[test]
    fn puts_failed_peers_aside_for_a_while() {
        let peers = upstream(vec![peer(1, 1), peer(2, 1)], vec![]);
        assert_eq!(one(&peers, Outcome::Failed, 100), 1);
        assert_eq!([one(&peers, Outcome::Fine, 100), one(&peers, Outcome::Fine, 110)], [2, 2]);
        // It comes back with less weight, and gains some each time.
        let ports: Vec<_> = (0..4).map(|_| one(&peers, Outcome::Fine, 111)).collect();
        assert_eq!(ports, [2, 2, 1, 2]);
    }

    #[test]
    fn single_peers_are_never_put_aside() {
        let peers = upstream(vec![peer(1, 1)], vec![]);
        assert_eq!([one(&peers, Outcome::Failed, 1), one(&peers, Outcome::Failed, 1)], [1, 1]);
        let full = Peer { max_conns: 1, ..peer(1, 1) };
        let peers = upstream(vec![full], vec![]);
        let mut first = Choice::new(peers.clone());
        assert!(first.next().is_some() && Choice::new(peers.clone()).next().is_none());
        drop(first);
        assert_eq!(one(&peers, Outcome::Fine, 0), 1);
    }
}
