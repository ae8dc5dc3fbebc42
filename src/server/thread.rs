//! One thread of the worker: its runtime, its listeners, and what its connections share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::h1;
use super::listener::{self, Listener};
use crate::cycle;
use crate::http::date::DateCache;
use crate::http::{BackgroundWork, Count, Counted, Cycle, Local, Meter, ThreadState, clock};
use crate::log::Level;

/// What the worker's main thread asks of a thread.
pub enum Order {
    /// Serve new requests by this cycle, and accept from these sockets only. Say when that is so.
    Replace(Arc<Cycle>, Vec<Accepting>, mpsc::Sender<()>),
    /// Accept no more, finish what was begun, then end.
    Drain,
    /// End at once.
    Stop,
}

/// A socket that a thread accepts from.
#[derive(Debug)]
pub struct Accepting {
    /// Which of the cycle's listens it is.
    pub listen: usize,
    /// The socket.
    pub fd: OwnedFd,
}

/// What all connections of a thread share.
pub struct Thread {
    local: RefCell<Rc<Local>>,
    state: Rc<ThreadState>,
    counters: Arc<Counters>,
    connections: Cell<usize>,
    /// How many of them were told to go, to make room.
    leaving: Cell<usize>,
    /// Counts how often connections began to wait for a request.
    rests: Cell<u64>,
    /// When it was last said that there is little room.
    warned: Cell<Option<Instant>>,
    /// What `stub_status` tells.
    pub(super) meter: Meter,
    draining: watch::Sender<bool>,
    kept: RefCell<HashMap<u64, Weak<h1::Io>>>,
    /// Connections that may be left behind by a reload, where `worker_shutdown_timeout` stands.
    held: RefCell<HashMap<u64, Held>>,
    /// Counts the cycles that it has had.
    epoch: Cell<u64>,
    idle: tokio::sync::Notify,
    freed: tokio::sync::Notify,
    /// Bytes just read, before anybody keeps them.
    pub(super) input: RefCell<Box<[u8]>>,
    /// What the next head is read with.
    pub(super) reading: Cell<Option<Box<h1::Reading>>>,
    /// A response's head under construction.
    pub(super) output: RefCell<Vec<u8>>,
    /// The `Date` header of this second.
    pub(super) date: RefCell<DateCache>,
}

/// A connection that can be ended, and the count of the cycle that it has come to.
struct Held {
    task: AbortHandle,
    epoch: u64,
}

/// What all threads of a worker have together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted so far: the next one's number.
    pub connections: AtomicU64,
    /// Whether some thread does the work beside requests.
    pub background: AtomicBool,
}

/// How many tasks may run before the system is asked for more events: those of one turn of nginx's loop.
const TASKS: u32 = 512;

/// Size of the buffer that reads go into, in bytes.
const INPUT: usize = 64 << 10;

impl Thread {
    fn new(cycle: Arc<Cycle>, counters: Arc<Counters>) -> Rc<Self> {
        let state = Rc::new(ThreadState::default());
        Rc::new(Self {
            local: RefCell::new(local(cycle, &state)),
            state,
            counters,
            connections: Cell::new(0),
            leaving: Cell::new(0),
            rests: Cell::new(0),
            warned: Cell::new(None),
            meter: Meter::claim(),
            draining: watch::Sender::new(false),
            kept: RefCell::default(),
            held: RefCell::default(),
            epoch: Cell::default(),
            idle: tokio::sync::Notify::new(),
            freed: tokio::sync::Notify::new(),
            input: RefCell::new(vec![0; INPUT].into()),
            reading: Cell::default(),
            output: RefCell::default(),
            date: RefCell::new(DateCache::new()),
        })
    }

    /// The cycle that new requests run on.
    pub fn local(&self) -> Rc<Local> {
        self.local.borrow().clone()
    }

    /// Whether new requests run on this cycle.
    pub fn is_newest(&self, local: &Rc<Local>) -> bool {
        Rc::ptr_eq(&self.local.borrow(), local)
    }

