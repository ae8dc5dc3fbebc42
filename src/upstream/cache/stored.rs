//! An entry as an answer: its head is read as the upstream's was, its body goes out from the file.

use std::rc::Rc;

use super::{Caching, Freshness, Status};
use crate::h1::response::UpstreamHead;
use crate::http::{Body, Request, date};
use crate::log::Level;
use crate::upstream::{Conf, Protocol};

/// An answer that was kept.
pub(crate) struct Stored {
    pub(in crate::upstream) head: UpstreamHead,
    /// It has no head: all of it is body.
    pub(in crate::upstream) bare: bool,
    pub(in crate::upstream) body: Body,
}

impl Caching {
    /// The entry that was found; `None` where it makes no sense, which is in the log then.
    pub(in crate::upstream) fn stored(&self, r: &Request, conf: &Conf, protocol: &Protocol) -> Option<Stored> {
        let entry = self.entry.borrow();
        let entry = entry.as_ref()?;
        if entry.header.head_at == entry.header.body_at {
            return Some(Stored { head: UpstreamHead::new(), bare: true, body: entry.body() });
        }
        let is_whole = |head: &UpstreamHead| {
            // A body of another length than was announced has been damaged; none at all is that of a HEAD.
            let announced = head.content_length.filter(|_| !head.chunked);
            let length = entry.body_length();
            length == 0 || announced.is_none_or(|announced| announced == length)
        };
        let Some(head) = protocol.read_kept(entry.head()).filter(is_whole) else {
            let path = self.cache.path(self.current.get());
            r.log(Level::Crit, format_args!("cache file \"{}\" contains invalid header", path.display()));
            return None;
        };
        for sentence in &head.dropped {
            r.log_with(Level::Warn, |line| {
                line.bytes(sentence);
            });
        }
        if self.judge(&head.headers, &conf.ignored) {
            self.cacheable.set(false);
        }
        Some(Stored { head, bare: false, body: entry.body() })
    }

    /// The entry cannot be served after all: a peer is to be asked.
    pub(in crate::upstream) fn disbelieve(&self) {
        self.status.set(Status::Miss);
    }

    /// Asking has failed: the old entry is served.
    pub(in crate::upstream) fn fall_back(&self) {
        self.status.set(Status::Stale);
    }

    /// The upstream says that the entry is still good, and perhaps for how long. The answer is [`Self::stored`]
    /// afterwards.
    pub(in crate::upstream) fn revalidated(&self, r: &Rc<Request>, conf: &Conf, protocol: &Protocol) -> Option<Stored> {
        let said = self.freshness.get();
        self.status.set(Status::Revalidated);
        let stored = self.stored(r, conf, protocol)?;
        let mut freshness = if said.valid != 0 { said } else { self.freshness.get() };
        if freshness.valid == 0 {
            let seconds = self.conf.valid_for(stored.head.status);
            freshness.valid = if seconds == 0 { 0 } else { date::now().saturating_add(seconds) };
        }
        if freshness.valid != 0 {
            self.freshness.set(freshness);
            self.rewrite(r);
        }
        Some(stored)
    }

    fn rewrite(&self, r: &Request) {
        let entry = self.entry.borrow();
        let Some(entry) = entry.as_ref() else { return };
        let Freshness { valid, updating, error } = self.freshness.get();
        let vary = self.vary.borrow().clone();
        let variant = if vary.is_empty() { [0; 16] } else { self.variant(r, &vary).0 };
        let header =
            crate::cache::Header { valid, updating, error, date: date::now(), vary, variant, ..entry.header.clone() };
        let path = self.cache.path(self.current.get());
        if let Err(crate::cache::Fault::System(call, error)) = entry.rewrite(&path, &header) {
            r.log_error(Level::Crit, &error, format_args!("{call} \"{}\" failed", path.display()));
        }
    }
}
