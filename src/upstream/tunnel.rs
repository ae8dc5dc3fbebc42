//! Upgraded connections: bytes both ways between the client and the peer until one side ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::buffer::Buffer;
use super::conf::Conf;
use super::lease::Lease;
use super::passage::{Action, Passage, report};
use super::socket::Socket;
use crate::http::{ClientIo, Deadline, Request, Tunnel};
use crate::log::Level;

/// What takes the client's connection over. What the peer sent behind its head stands in the buffer from `from` on.
pub(super) fn open(
    r: Rc<Request>,
    passage: Rc<Passage>,
    lease: Lease,
    conf: &Conf,
    (buffer, from): (Buffer, usize),
) -> Tunnel {
    let (read_timeout, send_timeout) = (conf.read_timeout, conf.send_timeout);
    Tunnel::new(move |client| async move {
        let mut both = Both {
            client,
            to_client: Half::new(Some(buffer), from),
            to_peer: Half::new(None, 0),
            r,
            passage,
            lease,
            timer: Deadline::default(),
            read_timeout,
            send_timeout,
            client_timer: Deadline::default(),
        };
        poll_fn(|cx| both.poll(cx)).await;
        both.lease.end(&both.r, &both.passage);
    })
}

/// Bytes on their way in one direction. No buffer is held while there are none.
struct Half {
    buffer: Option<Buffer>,
    sent: usize,
    /// The side that sends has ended.
    ended: bool,
}

/// Why one direction stopped.
enum Stop {
    /// It waits for bytes.
    NoInput,
    /// It waits for room.
    NoRoom,
    /// It is over.
    Broken,
}

impl Half {
    fn new(buffer: Option<Buffer>, sent: usize) -> Self {
        match buffer.filter(|buffer| buffer.len() > sent) {
            None => Self { buffer: None, sent: 0, ended: false },
            buffer => Self { buffer, sent, ended: false },
        }
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_none()
    }

    /// Moves bytes until one side must be waited for; counts what was read.
    fn pump(
        &mut self,
        moved: &mut usize,
        mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Stop {
        loop {
            while let Some(buffer) = &self.buffer {
                match write(&buffer[self.sent..]) {
                    Poll::Pending => return Stop::NoRoom,
                    Poll::Ready(Err(_)) => return Stop::Broken,
                    Poll::Ready(Ok(sent)) => self.sent += sent,
                }
                *moved += 1;
                if self.sent == buffer.len() {
                    self.buffer = None;
                    self.sent = 0;
                }
            }
            if self.ended {
                return Stop::NoInput;
            }
            let mut buffer = Buffer::take();
            match read(buffer.room(usize::MAX)) {
                Poll::Pending => return Stop::NoInput,
                Poll::Ready(Ok(0) | Err(_)) => self.ended = true,
                Poll::Ready(Ok(count)) => {
                    buffer.fill(count);
                    *moved += 1;
                    self.buffer = Some(buffer);
                }
            }
        }
    }
}

struct Both {
    client: Box<dyn ClientIo>,
    r: Rc<Request>,
    passage: Rc<Passage>,
    lease: Lease,
    to_client: Half,
    to_peer: Half,
    /// For the peer.
    timer: Deadline,
    client_timer: Deadline,
    read_timeout: Duration,
    send_timeout: Duration,
}

impl Both {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut moved = 0;
        let Some((from_peer, from_client)) = self.pump(&mut moved, cx) else { return Poll::Ready(()) };
        if self.is_over(&from_peer, &from_client) {
            return Poll::Ready(());
        }
        self.poll_timers(moved > 0, &from_peer, &from_client, cx)
    }

