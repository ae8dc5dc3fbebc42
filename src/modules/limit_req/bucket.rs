//! Buckets by key, the least recently used ones forgotten first.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::modules::limit_zone::KeyedState;

/// The buckets of a zone.
pub(super) struct Buckets {
    key: Box<[u8]>,
    start: Instant,
    table: Mutex<Table>,
}

/// What a look-up says.
pub(super) enum Found {
    /// The request was let in, with this excess in thousandths of a request.
    Accounted(u64),
    /// There is room; the bucket is held until all zones have been asked.
    Held(Ticket),
    /// The bucket is full.
    Busy(u64),
    /// There is no memory for another bucket.
    Full,
}

/// A bucket that is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket(usize);

impl KeyedState for Buckets {
    fn new(key: &[u8], size: usize) -> Self {
        let table =
            Table { places: HashMap::new(), buckets: Vec::new(), free: Vec::new(), ends: NOWHERE, room: room(size) };
        Self { key: key.into(), start: Instant::now(), table: Mutex::new(table) }
    }

    fn key(&self) -> &[u8] {
        &self.key
    }
}

impl Buckets {
    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic cannot have left it in between.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Asks for room in the bucket of a key: `rate` and `burst` in thousandths of a request. Where `account` is
    /// set, the request goes in at once.
    pub(super) fn look_up(&self, key: &[u8], rate: u64, burst: u64, account: bool) -> Found {
        self.table().look_up(key, rate, burst, account, self.now())
    }

    /// Puts a request into a bucket that was held; gives the excess.
    pub(super) fn account(&self, ticket: Ticket, rate: u64) -> u64 {
        let now = self.now();
        let mut table = self.table();
        let bucket = &mut table.buckets[ticket.0];
        let (excess, elapsed) = bucket.excess_at(now, rate);
        if elapsed != 0 {
            bucket.last = now;
        }
        bucket.excess = excess;
        bucket.held -= 1;
        excess
    }

    /// Gives up a bucket that was held.
    pub(super) fn release(&self, ticket: Ticket) {
        self.table().buckets[ticket.0].held -= 1;
    }
}

const NOWHERE: usize = usize::MAX;

struct Table {
    places: HashMap<Box<[u8]>, usize>,
    buckets: Vec<Bucket>,
    free: Vec<usize>,
    /// The most recently used bucket; the list is a ring, so the one before it is the oldest.
    ends: usize,
    /// Bytes left.
    room: usize,
}

struct Bucket {
    key: Box<[u8]>,
    /// Thousandths of a request.
    excess: u64,
    /// Milliseconds.
    last: i64,
    held: u32,
    newer: usize,
    older: usize,
}

impl Bucket {
    /// The excess with one more request, and the time since the last one in milliseconds.
    fn excess_at(&self, now: i64, rate: u64) -> (u64, i64) {
        let elapsed = (now - self.last).max(0);
        let leaked = u64::try_from(elapsed).unwrap_or(0).saturating_mul(rate) / 1000;
        ((self.excess + 1000).saturating_sub(leaked), elapsed)
    }
}

/// nginx's slab allocator keeps some of a zone for itself.
fn room(size: usize) -> usize {
    const PAGE: usize = 4096;
    let pages = size.saturating_sub(PAGE) / (PAGE + 24);
    pages * PAGE
}

/// What a bucket takes of a zone: nginx's node, rounded up as its slab allocator does.
fn cost(key: &[u8]) -> usize {
    (80 + key.len()).next_power_of_two()
}

impl Table {
    fn look_up(&mut self, key: &[u8], rate: u64, burst: u64, account: bool, now: i64) -> Found {
        let Some(&at) = self.places.get(key) else { return self.add(key, rate, account, now) };
        self.unlink(at);
        self.link(at);
        let bucket = &mut self.buckets[at];
        let (excess, elapsed) = bucket.excess_at(now, rate);
        if excess > burst {
            return Found::Busy(excess);
        }
        if account {
            bucket.excess = excess;
            if elapsed != 0 {
                bucket.last = now;
            }
            return Found::Accounted(excess);
        }
        bucket.held += 1;
        Found::Held(Ticket(at))
    }

