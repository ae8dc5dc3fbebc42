//! How many connections and requests there are, for `stub_status`. The numbers stand in memory that all workers share,
//! as nginx's do, so that they outlive each of them; every thread counts in a place of its own.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// One of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Connections accepted so far.
    Accepted,
    /// Of these, the ones for which there was room.
    Handled,
    /// Requests begun so far.
    Requests,
    /// Connections open now.
    Active,
    /// Requests whose head is being read.
    Reading,
    /// Requests that are being answered.
    Writing,
    /// Connections that wait for a request.
    Waiting,
}

const COUNTS: usize = Count::Waiting as usize + 1;

/// What one thread counts, in a cache line of its own.
#[repr(C, align(64))]
struct Place {
    taken: AtomicU64,
    counts: [AtomicU64; COUNTS],
}

/// Places for threads. The last one is shared by those who find none free.
const PLACES: usize = 1024;

/// All places, made on first use: by the master, before it makes workers.
fn places() -> &'static [Place; PLACES] {
    static PLACES_OF_ALL: OnceLock<&'static [Place; PLACES]> = OnceLock::new();
    PLACES_OF_ALL.get_or_init(|| map().unwrap_or_else(|| Box::leak(Box::new([const { Place::new() }; PLACES]))))
}

fn map() -> Option<&'static [Place; PLACES]> {
    let (size, access) = (size_of::<[Place; PLACES]>(), ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: new memory at an address of the system's choice concerns nobody else.
    let memory = unsafe { mmap_anonymous(ptr::null_mut(), size, access, MapFlags::SHARED) }.ok()?;
    // SAFETY: it is of that size, begins at a page, is never given back, and zeros are numbers to an atomic.
    Some(unsafe { &*memory.cast::<[Place; PLACES]>() })
}

/// Makes the memory that processes forked from now on share.
pub fn share_counts() {
    places();
}

/// A number over all threads.
pub fn count(which: Count) -> u64 {
    // What begins in one place may end in another, so only the sum is a number of something.
    let sum =
        places().iter().fold(0u64, |sum, place| sum.wrapping_add(place.counts[which as usize].load(Ordering::Relaxed)));
    // A sum read while threads count may be one too low for a moment.
    if sum > u64::MAX / 2 { 0 } else { sum }
}

impl Place {
    const fn new() -> Self {
        Self { taken: AtomicU64::new(0), counts: [const { AtomicU64::new(0) }; COUNTS] }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.counts).finish()
    }
}

/// A thread's place, while the thread lives.
#[derive(Debug)]
pub struct Meter(Tally);

/// The way to count in a place.
#[derive(Clone, Copy, Debug)]
struct Tally {
    place: &'static Place,
    /// No other thread counts here.
    alone: bool,
}

impl Tally {
    fn add(self, which: Count, amount: u64) {
        let count = &self.place.counts[which as usize];
        if self.alone {
            count.store(count.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
        } else {
            count.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

impl Meter {
    /// A place for a new thread.
    pub fn claim() -> Self {
        let (shared, own) = places().split_last().expect("there are places");
        let free = |place: &&Place| place.taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        Self(match own.iter().find(free) {
            Some(place) => Tally { place, alone: true },
            None => Tally { place: shared, alone: false },
        })
    }

    /// One more, for good.
    pub fn add(&self, which: Count) {
        self.0.add(which, 1);
    }

    /// One more while the guard lives, which it must on this thread.
    pub fn during(&self, which: Count) -> Counted {
        self.0.add(which, 1);
        Counted { tally: self.0, which }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.0.alone {
            self.0.place.taken.store(0, Ordering::Release);
        }
    }
}

/// Something that counts while it lives.
#[derive(Debug)]
pub struct Counted {
    tally: Tally,
    which: Count,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.add(self.which, 1u64.wrapping_neg());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_apart_and_are_summed() {
        let before = count(Count::Accepted);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let meter = Meter::claim();
                    for _ in 0..1000 {
                        meter.add(Count::Accepted);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(count(Count::Accepted) >= before + 4000);
    }

    #[test]
    fn a_guard_counts_while_it_lives() {
        let meter = Meter::claim();
        let place = meter.0.place;
        let own = || place.counts[Count::Reading as usize].load(Ordering::Relaxed);
        let before = own();
        let guard = meter.during(Count::Reading);
        assert_eq!(own(), before + 1);
        drop(guard);
        assert_eq!(own(), before);
    }
}
