//! Answers that are kept: what is looked for before a peer is asked, and what becomes of its answer.
//! Behaviour of nginx's `ngx_http_upstream_cache` and `ngx_http_file_cache_open`.

mod background;
mod exchange;
mod look;
mod save;
mod stored;
mod vary;
mod verdict;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conf::NextOn;
use crate::cache::{Cache, Entry, Header, Key, NodeId, Release};
use crate::http::crc32::Crc32;
use crate::http::{Method, Request, Script, date, is_true};

pub(crate) use exchange::from_cache;
pub(super) use save::Saver;
pub(super) use stored::Stored;

/// Which cache a location has.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Always the same.
    Fixed(Arc<Cache>),
    /// The one of a module that has the name that variables say.
    Named(Script, &'static str),
}

/// Everything that `…_cache` and its kin say about a location, resolved.
#[derive(Clone, Debug)]
pub(crate) struct CacheConf {
    /// `proxy_cache`
    pub(crate) zone: Zone,
    /// `proxy_cache_key`; without one the module makes it.
    pub(crate) key: Option<Script>,
    /// `proxy_cache_valid`: seconds for a status, 0 for any, in the order written.
    pub(crate) valid: Vec<(u16, i64)>,
    /// `proxy_cache_methods` names `POST`, besides `GET` and `HEAD`.
    pub(crate) post: bool,
    /// `proxy_cache_min_uses`
    pub(crate) min_uses: u64,
    /// `proxy_cache_bypass`
    pub(crate) bypass: Vec<Script>,
    /// `proxy_no_cache`
    pub(crate) no_cache: Vec<Script>,
    /// `proxy_cache_lock`
    pub(crate) lock: bool,
    /// `proxy_cache_lock_timeout`
    pub(crate) lock_timeout: Duration,
    /// `proxy_cache_lock_age`
    pub(crate) lock_age: Duration,
    /// `proxy_cache_use_stale`
    pub(crate) use_stale: NextOn,
    /// `proxy_cache_background_update`
    pub(crate) background_update: bool,
    /// `proxy_cache_revalidate`
    pub(crate) revalidate: bool,
    /// `proxy_cache_convert_head`
    pub(crate) convert_head: bool,
    /// `proxy_cache_max_range_offset`; `None` is no limit.
    pub(crate) max_range_offset: Option<u64>,
}

impl CacheConf {
    /// For how many seconds an answer of this status may be kept where its headers do not say; 0 is not at all.
    fn valid_for(&self, status: u16) -> i64 {
        self.valid.iter().find(|(known, _)| *known == 0 || *known == status).map_or(0, |(_, seconds)| *seconds)
    }

    fn takes(&self, method: Method) -> bool {
        matches!(method, Method::Get | Method::Head) || (self.post && method == Method::Post)
    }
}

/// Whether one of the values counts as true.
fn any_is_true(scripts: &[Script], r: &Request) -> bool {
    scripts.iter().any(|script| is_true(&script.eval(r)))
}

/// `$upstream_cache_status`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Miss,
    Bypass,
    Expired,
    Stale,
    Updating,
    Revalidated,
    Hit,
}

impl Status {
    /// The status as it is logged.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Status::Miss => "MISS",
            Status::Bypass => "BYPASS",
            Status::Expired => "EXPIRED",
            Status::Stale => "STALE",
            Status::Updating => "UPDATING",
            Status::Revalidated => "REVALIDATED",
            Status::Hit => "HIT",
        }
    }
}

/// Whether an answer has to do with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It has not, or is not to be kept.
    Not,
    /// It is on its way into it, as far as is known.
    Filling,
    /// It comes out of it.
    Stored,
}

/// How long an answer is good: seconds since 1970, and two numbers of seconds behind that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Freshness {
    /// Until when it is fresh; 0 where nobody has said.
    valid: i64,
    /// How long it may be served while it is updated.
    updating: i64,
    /// How long it may be served instead of an error.
    error: i64,
}

/// A request's dealings with a cache.
pub(crate) struct Caching {
    conf: Arc<CacheConf>,
    cache: Arc<Cache>,
    /// The whole key.
    key: Vec<u8>,
    crc32: u32,
    /// Its digest.
    main: Key,
    /// The key that the entry has: the digest, or that of a variant.
    current: Cell<Key>,
    is_variant: Cell<bool>,
    /// The node that is held.
    node: Cell<Option<NodeId>>,
    status: Cell<Status>,
    /// Whether the answer may be kept, as far as is known.
    cacheable: Cell<bool>,
    /// The answer in hand asks not to be kept.
    forbidden: Cell<bool>,
    /// We fetch the entry, under this lock.
    fetching: Cell<Option<Option<Instant>>>,
    freshness: Cell<Freshness>,
    /// A stale entry may be served while it is updated, or instead of an error, because it says so itself.
    stale_while_updating: Cell<bool>,
    stale_if_error: Cell<bool>,
    /// A status that is answered without asking for a while.
    error: Cell<u16>,
    vary: RefCell<Vec<u8>>,
    /// `Last-Modified` and `ETag` of the answer that is to be kept.
    validators: RefCell<(Option<i64>, Vec<u8>)>,
    /// The entry that was found.
    entry: RefCell<Option<Entry>>,
    /// The upstream is asked with `GET` though the client asked with `HEAD`.
    asks_get: bool,
}