    /// Whether the thread is about to end.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Tells when the thread is about to end.
    pub fn drain_watch(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Remembers an HTTP/1 connection, to tell it when the thread is about to end.
    pub(super) fn keep(&self, number: u64, io: &Rc<h1::Io>) {
        self.kept.borrow_mut().insert(number, Rc::downgrade(io));
    }

    /// Forgets an HTTP/1 connection.
    pub(super) fn forget(&self, number: u64) {
        self.kept.borrow_mut().remove(&number);
    }

    /// Holds a connection, where a reload may leave it behind.
    pub(super) fn hold(&self, number: u64, task: &JoinHandle<()>) {
        if self.local.borrow().cycle.process.worker_shutdown_timeout.is_some() {
            let held = Held { task: task.abort_handle(), epoch: self.epoch.get() };
            self.held.borrow_mut().insert(number, held);
        }
    }

    /// A connection has come to the newest cycle.
    pub(super) fn moved_on(&self, number: u64) {
        if let Some(held) = self.held.borrow_mut().get_mut(&number) {
            held.epoch = self.epoch.get();
        }
    }

    /// Ends connections that have not come to the cycle of this count.
    fn leave_behind(&self, epoch: u64) {
        for (number, held) in &*self.held.borrow() {
            if held.epoch < epoch {
                self.kept.borrow_mut().remove(number);
                held.task.abort();
            }
        }
    }

    /// A connection begins to wait for a request: its place among those that do.
    pub(super) fn count_rest(&self) -> u64 {
        self.rests.replace(self.rests.get() + 1)
    }

    /// A connection was told to go, or did.
    pub(super) fn count_leaving(&self, change: isize) {
        self.leaving.set(self.leaving.get().saturating_add_signed(change));
    }

    /// Lets those go that have waited longest for a request, as many at a time as nginx does. `spare_new` are those
    /// that have brought none yet.
    pub(super) fn make_room(&self, spare_new: bool) {
        let mut resting: Vec<_> = {
            let kept = self.kept.borrow();
            let all = kept.values().filter_map(Weak::upgrade);
            all.filter(|io| !(spare_new && io.is_new())).filter_map(|io| Some((io.rests_since()?, io))).collect()
        };
        let count = (resting.len() / 8).clamp(1, 32);
        resting.sort_unstable_by_key(|(since, _)| *since);
        resting.iter().take(count).for_each(|(_, io)| io.leave());
    }

    /// Ready when a connection ends.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn staying(&self) -> usize {
        self.connections.get().saturating_sub(self.leaving.get())
    }

    /// Whether no more than a sixteenth of `worker_connections` is free.
    pub(super) fn has_little_room(&self) -> bool {
        let limit = self.local.borrow().cycle.process.worker_connections;
        limit.saturating_sub(self.staying()) <= limit / 16
    }

    /// Numbers a new connection, and counts it while the guard lives; `None` when there are too many. When there are
    /// nearly too many, some that only wait are let go. Behaviour of nginx's `ngx_drain_connections`.
    pub(super) fn admit(self: &Rc<Self>) -> Option<(u64, Admitted)> {
        self.meter.add(Count::Accepted);
        let limit = self.local.borrow().cycle.process.worker_connections;
        if self.has_little_room() {
            let before = self.leaving.get();
            self.make_room(false);
            if self.leaving.get() > before {
                self.say_little_room(limit);
            }
        }
        if self.staying() >= limit {
            return None;
        }
        self.connections.set(self.connections.get() + 1);
        let number = self.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.meter.add(Count::Handled);
        Some((number, Admitted { number, thread: self.clone(), _active: self.meter.during(Count::Active) }))
    }
}

impl Thread {
    /// At most once a second.
    fn say_little_room(&self, limit: usize) {
        let now = clock::now();
        if self.warned.get().is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            return;
        }
        self.warned.set(Some(now));
        let log = &self.local.borrow().cycle.error_log;
        log.say(Level::Warn, format_args!("{limit} worker_connections are not enough, reusing connections"));
    }
}

fn local(cycle: Arc<Cycle>, state: &Rc<ThreadState>) -> Rc<Local> {
    Rc::new(Local { cycle, engine: cycle::ENGINE, state: state.clone() })
}