    fn pump(&mut self, moved: &mut usize, cx: &mut Context<'_>) -> Option<(Stop, Stop)> {
        // The two ends of each direction share the socket and the context, one at a time.
        let shared = RefCell::new((self.lease.socket.as_mut()?, cx));
        let passage = &self.passage;
        let from_peer = self.to_client.pump(
            moved,
            |buffer| {
                with(&shared, |socket, cx| socket.poll_read(cx, buffer)).map_ok(|read| {
                    passage.received(read);
                    read
                })
            },
            |bytes| with(&shared, |_, cx| self.client.poll_write(cx, bytes)),
        );
        let from_client = self.to_peer.pump(
            moved,
            |buffer| with(&shared, |_, cx| self.client.poll_read(cx, buffer)),
            |bytes| with(&shared, |socket, cx| socket.poll_send(cx, &[IoSlice::new(bytes)])),
        );
        Some((from_peer, from_client))
    }

    fn is_over(&self, from_peer: &Stop, from_client: &Stop) -> bool {
        let broken = matches!(from_peer, Stop::Broken) || matches!(from_client, Stop::Broken);
        broken
            || (self.to_client.ended && self.to_client.is_empty())
            || (self.to_peer.ended && self.to_peer.is_empty())
            || (self.to_client.ended && self.to_peer.ended)
    }

    /// Any movement starts the time anew: nginx sets its timers whenever it has looked at the tunnel.
    fn poll_timers(&mut self, moved: bool, from_peer: &Stop, from_client: &Stop, cx: &mut Context<'_>) -> Poll<()> {
        let to_peer_blocked = matches!(from_client, Stop::NoRoom);
        let to_client_blocked = matches!(from_peer, Stop::NoRoom);
        if moved || !self.timer.is_set() {
            let wait = match (to_peer_blocked, to_client_blocked) {
                (true, false) => self.send_timeout.min(self.read_timeout),
                (true, true) => self.send_timeout,
                (false, _) => self.read_timeout,
            };
            self.timer.set(wait);
        }
        if !to_client_blocked {
            self.client_timer.clear();
        } else if moved || !self.client_timer.is_set() {
            self.client_timer.set(self.r.location().core.send_timeout);
        }
        let (timed_out, whose) = match (self.timer.poll(cx), self.client_timer.poll(cx)) {
            // The peer cannot be blamed while nobody reads from it.
            (Poll::Ready(()), _) if !to_client_blocked || to_peer_blocked => (true, "upstream timed out"),
            (_, Poll::Ready(())) => (true, "client timed out"),
            _ => (false, ""),
        };
        if !timed_out {
            return Poll::Pending;
        }
        report(&self.r, Level::Info, Action::Tunnelling, |line| {
            line.put(whose).errno(libc::ETIMEDOUT);
        });
        Poll::Ready(())
    }
}

fn with<T>(
    shared: &RefCell<(&mut Socket, &mut Context<'_>)>,
    work: impl FnOnce(&mut Socket, &mut Context<'_>) -> T,
) -> T {
    let (socket, cx) = &mut *shared.borrow_mut();
    work(socket, cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads once, and gives back what was written.
    fn pump(half: &mut Half, text: &[u8]) -> Vec<u8> {
        let (mut written, mut left) = (Vec::new(), Some(text));
        let read = |room: &mut [u8]| match left.take() {
            Some(text) => {
                room[..text.len()].copy_from_slice(text);
                Poll::Ready(Ok(text.len()))
            }
            None => Poll::Pending,
        };
        let write = |bytes: &[u8]| {
            written.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        };
        assert!(matches!(half.pump(&mut 0, read, write), Stop::NoInput));
        written
    }

    #[test]
    fn what_came_behind_the_head_goes_first() {
        let buffer = |text: &[u8]| {
            let mut buffer = Buffer::take();
            buffer.room(usize::MAX)[..text.len()].copy_from_slice(text);
            buffer.fill(text.len());
            Some(buffer)
        };
        assert_eq!(pump(&mut Half::new(buffer(b"head one "), 5), b"two"), b"one two");
        assert_eq!(pump(&mut Half::new(buffer(b"head"), 4), b"two"), b"two");
    }
}
