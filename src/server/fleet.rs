//! The threads of a worker, all serving the same cycle.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::thread::{self, Accepting, Counters, Order};
use crate::cache::Keeper;
use crate::http::{Cycle, ListenSpec};
use crate::log::{ErrorLog, Level};

/// `worker_cpu_affinity`: lets this thread run on these processors only.
fn bind_to(cpus: &[usize], log: &ErrorLog) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        log.say(Level::Notice, format_args!("sched_setaffinity(): using cpu #{cpu}"));
        set.set(*cpu);
    }
    if let Err(errno) = sched_setaffinity(None, &set) {
        log.say_error(Level::Alert, &errno.into(), "sched_setaffinity() failed");
    }
}

/// An open listening socket: one descriptor for all threads, or one for each where `reuseport` stands.
#[derive(Debug)]
pub struct ListenSocket {
    /// How it was opened; it finds its place in the cycle by its address.
    pub spec: ListenSpec,
    /// The descriptors.
    pub fds: Vec<OwnedFd>,
}

/// How long a change of cycles waits for threads that are busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// The threads of a worker.
pub struct Fleet {
    threads: Vec<JoinHandle<()>>,
    orders: Vec<UnboundedSender<Order>>,
    done: Arc<OwnedFd>,
    keeper: Keeper,
}

impl Fleet {
    /// Starts `worker_processes` threads.
    ///
    /// # Errors
    /// Why a thread, or a descriptor for it, could not be had.
    pub fn start(cycle: Arc<Cycle>, sockets: Vec<ListenSocket>) -> io::Result<Self> {
        let count = cycle.process.worker_processes.max(1);
        let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let running = Arc::new(AtomicUsize::new(count));
        let counters = Arc::new(Counters::default());
        let mut fleet = Self { threads: Vec::new(), orders: Vec::new(), done, keeper: Keeper::default() };
        for (number, sockets) in share(&cycle, &sockets, count)?.into_iter().enumerate() {
            let (sender, orders) = unbounded_channel();
            let (cycle, counters) = (cycle.clone(), counters.clone());
            let last = Last { running: running.clone(), done: fleet.done.clone() };
            let body = move || {
                let _last = last;
                let log = cycle.error_log.clone();
                if let Some(cpus) = cycle.process.worker_cpus.as_ref().and_then(|threads| threads.get(number)) {
                    bind_to(cpus, &log);
                }
                if let Err(error) = thread::run(cycle, sockets, counters, orders) {
                    log.say_error(Level::Alert, &error, "could not start a worker thread");
                }
            };
            fleet.threads.push(std::thread::Builder::new().name("nginx".into()).spawn(body)?);
            fleet.orders.push(sender);
        }
        fleet.keeper.keep(&cycle);
        Ok(fleet)
    }

    /// Serves new requests by another cycle, and accepts from these sockets only. Comes back when all threads do,
    /// or when one takes longer than [`PATIENCE`] to get to it.
    ///
    /// # Errors
    /// Why a descriptor could not be duplicated; then nothing has changed.
    pub fn replace(&self, cycle: &Arc<Cycle>, sockets: &[ListenSocket]) -> io::Result<()> {
        let shares = share(cycle, sockets, self.orders.len())?;
        let (taken, all_taken) = mpsc::channel();
        for (orders, sockets) in self.orders.iter().zip(shares) {
            // A thread that has ended takes no orders.
            let _ = orders.send(Order::Replace(cycle.clone(), sockets, taken.clone()));
        }
        drop(taken);
        self.keeper.keep(cycle);
        let until = Instant::now() + PATIENCE;
        while all_taken.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        Ok(())
    }

    /// Accepts no more; the threads end when their connections have.
    pub fn drain(&self) {
        self.orders.iter().for_each(|orders| drop(orders.send(Order::Drain)));
    }

    /// Ends all threads at once.
    pub fn stop(&self) {
        self.orders.iter().for_each(|orders| drop(orders.send(Order::Stop)));
    }

    /// Readable when all threads have ended.
    pub fn done_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Waits for all threads.
    pub fn join(self) {
        self.keeper.end();
        for thread in self.threads {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Tells the worker when the last thread ends, however it ends.
struct Last {
    running: Arc<AtomicUsize>,
    done: Arc<OwnedFd>,
}

impl Drop for Last {
    fn drop(&mut self) {
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The counter cannot overflow: this is the only write.
            let _ = rustix::io::write(&self.done, &1u64.to_ne_bytes());
        }
    }
}

/// Gives each thread its own descriptors.
fn share(cycle: &Cycle, sockets: &[ListenSocket], count: usize) -> io::Result<Vec<Vec<Accepting>>> {
    let mut shares: Vec<Vec<Accepting>> = (0..count).map(|_| Vec::new()).collect();
    for (listen, wanted) in cycle.listens.iter().enumerate() {
        let Some(socket) = sockets.iter().find(|socket| socket.spec.address == wanted.spec.address) else { continue };
        for (number, share) in shares.iter_mut().enumerate() {
            let Some(fd) = socket.fds.get(number % socket.fds.len().max(1)) else { continue };
            share.push(Accepting { listen, fd: fd.try_clone()? });
        }
    }
    Ok(shares)
}