/// Counts a connection while it lives.
pub(super) struct Admitted {
    number: u64,
    thread: Rc<Thread>,
    _active: Counted,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let left = self.thread.connections.get() - 1;
        self.thread.connections.set(left);
        if !self.thread.held.borrow().is_empty() {
            self.thread.held.borrow_mut().remove(&self.number);
        }
        self.thread.freed.notify_waiters();
        if left == 0 {
            self.thread.idle.notify_one();
        }
    }
}

/// Runs a thread until it is told to end.
///
/// # Errors
/// Why its runtime could not be made.
pub(super) fn run(
    cycle: Arc<Cycle>,
    sockets: Vec<Accepting>,
    counters: Arc<Counters>,
    orders: UnboundedReceiver<Order>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS)
        .on_thread_unpark(clock::turn)
        .build_local(LocalOptions::default())?;
    let thread = Thread::new(cycle, counters);
    runtime.block_on(serve(thread, sockets, orders));
    Ok(())
}

async fn serve(thread: Rc<Thread>, sockets: Vec<Accepting>, mut orders: UnboundedReceiver<Order>) {
    let mut accepting = accept_all(&thread, sockets);
    let does_background = !thread.counters.background.swap(true, Ordering::Relaxed);
    let mut background = does_background.then(|| begin_background(&thread.local()));
    while let Some(order) = orders.recv().await {
        if !matches!(order, Order::Stop) {
            accepting.iter().for_each(|(_, listener, listen)| listener::accept_waiting(&thread, listener, *listen));
        }
        accepting.drain(..).for_each(|(task, ..)| task.abort());
        match order {
            Order::Replace(cycle, sockets, taken) => {
                let old = thread.local.replace(local(cycle, &thread.state));
                leave_behind_later(&thread, &old);
                accepting = accept_all(&thread, sockets);
                if let Some(tasks) = &mut background {
                    tasks.drain(..).for_each(|task| task.abort());
                    *tasks = begin_background(&thread.local());
                }
                // Nobody waits any more where this took long.
                let _ = taken.send(());
            }
            Order::Drain => {
                thread.draining.send_replace(true);
                thread.kept.borrow().values().filter_map(Weak::upgrade).for_each(|io| io.drain());
                tokio::select! {
                    () = until_idle(&thread) => return,
                    () = until_stopped(&mut orders) => return,
                }
            }
            Order::Stop => return,
        }
    }
}

/// `worker_shutdown_timeout`: how long connections may stay on a cycle that is not in force any more.
fn leave_behind_later(thread: &Rc<Thread>, old: &Local) {
    thread.epoch.set(thread.epoch.get() + 1);
    let Some(timeout) = old.cycle.process.worker_shutdown_timeout else { return };
    let (thread, epoch) = (thread.clone(), thread.epoch.get());
    tokio::task::spawn_local(async move {
        tokio::time::sleep(timeout).await;
        thread.leave_behind(epoch);
    });
}

/// Begins the work beside requests.
pub(super) fn begin_background(local: &Rc<Local>) -> Vec<JoinHandle<()>> {
    let Some(work) = local.cycle.extensions.get::<BackgroundWork>() else { return Vec::new() };
    work.0.iter().map(|work| tokio::task::spawn_local(work.clone().work(local.clone()))).collect()
}

async fn until_idle(thread: &Thread) {
    while thread.connections.get() > 0 {
        thread.idle.notified().await;
    }
}

async fn until_stopped(orders: &mut UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        if let Order::Stop = order {
            return;
        }
    }
}

/// A listener, the task that accepts from it, and which of the cycle's listens it is.
type Accepted = (JoinHandle<()>, Rc<Listener>, usize);

fn accept_all(thread: &Rc<Thread>, sockets: Vec<Accepting>) -> Vec<Accepted> {
    let start = |socket: Accepting| {
        let listen = socket.listen;
        let listener = listener::open(thread, socket)?;
        let task = tokio::task::spawn_local(listener::accept(thread.clone(), listener.clone(), listen));
        Some((task, listener, listen))
    };
    sockets.into_iter().filter_map(start).collect()
}
