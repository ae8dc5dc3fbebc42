//! One request and its answer's head: chooses peers, connects, sends, reads, and turns to the next peer on failure.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;

use super::bind::LocalAddress;
use super::buffer::Buffer;
use super::cache::{Caching, Stored};
use super::choice::{Choice, Outcome};
use super::conf::{Conf, NextOn, Upstream};
use super::grave::{connect_level, level};
use super::head::{HeadRead, HeadReader, Protocol, Refused};
use super::lease::Lease;
use super::passage::{Action, Passage, report};
use super::pool;
use super::send::{Content, SendError, Sender};
use super::socket::{ConnectError, HandshakeError, Options, Socket};
use super::stop::Stop;
use crate::h1::response::UpstreamHead;
use crate::http::{Client, Deadline, Headers, Method, Request, clock};
use crate::log::{Level, Line};
use crate::tls::{Backend, BackendFault, Reason};

/// What is asked of an upstream, and of which one.
pub(crate) struct Exchange<'a> {
    pub(crate) r: &'a Rc<Request>,
    pub(crate) conf: &'a Arc<Conf>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) passage: &'a Rc<Passage>,
    pub(crate) protocol: Protocol,
    /// How the connection is encrypted, and the name of the other end.
    pub(crate) secure: Option<(Arc<Backend>, Bytes)>,
}

/// An answer of which the head has been read.
pub(crate) struct Answer {
    pub(super) head: UpstreamHead,
    /// Knows how the body ends.
    pub(super) reader: HeadReader,
    /// It has no head: all of it is body.
    pub(super) bare: bool,
    /// What was read, the body from [`Self::body_at`] on.
    pub(super) buffer: Buffer,
    /// Where the body begins.
    pub(super) body_at: usize,
    /// The connection that the rest of the body comes on.
    pub(super) lease: Lease,
}

/// What a request ends in.
pub(crate) enum Came {
    /// A peer's answer.
    Answer(Box<Answer>),
    /// What was kept of an earlier one.
    Stored(Box<Stored>),
}

/// Why a peer gave no answer.
enum Failure {
    /// The connection failed; the log knows.
    Error,
    /// Nothing happened for too long.
    Timeout,
    /// The answer makes no sense; the log knows.
    InvalidHeader,
    /// It answered with a status that the next peer may do better on.
    Status(u16),
    /// The client's fault.
    Client(Stop),
}

impl Failure {
    fn next_on(&self) -> NextOn {
        match self {
            Failure::Error | Failure::Client(_) => NextOn::ERROR,
            Failure::Timeout => NextOn::TIMEOUT,
            Failure::InvalidHeader => NextOn::INVALID_HEADER,
            Failure::Status(status) => NextOn::for_status(*status).unwrap_or(NextOn::ERROR),
        }
    }

    fn status(&self) -> u16 {
        match self {
            Failure::Error | Failure::InvalidHeader => 502,
            Failure::Timeout => 504,
            Failure::Status(status) | Failure::Client(Stop::Answer(status) | Stop::Close(status)) => *status,
            Failure::Client(Stop::Stale) => 500,
        }
    }
}

