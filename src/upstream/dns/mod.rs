//! Names to addresses while running: a small DNS client, with what it has learnt kept for each thread.
//! <https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver>

mod lookup;
mod message;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use self::lookup::{Lookup, random};
use self::message::Service;
use super::Address;
use super::peers::now;
use crate::http::{Deadline, Local};
use crate::log::ErrorLog;

/// `resolver`: whom to ask, and how.
#[derive(Debug)]
pub(crate) struct Resolver {
    /// Name servers, asked in turn. One at a UNIX socket is asked too, and has nowhere to send its answer.
    pub(crate) servers: Vec<Address>,
    /// `valid=`, seconds, in place of what answers say.
    pub(crate) valid: Option<i64>,
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
    /// Whom the next lookup asks first.
    pub(crate) next: AtomicUsize,
}

/// Why a name has no address: a DNS error's number, or 110.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) u16);

impl Fault {
    /// The name does not exist, or has no address.
    pub(crate) const NO_SUCH_HOST: Fault = Fault(3);
    /// Nobody answered in time.
    pub(crate) const TIMED_OUT: Fault = Fault(110);
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not be resolved ({}: {})", self.0, code_text(self.0))
    }
}

/// nginx's words for an error.
fn code_text(code: u16) -> &'static str {
    match code {
        1 => "Format error",
        2 => "Server failure",
        3 => "Host not found",
        4 => "Unimplemented",
        5 => "Operation refused",
        110 => "Operation timed out",
        _ => "Unknown error",
    }
}

/// What is known of a name.
#[derive(Clone, Debug)]
enum Found {
    Addresses(Rc<[IpAddr]>),
    Services(Rc<[Service]>),
    /// Another name for it.
    Alias(Bytes),
}

#[derive(Clone, Debug)]
struct Known {
    found: Found,
    /// Seconds: until when it counts.
    valid: i64,
}

/// The addresses of a name.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) addresses: Rc<[IpAddr]>,
    /// Seconds: until when they count.
    pub(crate) valid: i64,
}

/// One server of a service.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) address: SocketAddr,
    /// Its name.
    pub(crate) name: Bytes,
    pub(crate) priority: u16,
    pub(crate) weight: u16,
}

/// The servers of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Servers {
    pub(crate) found: Vec<Located>,
    /// Names that have no address.
    pub(crate) lost: Vec<(Bytes, Fault)>,
    /// Seconds: until when they count.
    pub(crate) valid: i64,
}

/// How often a name may stand for another one.
const MOST_ALIASES: usize = 50;

/// How long something nobody asks for is kept beyond its time, in seconds.
const EXPIRE: i64 = 30;

/// How long a fault counts where nobody says, in seconds.
const FAULT_VALID: i64 = 10;

impl Resolver {
    /// Until when a fault that came now counts.
    pub(crate) fn fault_valid(&self) -> i64 {
        now() + self.valid.unwrap_or(FAULT_VALID)
    }

    /// The addresses of a name. A timeout of zero is none.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        local: &Local,
        name: &[u8],
        timeout: Duration,
    ) -> Result<Resolved, Fault> {
        let client = Client::of(local, self);
        let mut limit = Limit::new(timeout);
        match client.find(name, false, &mut limit).await? {
            Known { found: Found::Addresses(addresses), valid } => Ok(Resolved { addresses, valid }),
            _ => Err(Fault::NO_SUCH_HOST),
        }
    }

    /// The servers of a service, the first to be used first. A timeout of zero is none.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn resolve_service(
        self: &Arc<Self>,
        local: &Local,
        (name, service): (&[u8], &[u8]),
        timeout: Duration,
    ) -> Result<Servers, (Fault, Servers)> {
        let client = Client::of(local, self);
        let full = match service.contains(&b'.') {
            true => [service, b".", name].concat(),
            false => [b"_", service, b"._tcp.", name].concat(),
        };
        let known = client.find(&full, true, &mut Limit::new(timeout)).await;
        let (services, valid) = match known {
            Ok(Known { found: Found::Services(services), valid }) => (services, valid),
            Ok(_) => return Err((Fault::NO_SUCH_HOST, Servers::default())),
            Err(fault) => return Err((fault, Servers::default())),
        };
        let mut servers = Servers { valid, ..Servers::default() };
        for service in services.iter() {
            match self.resolve(local, &service.target, timeout).await {
                Ok(resolved) => {
                    servers.valid = servers.valid.min(resolved.valid);
                    let located = |ip: &IpAddr| Located {
                        address: SocketAddr::new(*ip, service.port),
                        name: service.target.clone(),
                        priority: service.priority,
                        weight: service.weight,
                    };
                    servers.found.extend(resolved.addresses.iter().map(located));
                }
                Err(fault) => servers.lost.push((service.target.clone(), fault)),
            }
        }
        if servers.found.is_empty() {
            let missing = servers.lost.iter().any(|(_, fault)| *fault == Fault::NO_SUCH_HOST);
            let first = servers.lost.first().map_or(Fault::NO_SUCH_HOST, |(_, fault)| *fault);
            return Err((if missing { Fault::NO_SUCH_HOST } else { first }, servers));
        }
        Ok(servers)
    }
}

