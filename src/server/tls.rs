//! The handshake on an encrypted address: the server is chosen by name first, then greets with its own certificate.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};

use bytes::Bytes;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error, HandshakeKind, ProtocolVersion};

use super::stream::ClientStream;
use super::thread::Thread;
use super::tls_stream::TlsStream;
use crate::http::{Connection, Deadline, Local, Request, Server, ServerId, TlsInfo, VirtualServers, host};
use crate::log::{Level, Line};
use crate::tls::{Channel, ClientHello, Hello, Reason, Site, Sites, cipher_name, read_hello};

/// What a handshake has come to.
pub(super) struct Accepted {
    pub(super) stream: ClientStream,
    /// What was read that is not encrypted.
    pub(super) first: Vec<u8>,
    /// Which protocol was agreed on.
    pub(super) http2: bool,
}

/// Greets a client; `first` holds bytes that were read already. `None` where the connection ends.
pub(super) async fn accept(
    thread: Rc<Thread>,
    local: Rc<Local>,
    stream: ClientStream,
    connection: Rc<Connection>,
    first: Vec<u8>,
) -> Option<Accepted> {
    let greeting = Greeting { thread: &thread, local: &local, connection: &connection, deadline: RefCell::default() };
    let patience = local.cycle.server(greeting.servers().default).client_header_timeout;
    greeting.deadline.borrow_mut().set(patience);
    greeting.accept(stream, first).await
}

struct Greeting<'a> {
    thread: &'a Thread,
    local: &'a Local,
    connection: &'a Connection,
    deadline: RefCell<Deadline>,
}

impl Greeting<'_> {
    async fn accept(&self, mut stream: ClientStream, mut first: Vec<u8>) -> Option<Accepted> {
        let hello = loop {
            match read_hello(&first) {
                Hello::Partial => self.read_more(&mut stream, &mut first).await?,
                Hello::Plain => {
                    self.connection.clear_to_tls.set(true);
                    return Some(Accepted { stream, first, http2: false });
                }
                Hello::Client(hello) => break hello,
            }
        };
        let host = host_of(&hello.server_name);
        let servers = self.servers();
        let server = if host.is_empty() { servers.default } else { servers.choose(&host).server };
        let Some(site) = self.site(servers, server).filter(|site| !site.reject) else {
            reject(&mut stream);
            self.say(Level::Info, |line| {
                line.put("handshake rejected");
            });
            return None;
        };
        let connection = UnbufferedServerConnection::new(site.config.clone()).ok()?;
        let mut stream = TlsStream::new(stream, Channel::new(connection));
        if let Err(error) = stream.channel().take_in(&mut first) {
            stream.flush_now();
            self.say_failed(&error);
            return None;
        }
        self.shake_hands(&mut stream).await?;
        let state = stream.channel().state();
        let http2 = state.alpn_protocol() == Some(b"h2");
        // It is there once.
        let _ = self.connection.tls.set(Rc::new(info(state, hello, host)));
        Some(Accepted { stream: ClientStream::Tls(Box::new(stream)), first: Vec::new(), http2 })
    }

    fn servers(&self) -> &VirtualServers {
        let listen = &self.local.cycle.listens[self.connection.listen.get()];
        listen.virtual_servers(self.connection.local.map(|local| local.ip()))
    }

    fn site(&self, servers: &VirtualServers, server: ServerId) -> Option<&Site> {
        self.local.cycle.extensions.get::<Sites>()?.find(servers, server).map(|site| &**site)
    }

    /// Reads on before it is known what the client wants. `None` where it left, or waits too long.
    async fn read_more(&self, stream: &mut ClientStream, first: &mut Vec<u8>) -> Option<()> {
        let begun = !first.is_empty();
        let read = std::future::poll_fn(|cx| {
            let mut buffer = self.thread.input.borrow_mut();
            if let Poll::Ready(read) = stream.poll_read(cx, &mut buffer) {
                first.extend_from_slice(&buffer[..*read.as_ref().unwrap_or(&0)]);
                return Poll::Ready(read);
            }
            ready!(self.deadline.borrow_mut().poll(cx));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        });
        match read.await {
            Ok(read) if read > 0 => Some(()),
            Ok(_) if begun => self.say_gone(None),
            Ok(_) => self.say(Level::Info, |line| {
                line.put("client closed connection");
            }),
            Err(error) => self.say_gone(Some(error)),
        }
    }

    async fn shake_hands(&self, stream: &mut TlsStream) -> Option<()> {
        let shaken = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = stream.poll_handshake(cx) {
                return Poll::Ready(done);
            }
            ready!(self.deadline.borrow_mut().poll(cx));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        });
        let error = match shaken.await {
            Ok(()) => return Some(()),
            Err(error) => error,
        };
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(inner) => self.say_failed(inner),
            None if error.kind() == io::ErrorKind::UnexpectedEof => self.say_gone(None),
            None => self.say_gone(Some(error)),
        }
    }

    fn say_gone(&self, error: Option<io::Error>) -> Option<()> {
        self.say(Level::Info, |line| {
            match &error {
                None => line.put("peer closed connection in SSL handshake"),
                Some(error) if error.kind() == io::ErrorKind::TimedOut => {
                    line.put("client timed out").errno(libc::ETIMEDOUT)
                }
                Some(error) => line.put("peer closed connection in SSL handshake").error(error),
            };
        })
    }

    fn say_failed(&self, error: &Error) -> Option<()> {
        self.say(Level::Info, |line| {
            line.put("SSL_do_handshake() failed (SSL: ").put(Reason(error)).put(')');
        })
    }

    /// Says what nginx says; ends in nothing.
    fn say(&self, level: Level, message: impl FnOnce(&mut Line)) -> Option<()> {
        let cycle = &self.local.cycle;
        let server: &Server = cycle.server(self.servers().default);
        cycle.location(server.base).core.error_log.write(level, Some(self.connection.number), |line| {
            message(line);
            line.put(" while SSL handshaking, client: ").bytes(&self.connection.address.borrow());
            line.put(", server: ").put(&cycle.listens[self.connection.listen.get()].spec.text);
        });
        None
    }
}

