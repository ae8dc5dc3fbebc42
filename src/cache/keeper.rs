//! Keeps the caches of a running configuration: a thread that removes entries, and one that reads the folders.
//!
//! nginx has a process for each. Here they are threads of the worker, for the index is the worker's memory.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::store::Caches;
use crate::http::Cycle;
use crate::log::Level;

/// How long a new worker serves before it begins to read folders, as in nginx.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two threads, where a configuration has caches.
#[derive(Default)]
pub(crate) struct Keeper {
    orders: Arc<Orders>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Orders {
    now: Mutex<Order>,
    changed: Condvar,
}

#[derive(Default)]
struct Order {
    cycle: Option<Arc<Cycle>>,
    end: bool,
}

impl Orders {
    fn now(&self) -> MutexGuard<'_, Order> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, unless another cycle comes or it is time to end.
    fn sleep(&self, cycle: &Arc<Cycle>, time: Duration) -> ControlFlow<()> {
        let until = Instant::now() + time;
        let mut order = self.now();
        loop {
            let same = order.cycle.as_ref().is_some_and(|now| Arc::ptr_eq(now, cycle));
            if order.end || !same {
                return ControlFlow::Break(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            order = self.changed.wait_timeout(order, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the next cycle; `None` at the end.
    fn next(&self, last: Option<&Arc<Cycle>>) -> Option<Arc<Cycle>> {
        let mut order = self.now();
        loop {
            if order.end {
                return None;
            }
            let next = order.cycle.clone().filter(|now| last.is_none_or(|last| !Arc::ptr_eq(now, last)));
            if next.is_some() {
                return next;
            }
            order = self.changed.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Keeper {
    /// Keeps the caches of this cycle from now on.
    pub(crate) fn keep(&self, cycle: &Arc<Cycle>) {
        self.orders.now().cycle = Some(cycle.clone());
        self.orders.changed.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if !threads.is_empty() || caches(cycle).is_none() {
            return;
        }
        for (name, work) in [("cache manager", manage as fn(&Orders)), ("cache loader", load)] {
            let orders = self.orders.clone();
            match std::thread::Builder::new().name(name.into()).spawn(move || work(&orders)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let what = format_args!("could not start the {name}'s thread");
                    cycle.error_log.say_error(Level::Alert, &error, what);
                }
            }
        }
    }

    /// Ends both threads.
    pub(crate) fn end(&self) {
        self.orders.now().end = true;
        self.orders.changed.notify_all();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn caches(cycle: &Cycle) -> Option<&Caches> {
    cycle.extensions.get::<Caches>()
}

fn manage(orders: &Orders) {
    let mut last = None;
    while let Some(cycle) = orders.next(last.as_ref()) {
        loop {
            let waits = caches(&cycle).into_iter().flat_map(|caches| &caches.0);
            let next = waits.map(|(_, cache)| cache.manage(&cycle.error_log)).min();
            let pause = next.unwrap_or(Duration::from_secs(3600)).max(Duration::from_millis(1));
            if orders.sleep(&cycle, pause).is_break() {
                break;
            }
        }
        last = Some(cycle);
    }
}

fn load(orders: &Orders) {
    let mut last = None;
    while let Some(cycle) = orders.next(last.as_ref()) {
        if orders.sleep(&cycle, PATIENCE).is_continue() {
            for (_, cache) in caches(&cycle).into_iter().flat_map(|caches| &caches.0) {
                cache.load(&cycle.error_log, &|time| orders.sleep(&cycle, time));
            }
        }
        last = Some(cycle);
    }
}
