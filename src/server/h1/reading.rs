//! Reads request heads from an HTTP/1 connection.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::super::move_on;
use super::Io;
use super::input::GRACE;
use crate::h1::error::{HeadError, Part};
use crate::h1::head::RequestHead;
use crate::h1::limits::HeadLimits;
use crate::h1::request::{Parse, RequestParser};
use crate::http::uri::Slashes;
use crate::http::{Choice, Connection, Count, Counted, Local, Request, Server, ServerId, VirtualServers, clock};
use crate::log::Level;

/// A head on its way, and what it is read with. The connections of a thread hand one on; who sends a head in pieces
/// has one for itself meanwhile.
pub struct Reading {
    pub(super) head: RequestHead,
    pub(super) choice: Choice,
    /// Why it is refused.
    pub(super) error: Option<HeadError>,
    /// The client went away or slept in the middle of it: of its request line, or of its headers.
    pub(super) gone: Option<(Stop, Part)>,
    /// Bytes that nginx would have left in the buffer of the head, where more came with it.
    pub(super) room: usize,
    /// Some of what the client has sent was not read when it was refused.
    pub(super) unread: bool,
    /// It was read along with the request before it.
    pub(super) pipelined: bool,
    /// When its first byte came.
    pub(super) start: Instant,
    /// It counts as being read.
    pub(super) counted: Option<Counted>,
    parser: RequestParser,
    limits: HeadLimits,
    /// The head so far, where it did not come in one piece.
    input: Vec<u8>,
}

/// Why a head breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The client closed the connection.
    Closed,
    /// The connection broke, with this number of the system.
    Failed(i32),
    /// The client was too slow.
    TimedOut,
}

impl Stop {
    /// The status for the log.
    pub(super) fn status(self) -> u16 {
        match self {
            Stop::Closed | Stop::Failed(_) => 400,
            Stop::TimedOut => 408,
        }
    }
}

/// Reads the next head; `None` where the connection ends without one. `local` is the cycle that the connection
/// runs on; it moves to the newest one when the first byte of a request comes.
pub(super) async fn next_request(io: &Io, connection: &Connection, local: &mut Rc<Local>) -> Option<Box<Reading>> {
    io.deadline.borrow_mut().clear();
    let mut reader = Reader { io, connection, local, reading: None };
    match reader.take_early() {
        None => std::future::poll_fn(|cx| reader.poll(cx)).await,
        whole => whole,
    }
}

/// A connection that waits for a head. It is all that an idle one needs.
struct Reader<'a> {
    io: &'a Io,
    connection: &'a Connection,
    local: &'a mut Rc<Local>,
    reading: Option<Box<Reading>>,
}

impl Reader<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Reading>>> {
        let io = self.io;
        loop {
            let mut buffer = io.thread.input.borrow_mut();
            let stop = match io.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    let reading = self.reading.take().unwrap_or_else(|| self.begin());
                    match self.take(reading, &buffer[..read]) {
                        None => continue,
                        whole => return Poll::Ready(whole),
                    }
                }
                Poll::Ready(Err(error)) => error.raw_os_error().map_or(Stop::Closed, Stop::Failed),
                Poll::Ready(Ok(_)) => Stop::Closed,
                Poll::Pending => {
                    ready!(self.wait(cx));
                    Stop::TimedOut
                }
            };
            return Poll::Ready(self.end(stop));
        }
    }

    /// Takes what was read along with the request before.
    fn take_early(&mut self) -> Option<Box<Reading>> {
        if !self.io.has_input() {
            return None;
        }
        let early = self.io.take_input();
        let mut reading = self.begin();
        reading.pipelined = self.connection.requests.get() > 0;
        self.io.pipelined.set(self.io.pipelined.get() || reading.pipelined);
        self.take(reading, &early)
    }

    /// The first byte of a request has come.
    fn begin(&mut self) -> Box<Reading> {
        move_on(&self.io.thread, self.local, self.connection);
        let server = default_server(self.local, self.connection);
        let limits = limits(self.local.cycle.server(server));
        let meter = &self.io.thread.meter;
        meter.add(Count::Requests);
        let mut reading = match self.io.thread.reading.take() {
            Some(mut reading) => {
                reading.renew(server, limits);
                reading
            }
            None => Box::new(Reading::new(server, limits)),
        };
        reading.counted = Some(meter.during(Count::Reading));
        reading
    }

    /// Looks at bytes that have just come; gives the head when there is no more to come of it.
    fn take(&mut self, mut reading: Box<Reading>, new: &[u8]) -> Option<Box<Reading>> {
        let had_begun = reading.parser.has_begun();
        let is_whole = reading.read(new, self.io, self.local, virtual_servers(self.local, self.connection));
        if is_whole || (!had_begun && reading.parser.has_begun()) {
            self.io.stir();
            self.io.deadline.borrow_mut().clear();
        }
        if is_whole {
            return Some(reading);
        }
        self.reading = Some(reading);
        None
    }

    /// Waits for the client, as long as it may take. Ready when that is over.
    fn wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        let begun = self.reading.as_ref().filter(|reading| reading.parser.has_begun());
        self.io.rest(cx, begun.is_none());
        let mut deadline = self.io.deadline.borrow_mut();
        if !deadline.is_set() {
            deadline.set(match begun {
                Some(reading) => self.local.cycle.server(reading.choice.server).client_header_timeout,
                None => self.patience(),
            });
        }
        deadline.poll(cx)
    }

    /// How long the first byte of a request may be awaited.
    fn patience(&self) -> Duration {
        let (io, server) = (self.io, self.local.cycle.server(default_server(self.local, self.connection)));
        io.grace.set(GRACE.max(self.local.cycle.location(server.base).core.keepalive_min_timeout));
        let is_first = self.connection.requests.get() == 0;
        let patience = if is_first { server.client_header_timeout } else { io.patience.get() };
        if io.thread.is_draining() { patience.min(io.grace.get()) } else { patience }
    }

    /// No more comes.
    fn end(&mut self, stop: Stop) -> Option<Box<Reading>> {
        let made_room = self.io.leaves();
        self.io.stir();
        self.io.deadline.borrow_mut().clear();
        let Some(mut reading) = self.reading.take().filter(|reading| reading.parser.has_begun()) else {
            if !made_room {
                self.say_idle(stop);
            }
            return None;
        };
        let Reading { parser, head, input, .. } = &mut *reading;
        parser.abandon(input, head);
        reading.gone = Some((stop, if reading.parser.has_line() { Part::Headers } else { Part::Line }));
        Some(reading)
    }

    /// What nginx says of a client that never began; of one that did not begin again it says less.
    fn say_idle(&self, stop: Stop) {
        let server = default_server(self.local, self.connection);
        let log = &self.local.cycle.location(self.local.cycle.server(server).base).core.error_log;
        let number = Some(self.connection.number);
        let address = self.connection.address.borrow();
        let is_first = self.connection.requests.get() == 0;
        match stop {
            Stop::Closed if !is_first => log.write(Level::Info, number, |line| {
                line.put("client ").bytes(&address).put(" closed keepalive connection");
            }),
            Stop::TimedOut | Stop::Failed(libc::ECONNRESET) if !is_first => {}
            _ => log.write(Level::Info, number, |line| {
                match stop {
                    Stop::Closed => line.put("client closed connection"),
                    Stop::Failed(errno) => line.put("recv() failed").errno(errno),
                    Stop::TimedOut => line.put("client timed out").errno(libc::ETIMEDOUT),
                };
                let listen = &self.local.cycle.listens[self.connection.listen.get()].spec.text;
                line.put(if is_first { " while waiting for request, client: " } else { " while keepalive, client: " });
                line.bytes(&address).put(", server: ").put(listen);
            }),
        }
    }
}