/// Why a request may not be answered for the sake of its connection; nginx's status for that.
pub(super) fn refusal(r: &Request) -> Option<u16> {
    if r.connection.clear_to_tls.get() {
        r.log(Level::Info, "client sent plain HTTP request to HTTPS port");
        return Some(497);
    }
    None
}

/// A name that clients ask for, as a host's name.
fn host_of(name: &[u8]) -> Vec<u8> {
    let mut host = Vec::new();
    if name.is_empty() || host::append_valid(name, &mut host).is_none() {
        host.clear();
    }
    host
}

/// Tells a client that nobody here has that name (RFC 8446, 6.2).
fn reject(stream: &mut ClientStream) {
    const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
    // It learns as much from the close.
    let _ = stream.try_write(&UNRECOGNIZED_NAME, &[]);
}

fn info(state: &CommonState, hello: ClientHello, host: Vec<u8>) -> TlsInfo {
    let suite = state.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
    TlsInfo {
        protocol: match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        },
        cipher: suite.and_then(cipher_name).unwrap_or_default(),
        group: state.negotiated_key_exchange_group().map_or(0, |group| u16::from(group.name())),
        server_name: hello.server_name.into(),
        host: host.into(),
        alpn: state.alpn_protocol().map(Bytes::copy_from_slice),
        reused: state.handshake_kind() == Some(HandshakeKind::Resumed),
        session_id: Bytes::new(),
        ciphers: hello.ciphers.into(),
        groups: hello.groups.into(),
        certificate: state.peer_certificates().and_then(|chain| Some(Bytes::copy_from_slice(chain.first()?))),
        refused: std::cell::Cell::new(None),
    }
}