impl Exchange<'_> {
    /// Asks peers until one answers.
    ///
    /// # Errors
    /// What becomes of the request where none does.
    pub(crate) async fn run(&self, content: Content) -> Result<Came, Stop> {
        let asked = self.ask(content).await;
        match self.caching() {
            None => asked.map(Came::Answer),
            Some(caching) => self.or_stored(asked, &caching),
        }
    }

    /// The request's dealings with a cache.
    pub(super) fn caching(&self) -> Option<Rc<Caching>> {
        self.conf.cache.as_ref().and_then(|_| self.passage.caching())
    }

    async fn ask(&self, content: Content) -> Result<Box<Answer>, Stop> {
        let mut choice = Choice::new(self.upstream.clone(), self.r);
        if self.conf.next_upstream_tries > 0 {
            choice.tries = choice.tries.min(self.conf.next_upstream_tries);
        }
        let mut began = None;
        let local = self.conf.bind.as_ref().and_then(|bind| bind.address(self.r)).map(Box::new);
        let mut sender = Sender::new(content, self.protocol.sends_records());
        loop {
            self.passage.attempt();
            let began = *began.get_or_insert_with(|| self.passage.attempt_start());
            let Some((socket, from_pool)) = self.connect(&mut choice, began, local.as_deref())? else { continue };
            sender.rewind();
            let mut attempt = Try::new(self, socket, &mut sender, from_pool);
            let failure = match poll_fn(|cx| attempt.poll(cx)).await {
                Ok(()) => match self.worth_another(&attempt, &choice, began) {
                    None => {
                        let mut answer = attempt.into_answer(choice);
                        if matches!(self.protocol, Protocol::Grpc) {
                            answer.lease.sender = Some(Box::new(sender));
                        }
                        return Ok(answer);
                    }
                    Some(status) => Failure::Status(status),
                },
                Err(failure) => failure,
            };
            self.passage.sent(attempt.socket.sent);
            let (action, sent, streams) = (attempt.action(), attempt.connected, attempt.sender.streams());
            self.turn_away(&mut choice, &failure, Tried { action, from_pool, sent, streams, began })?;
        }
    }

    /// A connection to the next peer, and whether it has served before; `None` where that peer was given up.
    fn connect(
        &self,
        choice: &mut Choice,
        began: Instant,
        local: Option<&LocalAddress>,
    ) -> Result<Option<(Socket, bool)>, Stop> {
        choice.next();
        let Some(peer) = choice.peer() else { return Err(self.no_live_peer()) };
        self.passage.choose(&peer.name, peer.address.is_unix());
        let secure = self.secure.as_ref().map(|(backend, name)| (backend, &name[..]));
        if let Some(socket) = pool::take(self.r, choice, secure) {
            return Ok(Some((socket, true)));
        }
        let options = Options { keepalive: self.conf.socket_keepalive, local: local.copied() };
        let connected = Socket::connect(&peer.address, options);
        let failed = |errno: Errno, level: Level, what: &[&[u8]]| {
            self.report(level, Action::Connecting, |line| {
                for text in what {
                    line.bytes(text);
                }
                line.errno(errno.raw_os_error());
            });
        };
        match connected {
            Ok(mut socket) => {
                self.encrypt(&mut socket)?;
                Ok(Some((socket, false)))
            }
            Err(ConnectError::Socket(errno)) => {
                failed(errno, Level::Alert, &[b"socket() failed"]);
                Err(Stop::Answer(500))
            }
            Err(ConnectError::Transparent(errno)) => {
                failed(errno, Level::Alert, &[b"setsockopt(IP_TRANSPARENT) failed"]);
                Err(Stop::Answer(500))
            }
            Err(ConnectError::Bind(errno)) => {
                let name = local.map_or(String::new(), |local| local.name());
                failed(errno, Level::Crit, &[b"bind(", name.as_bytes(), b") failed"]);
                Err(Stop::Answer(500))
            }
            Err(ConnectError::Connect(errno)) => {
                failed(errno, connect_level(errno), &[b"connect() to ", &peer.name, b" failed"]);
                let action = Action::Connecting;
                let tried = Tried { action, from_pool: false, sent: false, streams: false, began };
                self.turn_away(choice, &Failure::Error, tried).map(|()| None)
            }
        }
    }

    fn encrypt(&self, socket: &mut Socket) -> Result<(), Stop> {
        let Some((backend, name)) = &self.secure else { return Ok(()) };
        match backend.channel(self.r, name) {
            Ok(Some(channel)) => {
                socket.encrypt(channel, backend.clone(), name.clone());
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => self.report(Level::Alert, Action::Handshaking, |line| {
                line.put("SSL_new() failed (SSL: ").put(error).put(')');
            }),
        }
        self.passage.failed(500);
        self.passage.end();
        Err(Stop::Answer(500))
    }

    fn report(&self, level: Level, action: Action, what: impl FnOnce(&mut Line)) {
        report(self.r, level, action, what);
    }

    fn no_live_peer(&self) -> Stop {
        self.passage.choose(&self.upstream.name, false);
        self.report(Level::Error, Action::Connecting, |line| {
            line.put("no live upstreams");
        });
        self.passage.failed(502);
        self.passage.end();
        self.otherwise(NextOn::ERROR, 502)
    }

    /// The request's end where no peer has answered.
    fn otherwise(&self, on: NextOn, status: u16) -> Stop {
        match self.caching().is_some_and(|caching| caching.serves_stale_on_error(on)) {
            true => Stop::Stale,
            false => Stop::Answer(status),
        }
    }

    /// Whether the status that came is one that another peer may do better on.
    fn worth_another(&self, attempt: &Try<'_>, choice: &Choice, began: Instant) -> Option<u16> {
        let status = attempt.head.status;
        let wanted = self.beyond_idempotence(NextOn::for_status(status)?, true);
        let more = choice.tries > 1
            && self.conf.next_upstream.has(wanted)
            && !attempt.sender.streams()
            && self.has_time(began);
        more.then_some(status)
    }

    fn has_time(&self, began: Instant) -> bool {
        let most = self.conf.next_upstream_timeout;
        most.is_zero() || clock::now().saturating_duration_since(began) < most
    }

    /// A request that may have done something already is repeated only where that is allowed.
    fn beyond_idempotence(&self, on: NextOn, sent: bool) -> NextOn {
        match self.r.method.get() {
            Method::Post | Method::Lock | Method::Patch if sent => on.with(NextOn::NON_IDEMPOTENT),
            _ => on,
        }
    }

    /// Gives a peer up; `Err` with the final status where no other one is to be asked.
    fn turn_away(&self, choice: &mut Choice, failure: &Failure, tried: Tried) -> Result<(), Stop> {
        if let Failure::Client(stop) = failure {
            self.passage.end();
            return Err(*stop);
        }
        let outcome = if matches!(failure, Failure::Status(403 | 404)) { Outcome::Fine } else { Outcome::Failed };
        let disabled = choice.free(outcome);
        if disabled {
            self.report(Level::Warn, tried.action, |line| {
                line.put("upstream server temporarily disabled");
            });
        }
        self.passage.give_up();
        if matches!(failure, Failure::Timeout) {
            self.report(Level::Error, tried.action, |line| {
                line.put("upstream timed out").errno(libc::ETIMEDOUT);
            });
        }
        if tried.from_pool && matches!(failure, Failure::Error) {
            // The peer had closed a connection that waited: that says nothing about the peer.
            choice.tries += 1;
        }
        self.passage.failed(failure.status());
        let wanted = self.beyond_idempotence(failure.next_on(), tried.sent);
        let again = choice.tries > 0
            && self.conf.next_upstream.has(wanted)
            && !(tried.sent && tried.streams)
            && self.has_time(tried.began);
        if again {
            return Ok(());
        }
        self.passage.end();
        Err(self.otherwise(wanted, failure.status()))
    }
}

