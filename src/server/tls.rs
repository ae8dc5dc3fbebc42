//! The handshake on an encrypted address: the server is chosen by name first, then greets with its own certificate.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error, HandshakeKind, ProtocolVersion};

use super::stream::ClientStream;
use super::thread::Thread;
use super::tls_stream::TlsStream;
use super::{ocsp, tls_certificate};
use crate::http::{Connection, Deadline, Local, Request, Server, ServerId, TlsInfo, VerifyFault, VirtualServers, host};
use crate::log::{Level, Line};
use crate::tls::{Channel, ClientHello, Hello, Ocsp, Reason, Site, Sites, Trust, Verify, cipher_name, read_hello};

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
    local: &'a Rc<Local>,
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
            refuse(&mut stream, UNRECOGNIZED_NAME);
            return self.say(Level::Info, |line| {
                line.put("handshake rejected");
            });
        };
        if site.tls13 && hello.falls_back() {
            refuse(&mut stream, INAPPROPRIATE_FALLBACK);
            return self.say(Level::Info, |line| {
                line.put("SSL_do_handshake() failed (SSL: error:0A000175:SSL routines::inappropriate fallback)");
            });
        }
        if hello.wants_status {
            site.staples.iter().for_each(|staple| ocsp::refresh(self.local, server, staple));
        }
        let config = match &site.dynamic {
            None => site.config.clone(),
            Some(dynamic) => {
                let (server_name, host) = (hello.server_name.clone().into(), host.clone().into());
                let greeting = TlsInfo { server_name, host, ..TlsInfo::default() };
                let read = tls_certificate::config(self.local, self.connection, server, site, dynamic, greeting);
                let Some(config) = read else {
                    refuse(&mut stream, INTERNAL_ERROR);
                    return self.say(Level::Info, |line| {
                        line.put("SSL_do_handshake() failed (SSL: error:0A000179:SSL routines::cert cb error)");
                    });
                };
                config
            }
        };
        let connection = UnbufferedServerConnection::new(config).ok()?;
        let mut stream = TlsStream::new(stream, Channel::new(connection));
        if let Err(error) = stream.channel().take_in(&mut first) {
            stream.channel().refuse_as_openssl();
            stream.flush_now();
            return self.say_failed(&error);
        }
        let session_id = session_id(stream.channel().outgoing());
        self.shake_hands(&mut stream).await?;
        let state = stream.channel().state();
        let http2 = state.alpn_protocol() == Some(b"h2");
        // It is there once.
        let mut refused = site.trust.as_ref().and_then(|trust| verdict(trust, state));
        if let (Some(ocsp), Some(trust), None) = (&site.ocsp, &site.trust, refused) {
            let presented = state.peer_certificates().unwrap_or_default();
            refused = self.ask_after(server, (ocsp, trust), presented).await?;
        }
        let info = Rc::new(TlsInfo { session_id, refused, ..info(state, hello, host) });
        stream.begin(&info);
        let _ = self.connection.tls.set(info);
        Some(Accepted { stream: ClientStream::Tls(Box::new(stream)), first: Vec::new(), http2 })
    }

    /// Asks whether a client's certificates are still good. `None` where that takes too long.
    async fn ask_after(
        &self,
        server: ServerId,
        (ocsp, trust): (&Ocsp, &Trust),
        presented: &[CertificateDer<'_>],
    ) -> Option<Option<VerifyFault>> {
        let patience = self.local.cycle.server(self.servers().default).client_header_timeout;
        let asked = ocsp::refusal((self.local, self.connection), server, (ocsp, trust), presented);
        match tokio::time::timeout(patience, asked).await {
            Ok(refused) => Some(refused),
            Err(_) => self.say_gone(Some(io::ErrorKind::TimedOut.into())),
        }
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

    fn say_gone<T>(&self, error: Option<io::Error>) -> Option<T> {
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

    fn say_failed<T>(&self, error: &Error) -> Option<T> {
        self.say(Level::Info, |line| {
            line.put("SSL_do_handshake() failed (SSL: ").put(Reason(error)).put(')');
        })
    }

    /// Says what nginx says; ends in nothing.
    fn say<T>(&self, level: Level, message: impl FnOnce(&mut Line)) -> Option<T> {
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

/// What nginx is doing then.
const READING: &str = " while reading client request headers";

/// Why a request may not be answered for the sake of its connection; nginx's status for that.
pub(super) fn refusal(r: &Request) -> Option<u16> {
    if r.connection.clear_to_tls.get() {
        r.log(Level::Info, format_args!("client sent plain HTTP request to HTTPS port{READING}"));
        return Some(497);
    }
    let (tls, sites) = (r.connection.tls.get()?, r.cycle().extensions.get::<Sites>()?);
    if sites.verify.iter().all(|verify| *verify == Verify::Off) {
        return None;
    }
    if !tls.host.is_empty() && tls.host != r.host.borrow()[..] && asks_for_another(r, tls, sites) {
        let what = "client attempted to request the server name different from the one that was negotiated";
        r.log(Level::Info, format_args!("{what}{READING}"));
        r.out.keep_alive.set(false);
        return Some(421);
    }
    let verify = sites.verify(r.server_id());
    match (verify, tls.refused) {
        (Verify::Off, _) => None,
        (_, Some(fault)) if verify != Verify::OptionalNoCa || !fault.is_of_issuer() => {
            match fault {
                // Its responder said so.
                VerifyFault { code: 0, text } => {
                    r.log(Level::Info, format_args!("client SSL certificate verify error: {text}{READING}"));
                }
                VerifyFault { code, text } => {
                    r.log(Level::Info, format_args!("client SSL certificate verify error: ({code}:{text}){READING}"));
                }
            }
            Some(495)
        }
        (Verify::On, _) if tls.certificate.is_none() => {
            r.log(Level::Info, format_args!("client sent no required SSL certificate{READING}"));
            Some(496)
        }
        _ => None,
    }
}

/// Whether a request is for a server that wants to know its clients, and the connection was made for another one.
fn asks_for_another(r: &Request, tls: &TlsInfo, sites: &Sites) -> bool {
    let listen = &r.cycle().listens[r.connection.listen.get()];
    let servers = listen.virtual_servers(r.connection.local.map(|local| local.ip()));
    if servers.find(&tls.host).is_none() {
        return false;
    }
    let asked = servers.choose(&r.host.borrow()).server;
    sites.verify(asked) != Verify::Off
}

/// What is wrong with the client's certificate.
fn verdict(trust: &Trust, state: &CommonState) -> Option<VerifyFault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed());
    trust.verify(state.peer_certificates()?, now).err()
}

/// The session's number in the server's first message (RFC 8446, 4.1.3), which is not encrypted.
fn session_id(sent: &[u8]) -> Bytes {
    const LENGTH: usize = 5 + 4 + 2 + 32;
    let id = sent.get(LENGTH).and_then(|length| sent.get(LENGTH + 1..LENGTH + 1 + usize::from(*length)));
    let digits = id.unwrap_or_default().iter().fold(String::new(), |out, byte| out + &format!("{byte:02x}"));
    digits.into()
}

/// A name that clients ask for, as a host's name.
fn host_of(name: &[u8]) -> Vec<u8> {
    let mut host = Vec::new();
    if name.is_empty() || host::append_valid(name, &mut host).is_none() {
        host.clear();
    }
    host
}

/// Nobody here has that name (RFC 8446, 6.2).
const UNRECOGNIZED_NAME: u8 = 112;
/// The client may ask for more (RFC 7507).
const INAPPROPRIATE_FALLBACK: u8 = 86;
/// Something of our own went wrong.
const INTERNAL_ERROR: u8 = 80;

/// Tells a client why it is not greeted.
fn refuse(stream: &mut ClientStream, alert: u8) {
    // It learns as much from the close.
    let _ = stream.try_write(&[21, 3, 3, 0, 2, 2, alert], &[]);
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
        ciphers: hello.ciphers.into(),
        groups: hello.groups.into(),
        certificate: state.peer_certificates().and_then(|chain| Some(Bytes::copy_from_slice(chain.first()?))),
        ..TlsInfo::default()
    }
}