impl Reading {
    fn new(server: ServerId, limits: HeadLimits) -> Self {
        Self {
            head: RequestHead::new(),
            choice: Choice { server, regex: None },
            error: None,
            gone: None,
            room: 0,
            unread: false,
            pipelined: false,
            start: clock::now(),
            counted: None,
            parser: RequestParser::new(&limits),
            limits,
            input: Vec::new(),
        }
    }

    /// Makes ready for another head; the memory is used again.
    fn renew(&mut self, server: ServerId, limits: HeadLimits) {
        self.head.clear();
        self.choice = Choice { server, regex: None };
        (self.error, self.gone, self.unread, self.pipelined) = (None, None, false, false);
        self.room = 0;
        self.start = clock::now();
        self.parser.next_request(&limits, None);
        self.limits = limits;
        self.input.clear();
    }

    /// Takes the memory of a request back, where that has ended and nobody else holds it.
    pub(super) fn reuse(&mut self, mut r: Rc<Request>) {
        if let Some(r) = Rc::get_mut(&mut r) {
            self.head.headers = std::mem::take(r.headers.get_mut());
            self.head.uri = std::mem::take(r.uri.get_mut());
            self.head.host = std::mem::take(r.host.get_mut());
        }
    }

    /// No host is a name too: `server_name "";`.
    fn choose_nameless(&mut self, servers: &VirtualServers) {
        if self.head.host.is_empty() {
            self.choice = servers.choose(b"");
        }
    }

    /// Looks at bytes that have just come; `true` when there is no more to come.
    fn read(&mut self, new: &[u8], io: &Io, local: &Local, servers: &VirtualServers) -> bool {
        let mut joined = std::mem::take(&mut self.input);
        if !joined.is_empty() {
            joined.extend_from_slice(new);
        }
        let whole = if joined.is_empty() { new } else { &joined };
        loop {
            match self.parser.parse(whole, &self.limits, &mut self.head) {
                Ok(Parse::Done(consumed)) => {
                    if consumed < whole.len() {
                        self.room = self.parser.room(consumed);
                        io.keep_input(&whole[consumed..]);
                    }
                    self.choose_nameless(servers);
                    return true;
                }
                Ok(Parse::Host) => {
                    self.choice = servers.choose(&self.head.host);
                    self.limits = limits(local.cycle.server(self.choice.server));
                }
                Ok(Parse::Partial) => {
                    self.input = if joined.is_empty() { new.to_vec() } else { joined };
                    return false;
                }
                Ok(Parse::Blank) => return false,
                Err(error) => {
                    self.unread = self.parser.leaves_unread(error.fault, whole);
                    if error.fault.is_of_whole_head() {
                        self.choose_nameless(servers);
                    }
                    self.error = Some(error);
                    return true;
                }
            }
        }
    }
}

fn virtual_servers<'a>(local: &'a Local, connection: &Connection) -> &'a VirtualServers {
    local.cycle.listens[connection.listen.get()].virtual_servers(connection.local.map(|local| local.ip()))
}

fn default_server(local: &Local, connection: &Connection) -> ServerId {
    virtual_servers(local, connection).fallback(connection)
}

/// What a server says about reading heads.
pub(crate) fn limits(server: &Server) -> HeadLimits {
    HeadLimits {
        header_buffer: server.client_header_buffer_size,
        large_buffers: server.large_client_header_buffers.0,
        large_buffer: server.large_client_header_buffers.1,
        slashes: if server.merge_slashes { Slashes::Merge } else { Slashes::Keep },
        underscores: server.underscores_in_headers,
        ignore_invalid: server.ignore_invalid_headers,
    }
}
