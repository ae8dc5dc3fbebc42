//! `limit_rate` and `limit_rate_after`: how much of an answer may be sent by now.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use crate::http::{Request, Script};
use crate::log::Level;
use crate::schema::value;

/// The pace of one answer, in bytes a second.
pub(in crate::server) struct Pace {
    rate: u64,
    /// Bytes that are sent before the pace is kept.
    after: u64,
    sent: u64,
    start: Instant,
}

impl Pace {
    /// The pace that the location, `$limit_rate` or the upstream sets; `None` where there is none.
    pub(in crate::server) fn of(r: &Request) -> Option<Self> {
        let core = &r.location().core;
        let rate = match (r.out.limit_rate.get(), &core.limit_rate) {
            (Some(rate), _) => rate,
            (None, script) => {
                let rate = size(r, script.as_ref()?);
                r.out.limit_rate.set(Some(rate));
                rate
            }
        };
        let after = core.limit_rate_after.as_ref().map_or(0, |script| size(r, script));
        (rate > 0).then_some(Self { rate, after, sent: 0, start: r.start })
    }

    /// How many bytes may be sent now, or how long to wait before any may.
    pub(in crate::server) fn allowance(&self) -> Result<usize, Duration> {
        let allowed = self.rate.saturating_mul(self.start.elapsed().as_secs() + 1).saturating_add(self.after);
        match allowed.checked_sub(self.sent) {
            Some(left) if left > 0 => Ok(usize::try_from(left).unwrap_or(usize::MAX)),
            _ => Err(Duration::from_millis((self.sent - allowed).saturating_mul(1000) / self.rate + 1)),
        }
    }

    /// Notes what was sent; the time that it is worth at this pace is to be waited.
    pub(in crate::server) fn sent(&mut self, bytes: usize) -> Duration {
        let before = self.sent.saturating_sub(self.after);
        self.sent = self.sent.saturating_add(bytes as u64);
        let counted = self.sent.saturating_sub(self.after) - before;
        Duration::from_millis(counted.saturating_mul(1000) / self.rate)
    }
}

/// The pace of a body that somebody else pulls.
pub(in crate::server) struct Paced {
    pace: Pace,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(in crate::server) fn of(r: &Request) -> Option<Self> {
        Some(Self { pace: Pace::of(r)?, pause: None })
    }

    /// How many bytes may be sent, as soon as any may.
    pub(in crate::server) fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.pace.allowance() {
                Ok(allowed) => return Poll::Ready(allowed),
                Err(wait) => self.pause = Some(Box::pin(sleep(wait))),
            }
        }
    }

    /// Notes what was sent.
    pub(in crate::server) fn sent(&mut self, bytes: usize) {
        let pause = self.pace.sent(bytes);
        if !pause.is_zero() {
            self.pause = Some(Box::pin(sleep(pause)));
        }
    }
}

/// A value with variables that is no size counts as no limit, as in nginx.
fn size(r: &Request, script: &Script) -> u64 {
    let text = script.eval(r);
    value::size(&text).unwrap_or_else(|| {
        r.log_with(Level::Error, |line| {
            line.put("invalid size \"").bytes(&text).put('"');
        });
        0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_pace() {
        let mut pace = Pace { rate: 1000, after: 500, sent: 0, start: Instant::now() };
        assert_eq!(pace.allowance(), Ok(1500));
        assert_eq!(pace.sent(400), Duration::ZERO);
        assert_eq!(pace.sent(600), Duration::from_millis(500));
        assert_eq!(pace.allowance(), Ok(500));
        pace.sent(1500);
        assert_eq!(pace.allowance(), Err(Duration::from_millis(1001)));
    }
}
