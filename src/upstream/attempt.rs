//! One connection to one peer: a request goes out on it, and the head of the answer comes back.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::answer::note_wishes;
use super::buffer::Buffer;
use super::choice::Choice;
use super::exchange::{Answer, Exchange, Failure, client_is_gone};
use super::grave::{level, put_failure, tls_error};
use super::head::{HeadRead, HeadReader, Protocol, Refused};
use super::lease::Lease;
use super::passage::Action;
use super::send::{SendError, Sender};
use super::socket::{HandshakeError, Socket};
use super::stop::Stop;
use crate::h1::response::UpstreamHead;
use crate::http::{Client, Deadline, Headers};
use crate::log::{Level, Line};
use crate::tls::{BackendFault, Reason};

/// What is said of an answer that has no head.
const NO_HEAD: &[u8] = b"upstream sent no valid HTTP/1.0 header";

/// How many header fields there is room for from the beginning.
const USUAL_FIELDS: usize = 16;

/// One connection to one peer, until the head of its answer is there.
pub(super) struct Try<'a> {
    exchange: &'a Exchange<'a>,
    socket: Socket,
    pub(super) sender: &'a mut Sender,
    buffer: Buffer,
    reader: HeadReader,
    pub(super) head: UpstreamHead,
    body_at: usize,
    bare: bool,
    timer: Deadline,
    pub(super) connected: bool,
    sent: bool,
}

impl<'a> Try<'a> {
    pub(super) fn new(exchange: &'a Exchange<'a>, mut socket: Socket, sender: &'a mut Sender, from_pool: bool) -> Self {
        let mut head = UpstreamHead::new();
        head.headers = Headers::with_capacity(USUAL_FIELDS, 0);
        socket.requests += 1;
        socket.sent = 0;
        let http2 = matches!(exchange.protocol, Protocol::Grpc).then(|| socket.http2.get_or_insert_default().clone());
        if let Some(http2) = &http2 {
            sender.begin_stream(http2, exchange.passage);
        }
        if from_pool {
            exchange.passage.connected(true);
        }
        Self {
            exchange,
            socket,
            sender,
            buffer: Buffer::none(),
            reader: HeadReader::new(&exchange.protocol, http2.as_ref()),
            head,
            body_at: 0,
            bare: false,
            timer: Deadline::default(),
            connected: from_pool,
            sent: false,
        }
    }

    pub(super) fn into_answer(self, choice: Choice) -> Box<Answer> {
        let Self { socket, reader, buffer, head, body_at, bare, sent, .. } = self;
        let sender = None;
        let lease = Lease { socket: Some(socket), choice, sender, request_sent: sent, reusable: false, body_length: 0 };
        // In a box: it is handed on several times, and what a request waits with stays small.
        Box::new(Answer { head, reader, bare, buffer, body_at, lease })
    }