/// What was tried before a peer was given up.
#[derive(Clone, Copy)]
struct Tried {
    /// What was being done then.
    action: Action,
    from_pool: bool,
    /// Something was sent.
    sent: bool,
    /// The client's body was sent as it came.
    streams: bool,
    began: Instant,
}

/// What is said of an answer that has no head.
const NO_HEAD: &[u8] = b"upstream sent no valid HTTP/1.0 header";

/// How many header fields there is room for from the beginning.
const USUAL_FIELDS: usize = 16;

/// One connection to one peer, until the head of its answer is there.
struct Try<'a> {
    exchange: &'a Exchange<'a>,
    socket: Socket,
    sender: &'a mut Sender,
    buffer: Buffer,
    reader: HeadReader,
    head: UpstreamHead,
    body_at: usize,
    bare: bool,
    timer: Deadline,
    connected: bool,
    sent: bool,
}

impl<'a> Try<'a> {
    fn new(exchange: &'a Exchange<'a>, mut socket: Socket, sender: &'a mut Sender, from_pool: bool) -> Self {
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

    fn into_answer(self, choice: Choice) -> Box<Answer> {
        let Self { socket, reader, buffer, head, body_at, bare, sent, .. } = self;
        let sender = None;
        let lease = Lease { socket: Some(socket), choice, sender, request_sent: sent, reusable: false, body_length: 0 };
        // In a box: it is handed on several times, and what a request waits with stays small.
        Box::new(Answer { head, reader, bare, buffer, body_at, lease })
    }

    fn action(&self) -> Action {
        match (self.connected, self.sent) {
            (false, _) => Action::Connecting,
            (true, false) => Action::Sending,
            (true, true) => Action::ReadingHead,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
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
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(inner) => say(Level::Error, &|line| {
                        line.put("SSL_do_handshake() failed (SSL: ").put(Reason(inner)).put(')');
                    }),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => say(Level::Error, &|line| {
                        line.put("peer closed connection in SSL handshake");
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
            line.put(call).put(" failed").error(error);
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
                Poll::Ready(Err(error)) => {
                    self.exchange.report(level(&error), Action::ReadingHead, |line| {
                        line.put("recv() failed").error(&error);
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
        exchange.passage.answered(head.status);
        exchange.passage.head_read();
        Poll::Ready(Ok(()))
    }

    /// The client, where it matters whether it is there: what runs behind the answer does not depend on it.
    fn client(&self) -> Option<&Rc<dyn Client>> {
        let Exchange { r, conf, .. } = self.exchange;
        r.client.as_ref().filter(|_| !conf.ignore_client_abort && !r.post_action.get())
    }

    /// Pending while the client is there to be answered, or nobody cares.
    fn watch_client(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(client) = self.client() else {
            return Poll::Pending;
        };
        // The body's reader looks at the client itself while it waits for it. What is to be kept is fetched for
        // others too.
        let for_others = self.exchange.caching().is_some_and(|caching| caching.is_cacheable());
        if self.sender.starved || for_others || client.poll_gone(cx).is_pending() {
            return Poll::Pending;
        }
        client_is_gone(self.exchange.r, self.action());
        Poll::Ready(Err(Failure::Client(Stop::Close(499))))
    }
}

/// Says that the client has gone, and the upstream's connection with it.
pub(super) fn client_is_gone(r: &Request, action: Action) {
    report(r, Level::Info, action, |line| {
        line.put("epoll_wait() reported that client prematurely closed connection, ");
        line.put("so upstream connection is closed too");
    });
}
