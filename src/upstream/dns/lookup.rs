//! One lookup: questions out to name servers in turn, answers back, over UDP and where they do not fit over TCP.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};

use super::message::{Head, Kind, Records, question, read_head, read_records};
use super::{Fault, Found, Known, Resolver};
use crate::http::Deadline;
use crate::log::{ErrorLog, Level};
use crate::upstream::Address;

/// How long one name server is waited for.
const RESEND: Duration = Duration::from_secs(5);

/// How long a TCP connection to one may take.
const TCP: Duration = Duration::from_secs(5);

/// The largest answer that is read from UDP.
const UDP_SIZE: usize = 4096;

type TcpExchange = Pin<Box<dyn Future<Output = Option<Vec<u8>>>>>;

/// A lookup under way.
pub(super) struct Lookup {
    resolver: Arc<Resolver>,
    log: Arc<ErrorLog>,
    name: Rc<[u8]>,
    questions: Vec<Question>,
    /// Which name server is asked.
    server: usize,
    sockets: Vec<Option<Opened>>,
    tcp: Vec<TcpExchange>,
    ttl: u32,
    /// What the answer that came last says of another name.
    alias: Option<Bytes>,
}

/// A socket to a name server.
enum Opened {
    Udp {
        socket: Rc<UdpSocket>,
        /// Ready when nobody listens there: the runtime does not count that as something to read.
        refused: Pin<Box<dyn Future<Output = ()>>>,
    },
    /// It has no name of its own that an answer could be sent to.
    Unix(OwnedFd),
}

impl Opened {
    /// # Errors
    /// What `socket`, `bind` or `connect` says.
    fn new(server: &Address) -> io::Result<Self> {
        match server {
            Address::Tcp(server) => Self::udp(*server),
            Address::Unix(path) => {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
                rustix::net::connect(&socket, path)?;
                Ok(Opened::Unix(socket))
            }
        }
    }

    fn udp(server: SocketAddr) -> io::Result<Self> {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let opened = std::net::UdpSocket::bind(any)?;
        opened.set_nonblocking(true)?;
        opened.connect(server)?;
        let socket = Rc::new(UdpSocket::from_std(opened)?);
        let watched = socket.clone();
        let refused = Box::pin(async move { drop(watched.ready(Interest::ERROR).await) });
        Ok(Opened::Udp { socket, refused })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // The runtime does not know yet that there is room in a socket that was just opened.
        let sent = match self {
            Opened::Udp { socket, .. } => rustix::net::send(socket, bytes, SendFlags::empty()),
            Opened::Unix(socket) => rustix::net::send(socket, bytes, SendFlags::empty()),
        };
        sent.map_err(Into::into)
    }
}

struct Question {
    kind: Kind,
    ident: u16,
    bytes: Vec<u8>,
    over_tcp: bool,
    answer: Option<Result<Records, Fault>>,
}

impl Lookup {
    /// A lookup of a name in small letters; `None` for one that cannot be asked for.
    pub(super) fn new(resolver: &Arc<Resolver>, log: &Arc<ErrorLog>, name: Rc<[u8]>, service: bool) -> Option<Self> {
        let ask = |kind| {
            let ident = random();
            let bytes = question(&name, kind, ident)?;
            Some(Question { kind, ident, bytes, over_tcp: false, answer: None })
        };
        let questions = match (service, resolver.ipv4, resolver.ipv6) {
            (true, ..) => vec![ask(Kind::Srv)?],
            (_, true, false) => vec![ask(Kind::A)?],
            (_, false, true) => vec![ask(Kind::Aaaa)?],
            _ => vec![ask(Kind::A)?, ask(Kind::Aaaa)?],
        };
        let count = resolver.servers.len();
        let server = resolver.next.fetch_add(1, Ordering::Relaxed) % count;
        Some(Self {
            resolver: resolver.clone(),
            log: log.clone(),
            questions,
            server,
            sockets: (0..count).map(|_| None).collect(),
            tcp: Vec::new(),
            ttl: u32::MAX,
            alias: None,
            name,
        })
    }

    /// Asks until all is answered, or nobody wants to know any more.
    pub(super) async fn run(mut self, wanted: impl Fn() -> bool) -> Option<Result<Known, Fault>> {
        if !self.send() {
            self.server = (self.server + 1) % self.sockets.len();
            self.send();
        }
        let mut resend = Deadline::default();
        loop {
            resend.set(RESEND);
            let answered = poll_fn(|cx| match self.poll_answers(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => resend.poll(cx).map(|()| false),
            });
            if answered.await {
                return Some(self.settle());
            }
            if !wanted() {
                return None;
            }
            self.server = (self.server + 1) % self.sockets.len();
            self.send();
        }
    }

    /// Sends what was not answered; `false` where that failed.
    fn send(&mut self) -> bool {
        for index in 0..self.questions.len() {
            let Question { bytes, over_tcp, answer, .. } = &self.questions[index];
            if answer.is_some() {
                continue;
            }
            if *over_tcp {
                let bytes = bytes.clone();
                self.ask_over_tcp(bytes);
                continue;
            }
            let place = &mut self.sockets[self.server];
            if place.is_none() {
                match Opened::new(&self.resolver.servers[self.server]) {
                    Ok(opened) => *place = Some(opened),
                    Err(error) => {
                        self.complain(Level::Crit, &error, "connect() failed");
                        return false;
                    }
                }
            }
            if let Some(Err(error)) = place.as_ref().map(|opened| opened.send(bytes)) {
                self.complain(Level::Error, &error, "send() failed");
                self.sockets[self.server] = None;
                return false;
            }
        }
        true
    }

