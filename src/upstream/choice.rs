//! One request's way through the peers of its upstream.

use std::sync::Arc;

use super::balance::Course;
use super::conf::Upstream;
use super::peers::{Chosen, Group, Peer, Set, now};
use crate::http::Request;

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
    chosen: Chosen,
    course: Course,
    tried: Tried,
    backup: bool,
    current: Option<usize>,
    /// How many more peers may be tried.
    pub(crate) tries: usize,
}

/// Which peers were tried. Few upstreams have more than 64.
#[derive(Debug, Default)]
pub(super) struct Tried {
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

    pub(super) fn has(&mut self, index: usize) -> bool {
        *self.word(index) & (1 << (index % 64)) != 0
    }

    pub(super) fn insert(&mut self, index: usize) {
        *self.word(index) |= 1 << (index % 64);
    }
}

impl Choice {
    /// Nothing tried yet.
    pub(crate) fn new(upstream: Arc<Upstream>, r: &Request) -> Self {
        let chosen = upstream.peers.choose();
        let set = upstream.peers.set(&chosen);
        let (tries, course) = (set.tries(), upstream.balance.begin(set, r));
        Self { upstream, chosen, course, tried: Tried::default(), backup: false, current: None, tries }
    }

    /// The upstream whose peers these are.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn set(&self) -> &Set {
        self.upstream.peers.set(&self.chosen)
    }

    fn group(&self) -> &Group {
        self.set().group(self.backup)
    }

    /// Chooses the next peer; `None` where there is no live one.
    pub(crate) fn next(&mut self) -> Option<&Arc<Peer>> {
        self.next_at(now)
    }

    fn next_at(&mut self, now: impl Fn() -> i64) -> Option<&Arc<Peer>> {
        self.current = self.pick(&now, false);
        if self.current.is_none() && !self.backup && self.set().backup.is_some() {
            self.backup = true;
            self.tried = Tried::default();
            self.current = self.pick(&now, true);
        }
        self.peer()
    }

    /// The peer in use.
    pub(crate) fn peer(&self) -> Option<&Arc<Peer>> {
        self.group().peers.get(self.current?)
    }

    /// `turning` where backups take over just now.
    fn pick(&mut self, now: impl Fn() -> i64, turning: bool) -> Option<usize> {
        let set = self.upstream.peers.set(&self.chosen);
        let group = set.group(self.backup);
        if group.single {
            return self.pick_single();
        }
        let now = now();
        let _lock = self.upstream.peers.health.lock();
        let index = self.course.pick(set, group, &mut self.tried, now, turning)?;
        self.tried.insert(index);
        group.peers[index].take(now);
        Some(index)
    }

    fn pick_single(&self) -> Option<usize> {
        let peer = &self.group().peers[0];
        if peer.down {
            return None;
        }
        if peer.max_conns > 0 {
            let _lock = self.upstream.peers.health.lock();
            if peer.state.conns.get() >= peer.max_conns {
                return None;
            }
            peer.state.conns.add(1);
        }
        Some(0)
    }

    /// Gives the peer in use back; `true` where it was put aside because it failed too often.
    pub(crate) fn free(&mut self, outcome: Outcome) -> bool {
        self.free_at(outcome, now)
    }

    fn free_at(&mut self, outcome: Outcome, now: impl Fn() -> i64) -> bool {
        let Some(index) = self.current.take() else { return false };
        let single = self.group().single;
        self.tries = if single { 0 } else { self.tries.saturating_sub(1) };
        let peer = &self.group().peers[index];
        if single && peer.max_conns == 0 {
            return false;
        }
        let _lock = self.upstream.peers.health.lock();
        peer.state.conns.add(-1);
        if single {
            return false;
        }
        match outcome {
            Outcome::Failed => fail(peer, now()),
            Outcome::Fine => {
                // It lives, if it was tried since it failed.
                if peer.state.accessed.get() < peer.state.checked.get() {
                    peer.state.fails.set(0);
                }
                false
            }
        }
    }
}

/// Counts a failure; `true` where there are too many by now.
fn fail(peer: &Peer, now: i64) -> bool {
    let state = &peer.state;
    state.fails.add(1);
    state.accessed.set(now);
    state.checked.set(now);
    if peer.max_fails == 0 {
        return false;
    }
    let less = (state.effective_weight.get() - peer.weight / peer.max_fails).max(-peer.weight);
    state.effective_weight.set(less);
    state.fails.get() >= peer.max_fails
}

impl Drop for Choice {
    fn drop(&mut self) {
        // The request ended without a word about the peer: its connection is counted no more.
        self.free(Outcome::Fine);
    }
}

#[cfg(test)]
impl Choice {
    /// A way that takes the peers in turn.
    fn in_turn(upstream: &Arc<Upstream>) -> Self {
        let chosen = upstream.peers.choose();
        let tries = upstream.peers.set(&chosen).tries();
        let (upstream, course) = (upstream.clone(), Course::RoundRobin);
        Self { upstream, chosen, course, tried: Tried::default(), backup: false, current: None, tries }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::address::Address;
    use super::super::balance::Balance;
    use super::super::peers::{Health, Peers};
    use super::*;

    fn peer(port: u16, weight: i64) -> Peer {
        Peer { weight, ..Peer::new(Address::Tcp(([127, 0, 0, 1], port).into())) }
    }

    fn port(peer: Option<&Arc<Peer>>) -> u16 {
        match peer.map(|peer| &peer.address) {
            Some(Address::Tcp(address)) => address.port(),
            _ => 0,
        }
    }

    fn with_health(health: &Arc<Health>, usual: Vec<Peer>, backup: Vec<Peer>) -> Arc<Upstream> {
        let peers = Peers::new(usual, backup, health.clone(), false);
        Arc::new(Upstream { name: Bytes::new(), peers, keepalive: None, balance: Balance::RoundRobin })
    }

    fn upstream(usual: Vec<Peer>, backup: Vec<Peer>) -> Arc<Upstream> {
        with_health(&Arc::default(), usual, backup)
    }

    fn one(upstream: &Arc<Upstream>, outcome: Outcome, now: i64) -> u16 {
        let mut choice = Choice::in_turn(upstream);
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
        let mut choice = Choice::in_turn(&peers);
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
    fn another_configuration_knows_what_failed() {
        let health = Arc::default();
        let before = with_health(&health, vec![peer(1, 1), peer(2, 1)], vec![]);
        assert_eq!(one(&before, Outcome::Failed, 100), 1);
        let after = with_health(&health, vec![peer(1, 1), peer(3, 1)], vec![]);
        assert_eq!([one(&after, Outcome::Fine, 100), one(&after, Outcome::Fine, 100)], [3, 3]);
        let other = with_health(&health, vec![peer(1, 2), peer(3, 1)], vec![]);
        assert_eq!(one(&other, Outcome::Fine, 100), 1);
    }

    #[test]
    fn single_peers_are_never_put_aside() {
        let peers = upstream(vec![peer(1, 1)], vec![]);
        assert_eq!([one(&peers, Outcome::Failed, 1), one(&peers, Outcome::Failed, 1)], [1, 1]);
        let full = Peer { max_conns: 1, ..peer(1, 1) };
        let peers = upstream(vec![full], vec![]);
        let mut first = Choice::in_turn(&peers);
        assert!(first.next().is_some() && Choice::in_turn(&peers).next().is_none());
        drop(first);
        assert_eq!(one(&peers, Outcome::Fine, 0), 1);
    }
}
