//! Where asking a peer and looking into the cache meet: before a peer is asked, and when it has answered.

use std::rc::Rc;
use std::sync::Arc;

use super::look::{Looked, look};
use super::{Caching, Stored};
use crate::http::{Flow, Request};
use crate::upstream::answer::{Rewrite, send_stored};
use crate::upstream::exchange::{Answer, Came, Exchange};
use crate::upstream::stop::Stop;
use crate::upstream::{Conf, NextOn, Passage, Protocol};

/// Answers from the cache, where it has an answer; `None` where a peer is to be asked. `key` appends the key that an
/// answer has where the configuration does not say.
///
/// # Errors
/// What becomes of the request where the cache ends it.
pub(crate) async fn from_cache(
    (r, conf, passage): (&Rc<Request>, &Arc<Conf>, &Rc<Passage>),
    (rewrite, protocol): (&dyn Rewrite, &Protocol),
    key: impl FnOnce(&mut Vec<u8>),
) -> Result<Option<Flow>, Stop> {
    if conf.cache.is_none() {
        return Ok(None);
    }
    // In a box, which requests that nothing is kept for do without.
    match Box::pin(look(r, conf, key)).await {
        Looked::Passes => Ok(None),
        Looked::Asks(caching) => {
            passage.set_caching(caching);
            Ok(None)
        }
        Looked::Found(caching) => {
            passage.set_caching(caching.clone());
            let stored = caching.stored(r, conf, protocol);
            if stored.is_none() {
                caching.disbelieve();
            }
            Ok(stored.map(|stored| send_stored((r, conf, passage), stored, (rewrite, protocol.is_http()))))
        }
        Looked::Ends(caching, status) => {
            if let Some(caching) = caching {
                passage.set_caching(caching);
            }
            Err(Stop::Answer(status))
        }
    }
}

impl Exchange<'_> {
    /// What was asked for may be better answered by what was kept.
    pub(in crate::upstream) fn or_stored(
        &self,
        asked: Result<Box<Answer>, Stop>,
        caching: &Rc<Caching>,
    ) -> Result<Came, Stop> {
        match asked {
            Ok(answer) => match self.instead_of(&answer, caching) {
                None => Ok(Came::Answer(answer)),
                Some(stored) => {
                    self.put_back(answer);
                    caching.free();
                    stored.map(|stored| Came::Stored(Box::new(stored))).ok_or(Stop::Answer(500))
                }
            },
            Err(Stop::Stale) => {
                caching.fall_back();
                let stored = caching.stored(self.r, self.conf, &self.protocol);
                caching.free();
                stored.map(|stored| Came::Stored(Box::new(stored))).ok_or(Stop::Answer(500))
            }
            Err(stop) => {
                match stop {
                    Stop::Answer(status) => caching.failed(status),
                    _ => caching.free(),
                }
                Err(stop)
            }
        }
    }

    /// `Some` where a peer's answer is not what the client gets.
    fn instead_of(&self, answer: &Answer, caching: &Caching) -> Option<Option<Stored>> {
        let status = answer.head.status;
        if NextOn::for_status(status).is_some_and(|on| caching.serves_stale(on)) {
            caching.fall_back();
            return Some(caching.stored(self.r, self.conf, &self.protocol));
        }
        let is_same = status == 304 && caching.revalidates();
        is_same.then(|| caching.revalidated(self.r, self.conf, &self.protocol))
    }

    /// The connection may serve again.
    fn put_back(&self, mut answer: Box<Answer>) {
        let head = &answer.head;
        let is_empty = matches!(head.status, 204 | 304) || (!head.chunked && head.content_length == Some(0));
        answer.lease.reusable = is_empty && !head.close;
        answer.lease.end(self.r, self.passage);
    }
}
