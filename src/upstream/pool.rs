//! Connections that wait for the next request: a pool a thread for each upstream with `keepalive`. It outlives a reload
//! that leaves the block's parameters as they were.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::choice::Choice;
use super::conf::Upstream;
use super::peers::{Health, Peer};
use super::socket::Socket;
use crate::http::{Deadline, Request, clock};
use crate::tls::Backend;

/// `keepalive` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    /// `keepalive`: how many connections wait.
    pub(crate) connections: usize,
    /// `keepalive_requests`
    pub(crate) requests: u64,
    /// `keepalive_time`
    pub(crate) time: Duration,
    /// `keepalive_timeout`
    pub(crate) timeout: Duration,
}

/// The pools of one thread.
#[derive(Default)]
struct Pools {
    pools: RefCell<Vec<Pool>>,
    /// The task that lets connections go.
    keeper: RefCell<Option<Waker>>,
    /// When it wakes up by itself.
    next: Cell<Option<Instant>>,
}

struct Pool {
    /// What is known of the upstream of this name lives as long as a configuration has one; its pool ends with it.
    health: Weak<Health>,
    /// A configuration that says otherwise has another pool.
    keepalive: KeepAlive,
    /// The latest last.
    idle: Vec<Idle>,
}

struct Idle {
    peer: Arc<Peer>,
    socket: Socket,
    until: Instant,
}

/// A connection to the peer in use that has waited for a request, if there is one.
pub(super) fn take(r: &Request, choice: &Choice, secure: Option<(&Arc<Backend>, &[u8])>) -> Option<Socket> {
    let upstream = choice.upstream();
    upstream.keepalive?;
    let peer = choice.peer()?;
    let pools = r.local.state.get::<Pools>();
    let mut pools = pools.pools.borrow_mut();
    let pool = pools.iter_mut().find(|pool| pool.is_of(upstream))?;
    let same = |other: &Arc<Peer>| Arc::ptr_eq(other, peer) || other.address == peer.address;
    let at = pool.idle.iter().rposition(|idle| same(&idle.peer) && idle.socket.suits(secure))?;
    Some(pool.idle.remove(at).socket)
}

/// Keeps a connection to the peer in use for the next request, unless it has served long enough or has been closed.
pub(super) fn put(r: &Request, choice: &Choice, mut socket: Socket) {
    let upstream = choice.upstream();
    let (Some(keepalive), Some(peer)) = (upstream.keepalive, choice.peer()) else { return };
    let now = clock::now();
    if socket.requests >= keepalive.requests || now.duration_since(socket.opened) > keepalive.time {
        return;
    }
    let pools = r.local.state.get::<Pools>();
    let until = now + keepalive.timeout;
    if !pools.watch(&mut socket, until) {
        return;
    }
    let mut list = pools.pools.borrow_mut();
    let at = list.iter().position(|pool| pool.is_of(upstream)).unwrap_or_else(|| {
        // What is in no configuration any more, or written otherwise in the newest, need not wait for its time.
        list.retain(|pool| pool.health.strong_count() > 0 && !pool.has_health_of(upstream));
        list.push(Pool { health: Arc::downgrade(&upstream.peers.health), keepalive, idle: Vec::new() });
        list.len() - 1
    });
    let idle = &mut list[at].idle;
    if idle.len() >= keepalive.connections {
        idle.remove(0);
    }
    idle.push(Idle { peer: peer.clone(), socket, until });
}

impl Pool {
    fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        self.has_health_of(upstream) && upstream.keepalive == Some(self.keepalive)
    }

    fn has_health_of(&self, upstream: &Upstream) -> bool {
        std::ptr::eq(self.health.as_ptr(), Arc::as_ptr(&upstream.peers.health))
    }

    /// Closes what the peers have closed and what has waited long enough; tells when to look again.
    fn tidy(&mut self, now: Instant, cx: &mut Context<'_>) -> Option<Instant> {
        if self.health.strong_count() == 0 {
            self.idle.clear();
        }
        self.idle.retain_mut(|idle| idle.until > now && idle.socket.poll_disturbed(cx).is_pending());
        self.idle.iter().map(|idle| idle.until).min()
    }
}

impl Pools {
    /// Sees to it that the keeper hears when the peer closes, and looks when the time has come; `false` where the
    /// peer has closed already.
    fn watch(self: &Rc<Self>, socket: &mut Socket, until: Instant) -> bool {
        let sooner = self.next.get().is_none_or(|next| until < next);
        let keeper = self.keeper.borrow();
        let waker = keeper.as_ref().map_or(Waker::noop(), |waker| waker);
        if socket.poll_disturbed(&mut Context::from_waker(waker)).is_ready() {
            return false;
        }
        if sooner {
            self.next.set(Some(until));
            match &*keeper {
                Some(waker) => waker.wake_by_ref(),
                None => drop(tokio::task::spawn_local(keep(self.clone()))),
            }
        }
        true
    }
}

/// Lets connections go, for as long as the thread runs.
async fn keep(pools: Rc<Pools>) {
    let mut timer = Deadline::default();
    poll_fn(|cx| {
        *pools.keeper.borrow_mut() = Some(cx.waker().clone());
        loop {
            let now = clock::now();
            let mut list = pools.pools.borrow_mut();
            let next = list.iter_mut().filter_map(|pool| pool.tidy(now, cx)).min();
            list.retain(|pool| !pool.idle.is_empty() || pool.health.strong_count() > 0);
            pools.next.set(next);
            let Some(next) = next else {
                timer.clear();
                return Poll::<()>::Pending;
            };
            timer.set(next.saturating_duration_since(now));
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}