impl Caching {
    fn new(conf: &Arc<CacheConf>, cache: Arc<Cache>, key: Vec<u8>, r: &Request) -> Self {
        let main = Key::of(&key);
        Self {
            conf: conf.clone(),
            cache,
            crc32: Crc32::of(&key),
            key,
            main,
            current: Cell::new(main),
            is_variant: Cell::default(),
            node: Cell::default(),
            status: Cell::new(Status::Miss),
            cacheable: Cell::new(true),
            forbidden: Cell::default(),
            fetching: Cell::default(),
            freshness: Cell::default(),
            stale_while_updating: Cell::default(),
            stale_if_error: Cell::default(),
            error: Cell::default(),
            vary: RefCell::default(),
            validators: RefCell::default(),
            entry: RefCell::default(),
            asks_get: r.method.get() == Method::Head && conf.convert_head,
        }
    }

    /// `$upstream_cache_status`
    pub(crate) fn status(&self) -> Status {
        self.status.get()
    }

    /// Whether the upstream is asked for something that may be kept.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.cacheable.get()
    }

    /// The upstream is asked with `GET` though the client asked with `HEAD`.
    pub(crate) fn asks_get(&self) -> bool {
        self.asks_get
    }

    /// What the upstream is asked to compare with: only of an entry that is too old, under `…_cache_revalidate`.
    fn old_header<T>(&self, look: impl FnOnce(&Header) -> Option<T>) -> Option<T> {
        if !self.conf.revalidate || self.status.get() != Status::Expired {
            return None;
        }
        look(&self.entry.borrow().as_ref()?.header)
    }

    /// `$upstream_cache_last_modified`, seconds since 1970.
    pub(crate) fn last_modified(&self) -> Option<i64> {
        self.old_header(|header| Some(header.last_modified).filter(|time| *time != -1))
    }

    /// `$upstream_cache_etag`
    pub(crate) fn etag(&self) -> Option<Vec<u8>> {
        self.old_header(|header| Some(header.etag.clone()).filter(|etag| !etag.is_empty()))
    }

    /// Whether a peer's answer is to be kept.
    pub(super) fn kept(&self) -> Kept {
        if self.cacheable.get() { Kept::Filling } else { Kept::Not }
    }

    /// Where the upstream's head begins in a file.
    pub(super) fn head_at(&self) -> usize {
        Header::head_at(self.key.len())
    }

    /// Nothing is to be kept; whoever waits for the entry waits no longer.
    pub(super) fn free(&self) {
        let fetching = self.fetching.take();
        let Some(node) = self.node.take() else { return };
        let error = (self.error.get() != 0).then(|| (self.error.get(), self.freshness.get().valid));
        self.cache.released(node, Release { updating: fetching, error, keep: self.conf.min_uses != 1 });
    }

    /// No peer has answered: the status that says so is kept where `…_cache_valid` says for how long.
    pub(super) fn failed(&self, status: u16) {
        if self.cacheable.get() && matches!(status, 502 | 504) {
            let seconds = self.conf.valid_for(status);
            if seconds != 0 {
                self.remember(status, date::now().saturating_add(seconds));
            }
        }
        self.free();
    }

    fn remember(&self, status: u16, valid: i64) {
        self.freshness.set(Freshness { valid, ..self.freshness.get() });
        self.error.set(status);
    }

    /// Whether an entry that is too old may be served where asking ends like this.
    pub(super) fn serves_stale(&self, on: NextOn) -> bool {
        self.status.get() == Status::Expired && self.conf.use_stale.0 & on.0 != 0
    }

    /// The same for peers that do not answer at all, for which entries may speak themselves.
    pub(super) fn serves_stale_on_error(&self, on: NextOn) -> bool {
        self.serves_stale(on) || (self.status.get() == Status::Expired && self.stale_if_error.get())
    }

    /// Whether the upstream may say that an old entry is still good.
    pub(super) fn revalidates(&self) -> bool {
        self.status.get() == Status::Expired && self.conf.revalidate
    }
}

impl Drop for Caching {
    fn drop(&mut self) {
        self.free();
    }
}
