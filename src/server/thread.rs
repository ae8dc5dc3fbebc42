//! One thread of the worker: its runtime, its listeners, and what its connections share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::h1;
use super::listener::{self, Listener};
use crate::cycle;
use crate::http::date::DateCache;
use crate::http::{Cycle, Local, ThreadState, clock};

/// What the worker's main thread asks of a thread.
pub enum Order {
    /// Serve new requests by this cycle, and accept from these sockets only.  Say when that is so.
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
    draining: watch::Sender<bool>,
    kept: RefCell<HashMap<u64, Weak<h1::Io>>>,
    idle: tokio::sync::Notify,
    /// Bytes just read, before anybody keeps them.
    pub(super) input: RefCell<Box<[u8]>>,
    /// What the next head is read with.
    pub(super) reading: Cell<Option<Box<h1::Reading>>>,
    /// A response's head under construction.
    pub(super) output: RefCell<Vec<u8>>,
    /// The `Date` header of this second.
    pub(super) date: RefCell<DateCache>,
}

/// Numbers that all threads of a worker count together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted so far: the next one's number.
    pub connections: AtomicU64,
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
            draining: watch::Sender::new(false),
            kept: RefCell::default(),
            idle: tokio::sync::Notify::new(),
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

    /// Numbers a new connection, and counts it while the guard lives; `None` when there are too many.
    pub(super) fn admit(self: &Rc<Self>) -> Option<(u64, Admitted)> {
        if self.connections.get() >= self.local.borrow().cycle.process.worker_connections {
            return None;
        }
        self.connections.set(self.connections.get() + 1);
        let number = self.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Some((number, Admitted(self.clone())))
    }
}

fn local(cycle: Arc<Cycle>, state: &Rc<ThreadState>) -> Rc<Local> {
    Rc::new(Local { cycle, engine: cycle::ENGINE, state: state.clone() })
}

/// Counts a connection while it lives.
pub(super) struct Admitted(Rc<Thread>);

impl Drop for Admitted {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0 {
            self.0.idle.notify_one();
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
    while let Some(order) = orders.recv().await {
        if !matches!(order, Order::Stop) {
            accepting.iter().for_each(|(_, listener, listen)| listener::accept_waiting(&thread, listener, *listen));
        }
        accepting.drain(..).for_each(|(task, ..)| task.abort());
        match order {
            Order::Replace(cycle, sockets, taken) => {
                *thread.local.borrow_mut() = local(cycle, &thread.state);
                accepting = accept_all(&thread, sockets);
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
