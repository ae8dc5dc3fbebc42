//! Looks for an entry before a peer is asked, and waits for whoever fetches it.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{CacheConf, Caching, Freshness, Status, Zone, any_is_true, background};
use crate::cache::{Cache, Caches, Entry, Fault, Known, Lately, Lock, Place};
use crate::http::headers::parse_length;
use crate::http::{HeaderId, Request, date};
use crate::log::Level;
use crate::upstream::{Conf, NextOn};

/// What looking has come to.
pub(in crate::upstream) enum Looked {
    /// The cache has nothing to do with the request.
    Passes,
    /// A peer is to be asked.
    Asks(Rc<Caching>),
    /// The entry that was found is the answer.
    Found(Rc<Caching>),
    /// The request ends with this status.
    Ends(Option<Rc<Caching>>, u16),
}

/// What opening an entry has come to.
enum Opened {
    /// It is good.
    Fresh,
    /// It is too old, and we are to fetch it anew.
    Stale,
    /// It is too old, and somebody else fetches it.
    Updating,
    /// There is none, or it is damaged.
    Absent,
    /// There is none, and the answer is not to be kept.
    Scarce,
    /// Somebody else fetches it, and we may wait.
    Wait,
    /// An error that is answered again.
    Error(u16),
    /// A call failed; the log knows.
    Failed,
}

/// Looks for an entry. `key` appends the key where the configuration has none.
pub(in crate::upstream) async fn look(r: &Rc<Request>, conf: &Conf, key: impl FnOnce(&mut Vec<u8>)) -> Looked {
    let Some(cache_conf) = conf.cache.as_ref().filter(|cache| cache.takes(r.method.get())) else {
        return Looked::Passes;
    };
    let cache = match zone(r, cache_conf) {
        Ok(Some(cache)) => cache,
        Ok(None) => return Looked::Passes,
        Err(status) => return Looked::Ends(None, status),
    };
    let mut text = Vec::with_capacity(128);
    match &cache_conf.key {
        Some(script) => script.append(r, &mut text),
        None => key(&mut text),
    }
    let caching = Rc::new(Caching::new(cache_conf, cache, text, r));
    if caching.is_too_long(r, conf) {
        return Looked::Passes;
    }
    if any_is_true(&cache_conf.bypass, r) {
        caching.status.set(Status::Bypass);
        return Looked::Asks(caching);
    }
    let opened = caching.open(r, conf).await;
    caching.settle(r, opened)
}

/// The cache of a request; `None` where it has none.
fn zone(r: &Request, conf: &CacheConf) -> Result<Option<Arc<Cache>>, u16> {
    let (name, owner): (Bytes, _) = match &conf.zone {
        Zone::Fixed(cache) => return Ok(Some(cache.clone())),
        Zone::Named(script, owner) => (script.eval(r), owner),
    };
    if name.is_empty() || name == b"off"[..] {
        return Ok(None);
    }
    let found = r.cycle().extensions.get::<Caches>().and_then(|caches| caches.find(owner, &name));
    if found.is_none() {
        r.log_with(Level::Error, |line| {
            line.put("cache \"").bytes(&name).put("\" not found");
        });
    }
    found.map(|cache| Some(cache.clone())).ok_or(500)
}

impl Caching {
    fn is_too_long(&self, r: &Request, conf: &Conf) -> bool {
        /// Room that must be left for an answer's head.
        const HEAD: usize = 256;
        let (needed, size) = (self.head_at() + HEAD, conf.buffer_size);
        if needed <= size && u16::try_from(needed).is_ok() {
            return false;
        }
        let wanted = needed.next_multiple_of(1024);
        r.log(
            Level::Error,
            format_args!(
                "{}_buffer_size {size} is not enough for cache key, it should be increased to at least {wanted}",
                conf.module
            ),
        );
        true
    }

    async fn open(&self, r: &Request, conf: &Conf) -> Opened {
        let mut timeout = self.conf.lock_timeout;
        let mut until = None;
        loop {
            match self.try_open(r, conf, timeout) {
                Opened::Wait => {
                    let until = *until.get_or_insert_with(|| Instant::now() + timeout);
                    if let Some(node) = self.node.get() {
                        self.cache.wait(node, until).await;
                    }
                    if Instant::now() >= until {
                        r.log(Level::Info, "cache lock timeout");
                        timeout = Duration::ZERO;
                    }
                }
                opened => return opened,
            }
        }
    }

