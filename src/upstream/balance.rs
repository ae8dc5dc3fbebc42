//! How the next peer is chosen: in turn, by hashes, by connections, by chance. Behaviour of nginx's
//! `ngx_http_upstream_round_robin.c` and of the modules for the other methods.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::choice::Tried;
use super::peers::{Group, Peer, Set};
use crate::http::crc32::Crc32;
use crate::http::{Request, Script};

/// A method, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    RoundRobin,
    LeastConn,
    IpHash,
    /// `hash`
    Hash(Script),
    /// `hash … consistent`
    Consistent(Script),
    /// `random`, and whether it is `two`.
    Random {
        two: bool,
    },
}

/// A method on one request's way.
#[derive(Debug)]
pub(super) enum Course {
    RoundRobin,
    LeastConn,
    IpHash { address: Box<[u8]>, hash: usize, tries: Tries },
    Hash { key: Bytes, hash: u32, rehash: usize, tries: Tries },
    Consistent { empty: bool, point: usize, tries: Tries },
    Random { two: bool, tries: Tries },
}

/// How often a method has hit nobody. In the end peers are taken in turn.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    const MOST: u32 = 20;

    fn are_up(&self) -> bool {
        self.0 > Self::MOST
    }

    /// Counts one more; `false` at the end.
    fn again(&mut self) -> bool {
        self.0 += 1;
        !self.are_up()
    }
}

impl Balance {
    /// Whether peers stand on a ring.
    pub(crate) fn needs_ring(&self) -> bool {
        matches!(self, Balance::Consistent(_))
    }

    pub(super) fn begin(&self, set: &Set, r: &Request) -> Course {
        let tries = Tries::default();
        match self {
            Balance::RoundRobin => Course::RoundRobin,
            Balance::LeastConn => Course::LeastConn,
            Balance::IpHash => {
                Course::IpHash { address: hashed_address(r.connection.peer.get()).into(), hash: 89, tries }
            }
            Balance::Hash(script) => Course::Hash { key: script.eval(r), hash: 0, rehash: 0, tries },
            Balance::Consistent(script) => {
                let key = script.eval(r);
                let point = set.points.find(Crc32::of(&key));
                Course::Consistent { empty: key.is_empty(), point, tries }
            }
            Balance::Random { two } => Course::Random { two: *two, tries },
        }
    }
}

/// What of a client's address counts: three bytes of an IPv4 one.
fn hashed_address(peer: Option<SocketAddr>) -> Vec<u8> {
    match peer.map(|peer| peer.ip()) {
        Some(IpAddr::V4(ip)) => ip.octets()[..3].to_vec(),
        Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
        None => vec![0; 3],
    }
}

impl Course {
    /// The next peer of the group, which has more than one; `turning` where the group has just become the one to
    /// choose from.
    pub(super) fn pick(
        &mut self,
        set: &Set,
        group: &Group,
        tried: &mut Tried,
        now: i64,
        turning: bool,
    ) -> Option<usize> {
        let mut look = Look { group, tried, now };
        if let Course::LeastConn = self {
            return look.least_conn();
        }
        if turning {
            return look.round_robin();
        }
        let hit = match self {
            Course::RoundRobin | Course::LeastConn => None,
            Course::IpHash { address, hash, tries } => look.ip_hash(address, hash, tries),
            Course::Hash { key, hash, rehash, tries } => look.hash(key, (hash, rehash), tries),
            Course::Consistent { empty: true, .. } => None,
            Course::Consistent { point, tries, .. } => look.consistent(&set.points, point, tries),
            Course::Random { two, tries } => look.random(*two, tries),
        };
        hit.or_else(|| look.round_robin())
    }
}

/// One look at a group.
struct Look<'a> {
    group: &'a Group,
    tried: &'a mut Tried,
    now: i64,
}

