//! Timers for many waits at once: one timer of the runtime a thread, however many waits there are.
//!
//! Most waits end before their time. Setting and dropping a timer here touches a slot in a list; the runtime's timer
//! is set for the earliest time that anybody asked for, and looks at the list when it fires.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static TIMERS: Rc<Timers> = Rc::default();
}

#[derive(Default)]
struct Timers {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    /// When the driver will look at the slots; `None` while there is no driver.
    next: Cell<Option<Instant>>,
    /// Tells the driver that somebody cannot wait that long.
    sooner: tokio::sync::Notify,
    driver_runs: Cell<bool>,
}

#[derive(Default)]
struct Slot {
    deadline: Option<Instant>,
    fired: bool,
    waker: Option<Waker>,
}

/// One wait's timer. It takes a slot when it is first set.
#[derive(Default)]
pub(crate) struct Timer {
    slot: Option<(Rc<Timers>, usize)>,
}

/// Longer than anybody waits, and no overflow.
const NEVER: Duration = Duration::from_secs(1 << 30);

impl Timer {
    /// Sets the timer to this time from now.
    pub(crate) fn set(&mut self, from_now: Duration) {
        let deadline = Instant::now() + from_now.min(NEVER);
        let (timers, index) = self.slot.get_or_insert_with(|| {
            let timers = TIMERS.with(Rc::clone);
            let index = timers.take();
            (timers, index)
        });
        let slot = &mut timers.slots.borrow_mut()[*index];
        slot.deadline = Some(deadline);
        slot.fired = false;
        timers.expect(deadline);
    }

    /// Takes the time away.
    pub(crate) fn clear(&mut self) {
        if let Some((timers, index)) = &self.slot {
            let slot = &mut timers.slots.borrow_mut()[*index];
            slot.deadline = None;
            slot.fired = false;
        }
    }

    /// Whether a time is set.
    pub(crate) fn is_set(&self) -> bool {
        self.slot.as_ref().is_some_and(|(timers, index)| {
            let slot = &timers.slots.borrow()[*index];
            slot.deadline.is_some() || slot.fired
        })
    }

    /// Ready when the time has come; pending for ever while none is set.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((timers, index)) = &self.slot else { return Poll::Pending };
        let slot = &mut timers.slots.borrow_mut()[*index];
        if slot.fired {
            return Poll::Ready(());
        }
        if slot.deadline.is_some() && !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for the time.
    pub(crate) async fn passed(&self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some((timers, index)) = self.slot.take() {
            timers.slots.borrow_mut()[index] = Slot::default();
            timers.free.borrow_mut().push(index);
        }
    }
}

impl Timers {
    fn take(&self) -> usize {
        if let Some(index) = self.free.borrow_mut().pop() {
            return index;
        }
        let mut slots = self.slots.borrow_mut();
        slots.push(Slot::default());
        slots.len() - 1
    }

    /// Sees to it that the slots are looked at when this time has come.
    fn expect(self: &Rc<Self>, deadline: Instant) {
        if self.next.get().is_some_and(|next| next <= deadline) {
            return;
        }
        self.next.set(Some(deadline));
        if self.driver_runs.replace(true) {
            self.sooner.notify_one();
        } else {
            tokio::task::spawn_local(drive(Running(self.clone())));
        }
    }

    /// Fires what is due; tells when to look again.
    fn fire(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for slot in self.slots.borrow_mut().iter_mut() {
            let Some(deadline) = slot.deadline else { continue };
            if deadline > now {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
                continue;
            }
            slot.deadline = None;
            slot.fired = true;
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
        next
    }
}

/// Notes that the driver has gone, also when its runtime ends before the thread.
struct Running(Rc<Timers>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.driver_runs.set(false);
        self.0.next.set(None);
    }
}

async fn drive(running: Running) {
    let timers = &running.0;
    while let Some(next) = timers.next.get() {
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => timers.next.set(timers.fire(Instant::now())),
            () = timers.sooner.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, work);
    }

    async fn waited(timer: &Timer) -> Duration {
        let start = Instant::now();
        timer.passed().await;
        start.elapsed()
    }

    #[test]
    fn fires_in_any_order() {
        run(async {
            let (mut late, mut soon) = (Timer::default(), Timer::default());
            late.set(Duration::from_millis(60));
            soon.set(Duration::from_millis(20));
            let soon = waited(&soon).await;
            assert!((20..55).contains(&soon.as_millis()), "{soon:?}");
            assert!(late.is_set());
            let rest = waited(&late).await;
            assert!((20..80).contains(&rest.as_millis()), "{rest:?}");
        });
    }

    #[test]
    fn is_put_off_and_taken_away() {
        run(async {
            let mut timer = Timer::default();
            timer.set(Duration::from_millis(10));
            timer.set(Duration::from_millis(50));
            assert!(waited(&timer).await.as_millis() >= 50);
            timer.set(Duration::from_millis(10));
            timer.clear();
            assert!(!timer.is_set());
            let mut other = Timer::default();
            other.set(Duration::from_millis(30));
            tokio::select! {
                () = timer.passed() => panic!("it was taken away"),
                () = other.passed() => {}
            }
        });
    }

    #[test]
    fn works_on_a_second_runtime_of_the_thread() {
        for _ in 0..2 {
            run(async {
                let mut timer = Timer::default();
                timer.set(Duration::from_millis(5));
                timer.passed().await;
            });
        }
    }
}