    fn try_open(&self, r: &Request, conf: &Conf, timeout: Duration) -> Opened {
        let asked = self.cache.ask(self.current.get(), self.node.get(), self.conf.min_uses, &r.cycle().error_log);
        let Ok((node, known)) = asked else { return Opened::Failed };
        self.node.set(Some(node));
        let cold = self.cache.is_cold();
        let (looks, otherwise, body_at) = match known {
            Known::Scarce => return Opened::Scarce,
            Known::Error(status) => {
                self.error.set(status);
                return Opened::Error(status);
            }
            Known::Kept { exists, body_at } => (exists, Opened::Absent, usize::from(body_at)),
            Known::New if self.conf.min_uses > 1 => (cold, Opened::Scarce, 0),
            Known::New => (cold, Opened::Absent, 0),
        };
        if looks {
            let path = self.cache.path(self.current.get());
            let body_at = if body_at == 0 { conf.buffer_size } else { body_at };
            let place = Place { path: &path, key: &self.key, crc32: self.crc32, body_at, longest: conf.buffer_size };
            match Entry::find(place, &r.local.state.get::<Lately>()) {
                Ok(entry) => return self.take(r, conf, (entry, path), timeout),
                Err(Fault::Absent) => {}
                Err(fault) => return complain(r, &path, &fault),
            }
        }
        match otherwise {
            Opened::Absent => self.lock(timeout),
            otherwise => otherwise,
        }
    }

    fn lock(&self, timeout: Duration) -> Opened {
        let Some(node) = self.node.get().filter(|_| self.conf.lock) else { return Opened::Absent };
        match self.cache.lock(node, self.conf.lock_age) {
            Lock::Mine(until) => {
                self.fetching.set(Some(Some(until)));
                Opened::Absent
            }
            Lock::Theirs if timeout.is_zero() => Opened::Scarce,
            Lock::Theirs => Opened::Wait,
        }
    }

    /// Looks at the entry under the key. It may be another variant than the one that is asked for.
    fn take(&self, r: &Request, conf: &Conf, (entry, path): (Entry, PathBuf), timeout: Duration) -> Opened {
        if !entry.header.vary.is_empty() {
            let variant = self.variant(r, &entry.header.vary);
            if variant.0 != entry.header.variant {
                if self.is_variant.replace(true) {
                    return complain(r, &path, &Fault::Damaged(Level::Crit, "has incorrect vary hash"));
                }
                if let Some(node) = self.node.take() {
                    self.cache.let_go(node, false);
                }
                self.current.set(variant);
                return self.try_open(r, conf, timeout);
            }
        }
        let Some(node) = self.node.get() else { return Opened::Failed };
        if self.cache.is_cold() {
            self.cache.discovered(node, entry.header.body_at, &entry.stat);
        }
        let (valid, updating, error) = (entry.header.valid, entry.header.updating, entry.header.error);
        self.freshness.set(Freshness { valid, updating, error });
        *self.entry.borrow_mut() = Some(entry);
        let now = date::now();
        if valid >= now {
            return Opened::Fresh;
        }
        self.stale_while_updating.set(valid.saturating_add(updating) >= now);
        self.stale_if_error.set(valid.saturating_add(error) >= now);
        match self.cache.update(node) {
            None => Opened::Updating,
            fetching => {
                self.fetching.set(fetching);
                Opened::Stale
            }
        }
    }

    fn settle(self: Rc<Self>, r: &Rc<Request>, opened: Opened) -> Looked {
        let while_updating = self.conf.use_stale.has(NextOn::UPDATING) || self.stale_while_updating.get();
        let in_background = r.sub.as_ref().is_some_and(|sub| sub.beside);
        let stale = while_updating && !in_background;
        match opened {
            Opened::Fresh => return self.found(Status::Hit),
            Opened::Stale if stale && self.conf.background_update => {
                return match background::update(r, &self) {
                    true => self.found(Status::Stale),
                    false => Looked::Ends(Some(self), 500),
                };
            }
            Opened::Updating if stale => return self.found(Status::Updating),
            Opened::Stale | Opened::Updating => {
                self.freshness.set(Freshness::default());
                self.status.set(Status::Expired);
            }
            Opened::Scarce => self.cacheable.set(false),
            Opened::Absent | Opened::Wait => {}
            Opened::Error(status) => {
                self.status.set(Status::Hit);
                return Looked::Ends(Some(self), status);
            }
            Opened::Failed => return Looked::Ends(Some(self), 500),
        }
        if self.starts_too_late(r) {
            self.cacheable.set(false);
        }
        Looked::Asks(self)
    }

    fn found(self: Rc<Self>, status: Status) -> Looked {
        self.status.set(status);
        Looked::Found(self)
    }

    /// `…_cache_max_range_offset`
    fn starts_too_late(&self, r: &Request) -> bool {
        let Some(range) = r.header(HeaderId::Range) else { return false };
        let Some(most) = self.conf.max_range_offset else { return false };
        if most == 0 {
            return true;
        }
        let Some((unit, rest)) = range.split_at_checked(6).filter(|_| range.len() >= 7) else { return false };
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return false;
        }
        let rest = rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.starts_with(b"-") || parse_length(&rest[..digits]).is_some_and(|start| start >= most)
    }
}

/// Says what is wrong with a file.
fn complain(r: &Request, path: &std::path::Path, fault: &Fault) -> Opened {
    match fault {
        Fault::Absent => Opened::Absent,
        Fault::System(call, error) => {
            r.log_error(Level::Crit, error, format_args!("{call} \"{}\" failed", path.display()));
            Opened::Failed
        }
        Fault::Damaged(level, sentence) => {
            r.log(*level, format_args!("cache file \"{}\" {sentence}", path.display()));
            Opened::Absent
        }
    }
}
