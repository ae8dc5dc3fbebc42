//! One request and its answer's head: chooses peers, connects, sends, reads, and turns to the next peer on failure.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;

use super::attempt::Try;
use super::bind::LocalAddress;
use super::buffer::Buffer;
use super::cache::{Caching, Stored};
use super::choice::{Choice, Outcome};
use super::conf::{Conf, NextOn, Upstream};
use super::grave::connect_level;
use super::head::{HeadReader, Protocol};
use super::lease::Lease;
use super::passage::{Action, Passage, report};
use super::pool;
use super::send::{Content, Sender};
use super::socket::{ConnectError, Options, Socket};
use super::stop::Stop;
use crate::h1::response::UpstreamHead;
use crate::http::{Method, Request, clock};
use crate::log::{Level, Line};
use crate::tls::Backend;

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
pub(super) enum Failure {
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
        if asked.is_err() {
            self.r.set_doing(Action::SendingOn.text());
        }
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
            attempt.give_up();
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
                self.r.set_doing(Action::Connecting.text());
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
            // The log knows why. It is nobody's answer.
            Ok(None) => {
                self.passage.end();
                return Err(Stop::Answer(500));
            }
            Err(error) => self.report(Level::Alert, Action::Handshaking, |line| {
                line.put("SSL_new() failed (SSL: ").put(error).put(')');
            }),
        }
        self.passage.failed(500);
        self.passage.end();
        Err(Stop::Answer(500))
    }

    pub(super) fn report(&self, level: Level, action: Action, what: impl FnOnce(&mut Line)) {
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

/// Says that the client has gone, and the upstream's connection with it.
pub(super) fn client_is_gone(r: &Request, action: Action) {
    report(r, Level::Info, action, |line| {
        line.put("epoll_wait() reported that client prematurely closed connection, ");
        line.put("so upstream connection is closed too");
    });
}
