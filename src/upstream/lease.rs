//! A connection to a peer on loan for one request.

use super::choice::{Choice, Outcome};
use super::passage::Passage;
use super::pool;
use super::send::Sender;
use super::socket::Socket;
use crate::http::Request;

/// A connection and the peer that was chosen for it.
pub(crate) struct Lease {
    pub(crate) socket: Option<Socket>,
    pub(super) choice: Choice,
    /// Sends on, where an answer may begin before its request has ended.
    pub(super) sender: Option<Box<Sender>>,
    /// The whole request was sent.
    pub(super) request_sent: bool,
    /// The answer was read to its end, and the connection may serve another request.
    pub(crate) reusable: bool,
    /// Bytes of the answer's body that were read, coding included.
    pub(crate) body_length: u64,
}

impl Lease {
    /// Lets the connection go: into the pool where it may serve again, closed otherwise.
    pub(crate) fn end(&mut self, r: &Request, passage: &Passage) {
        let Some(mut socket) = self.socket.take() else { return };
        self.reusable &= socket.say_rest();
        passage.sent(socket.sent);
        passage.body_received(self.body_length);
        passage.end();
        if self.reusable && self.request_sent {
            pool::put(r, &self.choice, socket);
        }
        self.choice.free(Outcome::Fine);
    }
}