impl Look<'_> {
    fn is_free(&mut self, index: usize) -> bool {
        !self.tried.has(index) && self.group.peers[index].is_live(self.now)
    }

    /// The peer that has gained the most weight among those that fit and are free.
    fn heaviest(&mut self, first: usize, fits: impl Fn(&Peer) -> bool) -> Option<usize> {
        let (mut best, mut total) = (None, 0);
        for index in first..self.group.peers.len() {
            let peer = &self.group.peers[index];
            if !fits(peer) || !self.is_free(index) {
                continue;
            }
            total += peer.gain();
            let weight = peer.state.current_weight.get();
            if best.is_none_or(|(_, most)| weight > most) {
                best = Some((index, weight));
            }
        }
        let (index, _) = best?;
        self.group.peers[index].state.current_weight.add(-total);
        Some(index)
    }

    fn round_robin(&mut self) -> Option<usize> {
        self.heaviest(0, |_| true)
    }

    /// The peer with the fewest connections for its weight; in turn where there are several.
    fn least_conn(&mut self) -> Option<usize> {
        let (mut best, mut many) = (None, false);
        for index in 0..self.group.peers.len() {
            if !self.is_free(index) {
                continue;
            }
            match best.map(|best: usize| load(&self.group.peers[index], &self.group.peers[best])) {
                None | Some(std::cmp::Ordering::Less) => (best, many) = (Some(index), false),
                Some(std::cmp::Ordering::Equal) => many = true,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let best = best?;
        if !many {
            return Some(best);
        }
        let least = self.group.peers[best].clone();
        self.heaviest(best, |peer| load(peer, &least).is_eq())
    }

    fn ip_hash(&mut self, address: &[u8], hash: &mut usize, tries: &mut Tries) -> Option<usize> {
        if tries.are_up() || self.group.peers.len() < 2 {
            return None;
        }
        let mut next = *hash;
        loop {
            next = address.iter().fold(next, |hash, byte| (hash * 113 + usize::from(*byte)) % 6271);
            let index = self.by_weight(next as i64 % self.group.total_weight);
            if self.is_free(index) {
                *hash = next;
                return Some(index);
            }
            if !tries.again() {
                return None;
            }
        }
    }

    /// As Cache::Memcached hashes.
    fn hash(&mut self, key: &[u8], (hash, rehash): (&mut u32, &mut usize), tries: &mut Tries) -> Option<usize> {
        if tries.are_up() || self.group.peers.len() < 2 || key.is_empty() {
            return None;
        }
        loop {
            let mut crc = Crc32::new();
            if *rehash > 0 {
                crc.update(itoa::Buffer::new().format(*rehash).as_bytes());
            }
            crc.update(key);
            *hash = hash.wrapping_add((crc.finish() >> 16) & 0x7fff);
            *rehash += 1;
            let index = self.by_weight(i64::from(*hash) % self.group.total_weight);
            if self.is_free(index) {
                return Some(index);
            }
            if !tries.again() {
                return None;
            }
        }
    }

    /// The peer at a place where each takes as much room as it has weight.
    fn by_weight(&self, mut place: i64) -> usize {
        let mut index = 0;
        while place >= self.group.peers[index].weight {
            place -= self.group.peers[index].weight;
            index += 1;
        }
        index
    }

    fn consistent(&mut self, points: &Points, point: &mut usize, tries: &mut Tries) -> Option<usize> {
        while !tries.are_up() {
            let server = points.server(*point)?;
            if let Some(index) = self.heaviest(0, |peer| peer.server == *server) {
                return Some(index);
            }
            *point += 1;
            tries.again();
        }
        None
    }

    fn random(&mut self, two: bool, tries: &mut Tries) -> Option<usize> {
        if tries.are_up() || self.group.peers.len() < 2 {
            return None;
        }
        let mut first: Option<usize> = None;
        loop {
            let index = self.by_weight(by_chance(self.group.total_weight));
            if first != Some(index) && self.is_free(index) {
                match first {
                    None if two => first = Some(index),
                    None => return Some(index),
                    Some(other) => {
                        let (one, two) = (&self.group.peers[index], &self.group.peers[other]);
                        return Some(if load(one, two).is_gt() { other } else { index });
                    }
                }
            }
            if !tries.again() {
                return None;
            }
        }
    }
}

/// Which of two has more connections for its weight.
fn load(one: &Peer, other: &Peer) -> std::cmp::Ordering {
    (one.state.conns.get() * other.weight).cmp(&(other.state.conns.get() * one.weight))
}

fn by_chance(below: i64) -> i64 {
    use std::hash::{BuildHasher, RandomState};
    // Every `RandomState` has keys of its own.
    let number = RandomState::new().hash_one(0u8) >> 1;
    number as i64 % below.max(1)
}

/// Where servers stand on the ring of `hash … consistent`, as Cache::Memcached::Fast has it.
#[derive(Debug, Default)]
pub(super) struct Points(Box<[(u32, Bytes)]>);

/// How many places a server of weight 1 has.
const PLACES: i64 = 160;

impl Points {
    pub(super) fn new(peers: &[Arc<Peer>]) -> Self {
        let mut points = Vec::new();
        for peer in peers {
            let (host, port) = host_and_port(&peer.server);
            let mut base = Crc32::new();
            base.update(host);
            base.update(b"\0");
            base.update(port);
            let mut before = 0u32;
            for _ in 0..peer.weight.saturating_mul(PLACES) {
                let mut crc = base.clone();
                crc.update(&before.to_le_bytes());
                before = crc.finish();
                points.push((before, peer.server.clone()));
            }
        }
        points.sort_by_key(|(hash, _)| *hash);
        points.dedup_by_key(|(hash, _)| *hash);
        Self(points.into())
    }

    /// The first point at or behind a hash.
    fn find(&self, hash: u32) -> usize {
        self.0.partition_point(|(point, _)| *point < hash)
    }

    fn server(&self, point: usize) -> Option<&Bytes> {
        Some(&self.0.get(point % self.0.len().max(1))?.1)
    }
}

fn host_and_port(server: &[u8]) -> (&[u8], &[u8]) {
    if server.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"unix:")) {
        return (&server[5..], b"");
    }
    let digits = server.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match server[..server.len() - digits].split_last() {
        Some((b':', host)) => (host, &server[server.len() - digits..]),
        _ => (server, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_servers_apart_as_nginx_does() {
        assert_eq!(host_and_port(b"127.0.0.1:8081"), (&b"127.0.0.1"[..], &b"8081"[..]));
        assert_eq!(host_and_port(b"backend"), (&b"backend"[..], &b""[..]));
        assert_eq!(host_and_port(b"127.0.0.1"), (&b"127.0.0.1"[..], &b""[..]));
        assert_eq!(host_and_port(b"unix:/tmp/x:1"), (&b"/tmp/x:1"[..], &b""[..]));
    }
}