    fn add(&mut self, key: &[u8], rate: u64, account: bool, now: i64) -> Found {
        self.expire(rate, now, false);
        if self.room < cost(key) {
            self.expire(rate, now, true);
        }
        let Some(room) = self.room.checked_sub(cost(key)) else { return Found::Full };
        self.room = room;
        // A bucket that is only held has never been filled.
        let (last, held) = if account { (now, 0) } else { (i64::MIN / 2, 1) };
        let bucket = Bucket { key: key.into(), excess: 0, last, held, newer: NOWHERE, older: NOWHERE };
        let at = match self.free.pop() {
            Some(at) => {
                self.buckets[at] = bucket;
                at
            }
            None => {
                self.buckets.push(bucket);
                self.buckets.len() - 1
            }
        };
        self.places.insert(key.into(), at);
        self.link(at);
        if account { Found::Accounted(0) } else { Found::Held(Ticket(at)) }
    }

    /// Forgets the oldest by force, or only one or two that have long been empty.
    fn expire(&mut self, rate: u64, now: i64, force: bool) {
        for round in usize::from(!force)..3 {
            if self.ends == NOWHERE {
                return;
            }
            let at = self.buckets[self.ends].newer;
            let oldest = &self.buckets[at];
            if oldest.held > 0 {
                return;
            }
            if round > 0 {
                let elapsed = now.saturating_sub(oldest.last);
                let leaked = u64::try_from(elapsed).unwrap_or(0).saturating_mul(rate) / 1000;
                if elapsed < 60_000 || oldest.excess > leaked {
                    return;
                }
            }
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        self.unlink(at);
        let key = std::mem::take(&mut self.buckets[at].key);
        self.room += cost(&key);
        self.places.remove(&key);
        self.free.push(at);
    }

    /// Puts a bucket at the front.
    fn link(&mut self, at: usize) {
        let first = self.ends;
        if first == NOWHERE {
            (self.buckets[at].newer, self.buckets[at].older) = (at, at);
        } else {
            let oldest = self.buckets[first].newer;
            (self.buckets[at].newer, self.buckets[at].older) = (oldest, first);
            self.buckets[oldest].older = at;
            self.buckets[first].newer = at;
        }
        self.ends = at;
    }

    fn unlink(&mut self, at: usize) {
        let (newer, older) = (self.buckets[at].newer, self.buckets[at].older);
        if newer == at {
            self.ends = NOWHERE;
            return;
        }
        self.buckets[newer].older = older;
        self.buckets[older].newer = newer;
        if self.ends == at {
            self.ends = older;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 64 << 10;

    fn table(room: usize) -> Table {
        Table { places: HashMap::new(), buckets: Vec::new(), free: Vec::new(), ends: NOWHERE, room }
    }

    fn accounted(found: Found) -> Result<u64, u64> {
        match found {
            Found::Accounted(excess) => Ok(excess),
            Found::Busy(excess) => Err(excess),
            Found::Held(_) | Found::Full => panic!("neither in nor out"),
        }
    }

    #[test]
    fn leaks_at_the_rate() {
        let mut table = table(ROOM);
        // Two requests a second, one more may be waiting.
        let mut at = |now| accounted(table.look_up(b"k", 2000, 1000, true, now));
        assert_eq!([at(0), at(0), at(0), at(100)], [Ok(0), Ok(1000), Err(2000), Err(1800)]);
        assert_eq!([at(500), at(499), at(10_000)], [Ok(1000), Err(2000), Ok(0)]);
    }

    #[test]
    fn forgets_the_oldest_when_there_is_no_room() {
        let mut table = table(3 * cost(b"a"));
        for (now, key) in [b"a", b"b", b"c"].into_iter().enumerate() {
            accounted(table.look_up(key, 1000, 0, true, now as i64)).unwrap();
        }
        // Touched, so that `b` is the oldest now.
        accounted(table.look_up(b"a", 1000, 5000, true, 3)).unwrap();
        accounted(table.look_up(b"d", 1000, 0, true, 4)).unwrap();
        let mut keys: Vec<_> = table.places.keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, [b"a", b"c", b"d"].map(|key| Box::from(&key[..])));
        // Long empty ones go two at a time.
        accounted(table.look_up(b"e", 1000, 0, true, 200_000)).unwrap();
        assert_eq!(table.places.len(), 2);
    }

    #[test]
    fn a_held_bucket_is_not_forgotten() {
        let mut table = table(cost(b"a"));
        let Found::Held(ticket) = table.look_up(b"a", 1000, 0, false, 0) else { panic!("there is room") };
        assert!(matches!(table.look_up(b"b", 1000, 0, true, 0), Found::Full));
        table.buckets[ticket.0].held -= 1;
        assert!(matches!(table.look_up(b"b", 1000, 0, true, 0), Found::Accounted(0)));
    }
}