/// The clients of a thread, one for each `resolver`.
#[derive(Default)]
struct Clients(RefCell<Vec<(Weak<Resolver>, Rc<Client>)>>);

/// What a thread knows by one `resolver`.
struct Client {
    resolver: Weak<Resolver>,
    log: Arc<ErrorLog>,
    known: RefCell<HashMap<Key, Entry>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Rc<[u8]>,
    service: bool,
}

enum Entry {
    Known { known: Known, expire: i64 },
    Asking(Rc<Asking>),
}

/// A lookup that somebody waits for.
#[derive(Default)]
struct Asking {
    waiting: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
    outcome: RefCell<Option<Result<Known, Fault>>>,
}

/// Counts somebody who waits.
struct Waiting<'a>(&'a Asking);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// How long somebody waits for all of it.
struct Limit(Deadline);

impl Limit {
    fn new(timeout: Duration) -> Self {
        let mut deadline = Deadline::default();
        if !timeout.is_zero() {
            deadline.set(timeout);
        }
        Self(deadline)
    }
}

impl Client {
    fn of(local: &Local, resolver: &Arc<Resolver>) -> Rc<Self> {
        let clients = local.state.get::<Clients>();
        let mut clients = clients.0.borrow_mut();
        if let Some((_, client)) = clients.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), &raw const **resolver))
        {
            return client.clone();
        }
        clients.retain(|(resolver, _)| resolver.strong_count() > 0);
        let (weak, log) = (Arc::downgrade(resolver), local.cycle.error_log.clone());
        let client = Rc::new(Self { resolver: weak.clone(), log, known: RefCell::default() });
        clients.push((weak, client.clone()));
        client
    }

    /// What is known of a name, through all its aliases.
    async fn find(self: &Rc<Self>, name: &[u8], service: bool, limit: &mut Limit) -> Result<Known, Fault> {
        let mut name: Rc<[u8]> = name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase().into();
        for _ in 0..=MOST_ALIASES {
            let known = self.ask(Key { name, service }, limit).await?;
            match known.found {
                Found::Alias(alias) => name = alias[..].into(),
                _ => return Ok(known),
            }
        }
        Err(Fault::NO_SUCH_HOST)
    }

    async fn ask(self: &Rc<Self>, key: Key, limit: &mut Limit) -> Result<Known, Fault> {
        let asking = match self.known.borrow_mut().get_mut(&key) {
            Some(Entry::Known { known, expire }) if known.valid >= now() => {
                *expire = now() + EXPIRE;
                return Ok(Known { found: turned(&known.found), valid: known.valid });
            }
            // What nobody waits for any more is asked anew.
            Some(Entry::Asking(asking)) if asking.waiting.get() > 0 => Some(asking.clone()),
            _ => None,
        };
        let asking = match asking {
            Some(asking) => asking,
            None => self.begin(key)?,
        };
        asking.waiting.set(asking.waiting.get() + 1);
        let _waiting = Waiting(&asking);
        poll_fn(|cx| {
            if let Some(outcome) = &*asking.outcome.borrow() {
                return Poll::Ready(outcome.clone());
            }
            let mut wakers = asking.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            limit.0.poll(cx).map(|()| Err(Fault::TIMED_OUT))
        })
        .await
    }

    /// Begins to ask.
    fn begin(self: &Rc<Self>, key: Key) -> Result<Rc<Asking>, Fault> {
        let resolver = self.resolver.upgrade().ok_or(Fault::TIMED_OUT)?;
        let lookup = Lookup::new(&resolver, &self.log, key.name.clone(), key.service).ok_or(Fault::NO_SUCH_HOST)?;
        let asking = Rc::<Asking>::default();
        let mut known = self.known.borrow_mut();
        known.retain(|_, entry| !matches!(entry, Entry::Known { expire, .. } if *expire < now()));
        known.insert(key.clone(), Entry::Asking(asking.clone()));
        let (client, whose) = (self.clone(), asking.clone());
        tokio::task::spawn_local(async move {
            let outcome = lookup.run(|| whose.waiting.get() > 0).await;
            client.settle(key, &whose, outcome.as_ref());
            *whose.outcome.borrow_mut() = outcome;
            whose.wakers.take().into_iter().for_each(Waker::wake);
        });
        Ok(asking)
    }

    fn settle(&self, key: Key, whose: &Rc<Asking>, outcome: Option<&Result<Known, Fault>>) {
        let mut known = self.known.borrow_mut();
        match outcome {
            // It was asked anew since.
            _ if !matches!(known.get(&key), Some(Entry::Asking(asking)) if Rc::ptr_eq(asking, whose)) => {}
            Some(Ok(found)) => {
                known.insert(key, Entry::Known { known: found.clone(), expire: now() + EXPIRE });
            }
            _ => {
                known.remove(&key);
            }
        }
    }
}

/// The same addresses, beginning with another one, so that each has its turn.
fn turned(found: &Found) -> Found {
    match found {
        Found::Addresses(addresses) if addresses.len() > 1 => {
            let mut addresses = addresses.to_vec();
            let by = usize::from(random()) % addresses.len();
            addresses.rotate_left(by);
            Found::Addresses(addresses.into())
        }
        found => found.clone(),
    }
}
