//! When connections have waited long enough: an ordered list for each thread, and one timer of the runtime for all of
//! it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::clock;

/// A deadline. Moving it later, as each request on a kept connection does, touches nothing: the entry
/// that stands in the thread's list comes up, is found to be early, and is made anew.
#[derive(Default)]
pub struct Deadline {
    at: Option<Millis>,
    entry: Option<Entry>,
    /// Which task the entry wakes.
    task: usize,
}

/// Milliseconds since the thread's first deadline.
type Millis = u64;

/// A place in the list: when, and a number that tells equal times apart.
type Entry = (Millis, u32);

impl Deadline {
    /// Sets the deadline to this time from now.
    pub fn set(&mut self, from_now: Duration) {
        // Thirty years stand for "never": far enough, and no overflow.
        let never = Duration::from_secs(1 << 30);
        let from_now = from_now.min(never).as_millis() as Millis;
        self.at = Some(TIMERS.with(|timers| timers.millis(clock::now())) + from_now);
    }

    /// Takes the deadline away.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when the deadline has passed, which takes it away.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        TIMERS.with(|timers| {
            let standing = self.entry.filter(|entry| timers.holds(*entry));
            let task = cx.waker().data().addr();
            if standing.is_some_and(|(time, _)| time <= at) && self.task == task {
                return Poll::Pending;
            }
            standing.inspect(|entry| timers.remove(*entry));
            if at <= timers.millis(clock::now()).max(timers.passed.get()) {
                (self.at, self.entry) = (None, None);
                return Poll::Ready(());
            }
            (self.entry, self.task) = (Some(timers.insert(at, cx.waker().clone())), task);
            Poll::Pending
        })
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            // At the end of the thread the list may be gone already.
            let _ = TIMERS.try_with(|timers| timers.remove(entry));
        }
    }
}

thread_local! {
    static TIMERS: Timers = Timers::new();
}

/// The deadlines of a thread.
struct Timers {
    start: Instant,
    list: RefCell<BTreeMap<Entry, Waker>>,
    number: Cell<u32>,
    /// Entries up to this time have come up.
    passed: Cell<Millis>,
    /// Whether a task is there that sleeps until the first entry.
    has_sleeper: Cell<bool>,
    /// What wakes it, once it sleeps.
    sleeper: RefCell<Option<Waker>>,
}

impl Timers {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            list: RefCell::default(),
            number: Cell::default(),
            passed: Cell::default(),
            has_sleeper: Cell::default(),
            sleeper: RefCell::default(),
        }
    }

    /// Counts from one: nothing comes up at the very start.
    fn millis(&self, time: Instant) -> Millis {
        1 + time.saturating_duration_since(self.start).as_millis() as Millis
    }

    fn holds(&self, (time, _): Entry) -> bool {
        time > self.passed.get()
    }

    fn insert(&self, at: Millis, waker: Waker) -> Entry {
        let entry = (at, self.number.get());
        self.number.set(entry.1.wrapping_add(1));
        let mut list = self.list.borrow_mut();
        let is_first = list.first_key_value().is_none_or(|(first, _)| entry < *first);
        list.insert(entry, waker);
        drop(list);
        if is_first {
            self.wake_sleeper();
        }
        entry
    }

    fn remove(&self, entry: Entry) {
        self.list.borrow_mut().remove(&entry);
    }

    fn wake_sleeper(&self) {
        if !self.has_sleeper.replace(true) {
            tokio::task::spawn_local(Sleeper { sleep: None });
        }
        if let Some(sleeper) = &*self.sleeper.borrow() {
            sleeper.wake_by_ref();
        }
    }

    /// Wakes all whose time has come, and tells when the next one's will.
    fn come_up(&self) -> Option<Instant> {
        let now = self.millis(Instant::now());
        self.passed.set(now.max(self.passed.get()));
        loop {
            let mut list = self.list.borrow_mut();
            let first = list.first_entry()?;
            let (time, _) = *first.key();
            if time > now {
                return Some(self.start + Duration::from_millis(time));
            }
            let waker = first.remove();
            drop(list);
            waker.wake();
        }
    }
}

/// Sleeps until the first entry's time; ends when there is none.
struct Sleeper {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        TIMERS.with(|timers| {
            while let Some(next) = timers.come_up() {
                let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next.into())));
                sleep.as_mut().reset(next.into());
                if sleep.as_mut().poll(cx).is_pending() {
                    timers.sleeper.borrow_mut().get_or_insert_with(|| cx.waker().clone());
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // At the end of the thread there is nothing left to be told.
        let _ = TIMERS.try_with(|timers| {
            timers.has_sleeper.set(false);
            timers.sleeper.take()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_all().on_thread_unpark(clock::turn).build_local(Default::default()).unwrap().block_on(work)
    }

    const SHORT: Duration = Duration::from_millis(20);
    /// How much too early a deadline may pass.
    const TICK: Duration = Duration::from_millis(2);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn passes_in_its_time() {
        run(async {
            for _ in 0..2 {
                let start = Instant::now();
                let mut deadline = Deadline::default();
                deadline.set(SHORT);
                poll_fn(|cx| deadline.poll(cx)).await;
                assert!(start.elapsed() + TICK >= SHORT && !deadline.is_set());
            }
        });
    }

    #[test]
    fn may_be_moved_both_ways() {
        run(async {
            let mut deadline = Deadline::default();
            let start = Instant::now();
            deadline.set(SHORT);
            poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_ready().then(|| panic!("too early"));
            deadline.set(SHORT * 2);
            poll_fn(|cx| deadline.poll(cx)).await;
            assert!(start.elapsed() + TICK >= SHORT * 2);
            deadline.set(LONG);
            poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_ready().then(|| panic!("too early"));
            deadline.set(SHORT);
            poll_fn(|cx| deadline.poll(cx)).await;
            assert!(start.elapsed() < LONG);
        });
    }

    #[test]
    fn leaves_nothing_behind() {
        run(async {
            let deadlines: Vec<_> = (0..10)
                .map(|_| {
                    let mut deadline = Deadline::default();
                    deadline.set(LONG);
                    Rc::new(RefCell::new(deadline))
                })
                .collect();
            poll_fn(|cx| {
                assert!(deadlines.iter().all(|deadline| deadline.borrow_mut().poll(cx).is_pending()));
                Poll::Ready(())
            })
            .await;
            assert_eq!(TIMERS.with(|timers| timers.list.borrow().len()), 10);
            drop(deadlines);
            assert_eq!(TIMERS.with(|timers| timers.list.borrow().len()), 0);
        });
    }
}