    pub(super) fn action(&self) -> Action {
        match (self.connected, self.sent) {
            (false, _) if self.socket.is_shaking_hands() => Action::Handshaking,
            (false, _) => Action::Connecting,
            (true, false) => Action::Sending,
            (true, true) => Action::ReadingHead,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.exchange.r.set_doing(self.action().text());
        if self.socket.must_shake_hands() {
            match self.socket.poll_handshake(cx) {
                Poll::Ready(Ok(())) => {
                    self.timer.clear();
                    self.connected = true;
                    self.exchange.passage.connected(false);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.unshaken(&error))),
                Poll::Pending => {
                    if !self.timer.is_set() {
                        self.timer.set(self.exchange.conf.connect_timeout);
                    }
                    if self.timer.poll(cx).is_ready() {
                        return Poll::Ready(Err(Failure::Timeout));
                    }
                    return self.watch_client(cx);
                }
            }
        }
        if self.connected
            && self.sender.speaks_http2()
            && let Poll::Ready(done) = self.read(cx)
        {
            return Poll::Ready(done);
        }
        let mut changed = false;
        loop {
            if (!self.sent || changed || self.sender.has_rest())
                && let Err(failure) = self.send(cx)
            {
                return Poll::Ready(Err(failure));
            }
            if self.connected
                && let Poll::Ready(done) = self.read(cx)
            {
                return Poll::Ready(done);
            }
            changed = self.sender.take_changed();
            if !changed {
                break;
            }
        }
        if self.timer.poll(cx).is_ready() {
            return Poll::Ready(Err(Failure::Timeout));
        }
        self.watch_client(cx)
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Exchange { r, conf, passage, .. } = self.exchange;
        let polled = self.sender.poll(r, passage, &mut self.socket, cx);
        let moved = std::mem::take(&mut self.sender.moved);
        if moved && !std::mem::replace(&mut self.connected, true) {
            passage.connected(!self.timer.is_set());
            self.timer.clear();
        }
        match polled {
            Poll::Ready(Ok(())) => {
                self.sent = true;
                self.timer.set(conf.read_timeout);
            }
            Poll::Ready(Err(SendError::Body(error))) => return Err(Failure::Client(error.into())),
            Poll::Ready(Err(SendError::Peer(call, error))) => return Err(self.broken(call, &error)),
            Poll::Pending if self.sender.starved => self.timer.clear(),
            Poll::Pending if !self.timer.is_set() || moved => {
                self.timer.set(if self.connected { conf.send_timeout } else { conf.connect_timeout });
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Says why the other end cannot be spoken to.
    fn unshaken(&self, error: &HandshakeError) -> Failure {
        let say = |level: Level, what: &dyn Fn(&mut Line)| {
            self.exchange.report(level, Action::Handshaking, |line| what(line));
        };
        match error {
            HandshakeError::Untrusted(BackendFault::Certificate(fault)) => say(Level::Error, &|line| {
                line.put(format_args!("upstream SSL certificate verify error: ({}:{})", fault.code, fault.text));
            }),
            HandshakeError::Untrusted(BackendFault::Name) => say(Level::Error, &|line| {
                let name = self.exchange.secure.as_ref().map(|(_, name)| &name[..]).unwrap_or_default();
                line.put("upstream SSL certificate does not match \"").bytes(name).put('"');
            }),
            HandshakeError::Io(error) => {
                let errno = error.raw_os_error();
                match tls_error(error) {
                    Some(inner) => say(Level::Error, &|line| {
                        line.put("SSL_do_handshake() failed (SSL: ").put(Reason(inner)).put(')');
                    }),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => say(Level::Error, &|line| {
                        line.put("peer closed connection in SSL handshake");
                    }),
                    // The connection stood, or it would have been refused.
                    None if matches!(errno, Some(libc::ECONNRESET | libc::EPIPE)) => say(Level::Error, &|line| {
                        line.put("peer closed connection in SSL handshake").error(error);
                    }),
                    None => return self.broken("SSL_do_handshake()", error),
                }
            }
        }
        Failure::Error
    }

    fn broken(&self, call: &str, error: &io::Error) -> Failure {
        let call = if self.connected { call } else { "connect()" };
        self.exchange.report(level(error), self.action(), |line| {
            put_failure(line, call, error);
        });
        Failure::Error
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            self.buffer.ensure(self.exchange.conf.buffer_size);
            let most = self.exchange.conf.most_with_head(self.buffer.len());
            let read = match self.socket.poll_read(cx, self.buffer.room(most)) {
                Poll::Pending => {
                    self.buffer.release();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(read)) => read,
                // To OpenSSL that is an end like others.
                Poll::Ready(Err(error))
                    if self.socket.is_encrypted() && error.raw_os_error() == Some(libc::ECONNRESET) =>
                {
                    0
                }
                Poll::Ready(Err(error)) => {
                    self.exchange.report(level(&error), Action::ReadingHead, |line| {
                        put_failure(line, "recv()", &error);
                    });
                    return Poll::Ready(Err(Failure::Error));
                }
            };
            if read == 0 {
                self.complain("upstream prematurely closed connection");
                return Poll::Ready(Err(Failure::Error));
            }
            self.buffer.fill(read);
            self.exchange.passage.received(read);
            if let Poll::Ready(parsed) = self.parse() {
                return Poll::Ready(parsed);
            }
        }
    }

    fn complain(&self, sentence: &str) {
        self.exchange.report(Level::Error, Action::ReadingHead, |line| {
            line.put(sentence);
        });
    }

    fn parse(&mut self) -> Poll<Result<(), Failure>> {
        let Self { exchange, reader, buffer, head, .. } = self;
        let caching = exchange.caching();
        let mut say = |level, sentence: &[u8]| {
            // What has no head may be kept without one.
            if caching.is_some() && sentence == NO_HEAD {
                return;
            }
            exchange.report(level, Action::ReadingHead, |line| {
                line.bytes(sentence);
            });
        };
        // What is written before the head takes room of the buffer.
        let taken = caching.as_ref().map_or(0, |caching| caching.head_at());
        let read = reader.read(buffer, exchange.conf.buffer_size.saturating_sub(taken), head, &mut say);
        head.dropped.drain(..).for_each(|sentence| say(Level::Warn, &sentence));
        match read {
            Ok(HeadRead::Partial) => return Poll::Pending,
            Ok(HeadRead::Done(length)) => self.body_at = length,
            Ok(HeadRead::Bare(body)) => (self.body_at, self.bare) = (body, true),
            Err(Refused) => return Poll::Ready(Err(Failure::InvalidHeader)),
        }
        // To nginx an answer without a head has no status, which shows where it may be kept.
        if !self.bare || caching.is_none() {
            exchange.passage.answered(head.status);
        }
        exchange.passage.head_read();
        self.take_head();
        Poll::Ready(Ok(()))
    }

    /// What the head says by itself, whatever becomes of the answer: nginx looks at each field as it comes.
    fn take_head(&self) {
        let Exchange { r, conf, passage, .. } = self.exchange;
        if let Some(caching) = self.exchange.caching() {
            caching.take_head(&self.head, conf);
        }
        note_wishes((r, conf, passage), &self.head.headers);
    }

    /// The peer is given up. What came of its head is there for the log.
    pub(super) fn give_up(&mut self) {
        let passage = self.exchange.passage;
        passage.sent(self.socket.sent);
        self.head.give_up(&self.buffer);
        self.take_head();
        passage.set_headers(std::mem::take(&mut self.head.headers));
    }

    /// The client, where it matters whether it is there: what runs behind the answer does not depend on it.
    fn client(&self) -> Option<&Rc<dyn Client>> {
        let Exchange { r, conf, .. } = self.exchange;
        r.client.as_ref().filter(|_| !conf.ignore_client_abort && !r.post_action.get())
    }

    /// Pending while the client is there to be answered, or nobody cares.
    fn watch_client(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // What is to be kept is fetched for others too.
        let for_others = self.exchange.caching().is_some_and(|caching| caching.is_cacheable());
        self.exchange.r.out.outlives_client.set(for_others || self.exchange.conf.ignore_client_abort);
        let Some(client) = self.client() else {
            return Poll::Pending;
        };
        // The body's reader looks at the client itself while it waits for it.
        if self.sender.starved || for_others || client.poll_gone(cx).is_pending() {
            return Poll::Pending;
        }
        client_is_gone(self.exchange.r, self.action());
        Poll::Ready(Err(Failure::Client(Stop::Close(499))))
    }
}
