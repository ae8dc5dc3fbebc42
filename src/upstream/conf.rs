//! How a location speaks to its upstream: what the directives of `proxy`, `fastcgi` and their kin have in common.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::address::Address;
use super::balance::Balance;
use super::bind::Bind;
use super::cache::CacheConf;
use super::peers::Peers;
use super::pool::KeepAlive;
use super::store::StoreConf;
use crate::http::{HeaderId, Request, Script, TempPath};

impl Conf {
    /// Whether a header of answers stays with us.
    pub(crate) fn hides(&self, id: HeaderId) -> bool {
        self.hidden.has(id, b"")
    }

    /// How many bytes may be read where so many of a head have come: what is read slowly is so from the beginning.
    pub(crate) fn most_with_head(&self, have: usize) -> usize {
        match self.limit_rate {
            Some(_) => self.buffer_size.saturating_sub(have).max(1),
            None => usize::MAX,
        }
    }

    /// How many bytes nginx reads of an answer before it passes them on, where the upstream does not pause: those that
    /// are kept are all read first.
    pub(super) fn bytes_between_pauses(&self, buffered: bool, kept: bool) -> usize {
        match (buffered, kept || self.store.is_some()) {
            (true, true) => usize::MAX,
            (true, false) => self.buffer_size + self.buffers_size,
            (false, _) => self.buffer_size,
        }
    }

    /// Whether somebody may ask for the headers of answers, as `$upstream_http_…` and `$upstream_cookie_…` do.
    pub(crate) fn headers_are_asked_for(&self, r: &Request) -> bool {
        *self.asked_for.get_or_init(|| {
            let asks = |name: &[u8]| name.starts_with(b"upstream_http_") || name.starts_with(b"upstream_cookie_");
            r.cycle().variables.iter().any(|variable| asks(&variable.name))
        })
    }
}

/// An upstream: a block of that name, or the host of a `proxy_pass`.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The block's name, or the host.
    pub(crate) name: Bytes,
    /// Whom it stands for.
    pub(crate) peers: Peers,
    /// How the next one of them is chosen.
    pub(crate) balance: Balance,
    /// `keepalive`
    pub(crate) keepalive: Option<KeepAlive>,
}

impl Upstream {
    /// The upstream of one request alone.
    pub(crate) fn passing(name: Bytes, addresses: impl IntoIterator<Item = Address>) -> Self {
        Self { name, peers: Peers::passing(addresses), balance: Balance::RoundRobin, keepalive: None }
    }
}

/// Which failures send a request to the next peer: the words of `proxy_next_upstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextOn(pub(crate) u16);

impl NextOn {
    pub(crate) const ERROR: NextOn = NextOn(1);
    pub(crate) const TIMEOUT: NextOn = NextOn(1 << 1);
    pub(crate) const INVALID_HEADER: NextOn = NextOn(1 << 2);
    pub(crate) const HTTP_500: NextOn = NextOn(1 << 3);
    pub(crate) const HTTP_502: NextOn = NextOn(1 << 4);
    pub(crate) const HTTP_503: NextOn = NextOn(1 << 5);
    pub(crate) const HTTP_504: NextOn = NextOn(1 << 6);
    pub(crate) const HTTP_403: NextOn = NextOn(1 << 7);
    pub(crate) const HTTP_404: NextOn = NextOn(1 << 8);
    pub(crate) const HTTP_429: NextOn = NextOn(1 << 9);
    pub(crate) const NON_IDEMPOTENT: NextOn = NextOn(1 << 10);
    pub(crate) const UPDATING: NextOn = NextOn(1 << 11);
    /// `off`
    pub(crate) const NEVER: NextOn = NextOn(0);

    /// Both together.
    #[must_use]
    pub(crate) const fn with(self, other: NextOn) -> Self {
        NextOn(self.0 | other.0)
    }

    /// Whether all of the other are among these.
    pub(crate) fn has(self, other: NextOn) -> bool {
        self.0 & other.0 == other.0
    }

    /// The word for a status, where there is one.
    pub(crate) fn for_status(status: u16) -> Option<Self> {
        Some(match status {
            500 => Self::HTTP_500,
            502 => Self::HTTP_502,
            503 => Self::HTTP_503,
            504 => Self::HTTP_504,
            403 => Self::HTTP_403,
            404 => Self::HTTP_404,
            429 => Self::HTTP_429,
            _ => return None,
        })
    }
}

/// Header names, compared in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    known: u64,
    others: Vec<Box<[u8]>>,
}

impl Names {
    /// Adds a name.
    pub(crate) fn insert(&mut self, name: &[u8]) {
        match HeaderId::of(name) {
            HeaderId::Other => self.others.push(name.to_ascii_lowercase().into()),
            id => self.known |= id.bit(),
        }
    }

    /// Takes a name out.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        match HeaderId::of(name) {
            HeaderId::Other => self.others.retain(|other| !other.eq_ignore_ascii_case(name)),
            id => self.known &= !id.bit(),
        }
    }

    /// Whether a header's name is among them.
    #[inline]
    pub(crate) fn has(&self, id: HeaderId, name: &[u8]) -> bool {
        if id != HeaderId::Other {
            return self.known & id.bit() != 0;
        }
        self.others.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// How a location speaks to its upstream. Sizes in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Conf {
    /// The beginning of its directives' names, for messages: `proxy`.
    pub(crate) module: &'static str,
    /// `proxy_cache` and its kin.
    pub(crate) cache: Option<Arc<CacheConf>>,
    /// `proxy_connect_timeout`
    pub(crate) connect_timeout: Duration,
    /// `proxy_send_timeout`
    pub(crate) send_timeout: Duration,
    /// `proxy_read_timeout`
    pub(crate) read_timeout: Duration,
    /// `proxy_next_upstream`
    pub(crate) next_upstream: NextOn,
    /// `proxy_next_upstream_tries`; 0 is no limit.
    pub(crate) next_upstream_tries: usize,
    /// `proxy_next_upstream_timeout`; zero is no limit.
    pub(crate) next_upstream_timeout: Duration,
    /// `proxy_buffering`
    pub(crate) buffering: bool,
    /// `proxy_ignore_client_abort`
    pub(crate) ignore_client_abort: bool,
    /// `proxy_intercept_errors`
    pub(crate) intercept_errors: bool,
    /// 404 is always answered by us: memcached has no page for it.
    pub(crate) intercept_404: bool,
    /// `proxy_force_ranges`
    pub(crate) force_ranges: bool,
    /// `proxy_pass_trailers`
    pub(crate) pass_trailers: bool,
    /// `proxy_socket_keepalive`
    pub(crate) socket_keepalive: bool,
    /// `proxy_bind`
    pub(crate) bind: Option<Bind>,
    /// `proxy_store`
    pub(crate) store: Option<StoreConf>,
    /// `proxy_buffer_size`
    pub(crate) buffer_size: usize,
    /// `proxy_buffers`: all of them together.
    pub(crate) buffers_size: usize,
    /// `proxy_max_temp_file_size`
    pub(crate) max_temp_file_size: u64,
    /// `proxy_temp_path`
    pub(crate) temp_path: Arc<TempPath>,
    /// `proxy_limit_rate`, bytes a second.
    pub(crate) limit_rate: Option<Script>,
    /// `proxy_ignore_headers`
    pub(crate) ignored: Names,
    /// `proxy_hide_header` and what is hidden anyway, without `proxy_pass_header`.
    pub(crate) hidden: Names,
    /// Whether the configuration names variables that hold headers of answers; found out when it is first asked.
    pub(crate) asked_for: OnceLock<bool>,
}
