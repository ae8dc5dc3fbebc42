//! What nginx's HTTP/2 does not suffer: clients that only keep us busy, and those that take nothing of what they asked
//! for. RFC 9113, section 10.5.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::http::clock;

/// Watches the frames that come in, as far as their heads.
#[derive(Default)]
pub(super) struct Floods {
    /// The head of a frame, as far as it has come.
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the frame's payload that are still to come.
    left: usize,
    /// Bytes of all frames.
    total: u64,
    /// Bytes of those that carry requests.
    payload: u64,
}

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// nginx's measure: what is no payload may be eight times as much as what is, and this beyond it, in bytes.
const LEEWAY: u64 = 1 << 20;

impl Floods {
    /// Frames begin behind so many bytes.
    pub(super) fn behind(preface: usize) -> Self {
        Self { left: preface, ..Self::default() }
    }

    /// Looks at bytes in the order in which they come, behind the preface; `true` where they are a flood.
    pub(super) fn is_flood(&mut self, mut bytes: &[u8]) -> bool {
        self.total += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                let [a, b, c, kind, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.filled = 0;
                if matches!(kind, DATA | HEADERS) {
                    self.payload += self.left as u64;
                }
            }
        }
        self.total / 8 > self.payload + LEEWAY
    }
}

/// The answers under way on a connection.
#[derive(Default)]
pub(super) struct Answers(RefCell<Vec<Weak<Progress>>>);

/// How an answer goes on.
pub(super) struct Progress {
    /// When a piece of it was asked for last.
    at: Cell<Instant>,
    /// It is not ready itself, or done: the client is not to blame.
    waits: Cell<bool>,
}

impl Progress {
    /// A piece was asked for; `ready` where there was one.
    pub(super) fn asked(&self, ready: bool) {
        self.at.set(clock::now());
        self.waits.set(!ready);
    }
}

impl Answers {
    /// An answer begins.
    pub(super) fn begin(&self) -> Rc<Progress> {
        let progress = Rc::new(Progress { at: Cell::new(clock::now()), waits: Cell::new(false) });
        let mut answers = self.0.borrow_mut();
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Rc::downgrade(&progress));
        progress
    }

    /// Ends when there are answers, and the client has taken nothing of any of them for so long.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience.max(Duration::from_millis(100)) / 2).await;
            let answers: Vec<_> = self.0.borrow().iter().filter_map(Weak::upgrade).collect();
            let is_stuck = |answer: &Rc<Progress>| !answer.waits.get() && answer.at.get().elapsed() >= patience;
            if !answers.is_empty() && answers.iter().all(is_stuck) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
        [vec![a, b, c, kind, 0, 0, 0, 0, 1], vec![0; length]].concat()
    }

    #[test]
    fn tells_floods_from_uploads() {
        let mut upload = Floods::default();
        let mut pings = Floods::default();
        let (data, ping) = (frame(DATA, 16_384), frame(6, 8).repeat(1000));
        assert!(!(0..1000).any(|_| data.chunks(1000).any(|piece| upload.is_flood(piece))));
        assert_eq!((0..1000).position(|_| ping.chunks(13).any(|piece| pings.is_flood(piece))), Some(493));
    }
}