    fn ask_over_tcp(&mut self, question: Vec<u8>) {
        if let Address::Tcp(server) = self.resolver.servers[self.server] {
            self.tcp.push(Box::pin(over_tcp_to(server, question)));
        }
    }

    fn complain(&self, level: Level, error: &io::Error, call: &str) {
        let server = self.resolver.servers[self.server].name();
        self.log.write(level, None, |line| {
            line.put(call).error(error).put(" while resolving, resolver: ").put(&*String::from_utf8_lossy(&server));
        });
    }

    fn say(&self, what: impl std::fmt::Display) {
        self.log.say(Level::Error, what);
    }

    /// Ready when all questions are answered.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; UDP_SIZE];
        for index in 0..self.sockets.len() {
            while let Some(Opened::Udp { socket, refused }) = &mut self.sockets[index] {
                if refused.as_mut().poll(cx).is_ready() {
                    if let Ok(Some(error)) = socket.take_error() {
                        self.complain(Level::Error, &error, "recv() failed");
                    }
                    self.sockets[index] = None;
                    break;
                }
                let mut buffer = ReadBuf::new(&mut space);
                match socket.poll_recv(cx, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => {
                        let message = buffer.filled().to_vec();
                        self.take(&message, false);
                    }
                    Poll::Ready(Err(error)) => {
                        self.complain(Level::Error, &error, "recv() failed");
                        self.sockets[index] = None;
                    }
                }
            }
        }
        let mut at = 0;
        while let Some(exchange) = self.tcp.get_mut(at) {
            match exchange.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(message) => {
                    drop(self.tcp.swap_remove(at));
                    message.inspect(|message| self.take(message, true));
                }
            }
        }
        let answered = self.questions.iter().all(|question| question.answer.is_some());
        if answered { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes a message in, if it answers a question.
    fn take(&mut self, message: &[u8], tcp: bool) {
        let head = match read_head(message, tcp, super::code_text) {
            Ok(head) => head,
            Err(what) => return self.say(what),
        };
        let shown = String::from_utf8_lossy(&head.name).into_owned();
        let open = |question: &&mut Question| question.kind == head.kind && question.answer.is_none();
        let Some(question) = self.questions.iter_mut().find(open).filter(|_| *head.name == *self.name) else {
            return self.say(format_args!("unexpected DNS response for {shown}"));
        };
        if question.ident != head.ident {
            let (came, expected) = (head.ident, question.ident);
            return self.say(format_args!("wrong ident {came} in DNS response for {shown}, expect {expected}"));
        }
        if head.truncated {
            if !std::mem::replace(&mut question.over_tcp, true) {
                let question = question.bytes.clone();
                self.ask_over_tcp(question);
            }
            return;
        }
        match answer(message, &head) {
            Ok(answer) => {
                self.alias = answer.as_ref().ok().and_then(|records| records.alias.clone());
                if let Ok(records) = &answer {
                    self.ttl = self.ttl.min(records.ttl);
                }
                let strange = answer.as_ref().map_or(Vec::new(), |records| records.strange.clone());
                question.answer = Some(answer);
                strange.iter().for_each(|kind| self.say(format_args!("unexpected RR type {kind} in DNS response")));
            }
            Err(what) => self.say(what),
        }
    }

    /// What all answers say together. A fault of one is a fault of all; one that says nothing leaves it to the other.
    fn settle(&mut self) -> Result<Known, Fault> {
        let mut all = Records::default();
        let mut fault = None;
        for question in &mut self.questions {
            match question.answer.take() {
                Some(Ok(records)) => {
                    all.addresses.extend(records.addresses);
                    all.services.extend(records.services);
                }
                Some(Err(code)) => fault = Some(code),
                None => {}
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        let seconds = self.resolver.valid.unwrap_or(i64::from(self.ttl));
        let valid = super::now() + seconds;
        all.services.sort_by_key(|service| service.priority);
        let found = match (all.addresses.is_empty(), all.services.is_empty(), self.alias.take()) {
            (false, ..) => Found::Addresses(all.addresses.into()),
            (_, false, _) => Found::Services(all.services.into()),
            (.., Some(alias)) => Found::Alias(alias),
            (.., None) => return Err(Fault::NO_SUCH_HOST),
        };
        Ok(Known { found, valid })
    }
}

/// What a message answers.
///
/// # Errors
/// nginx's sentence about a message that answers nothing.
fn answer(message: &[u8], head: &Head) -> Result<Result<Records, Fault>, String> {
    if head.code != 0 {
        return Ok(Err(Fault(head.code)));
    }
    let records = read_records(message, head)?;
    let says_nothing = records.addresses.is_empty() && records.services.is_empty() && records.alias.is_none();
    if says_nothing && !records.strange.is_empty() {
        let kinds = if head.kind == Kind::Srv { "SRV type" } else { "A or CNAME types" };
        return Err(format!("no {kinds} in DNS response"));
    }
    Ok(Ok(records))
}

async fn over_tcp_to(server: SocketAddr, question: Vec<u8>) -> Option<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer)
    };
    tokio::time::timeout(TCP, exchange).await.ok()?.ok()
}

/// A number that nobody can guess.
pub(super) fn random() -> u16 {
    let mut bytes = [0; 2];
    // An error leaves zeros, which are as good as any number where there is no randomness at all.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}
