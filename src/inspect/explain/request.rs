//! The request that is explained: from a URL to what a connection would hand over.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::ExplainError;
use crate::{
    h1::{
        head::RequestHead,
        limits::HeadLimits,
        request::{Parse, RequestParser},
    },
    http::{
        BodyError, BodySource, Choice, Connection, Cycle, Engine, Incoming, ListenAddress, Local, Request, RequestBody,
        Subrequest, SubrequestFuture, ThreadState, TlsInfo, TooDeep,
    },
    server::head_limits,
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// `http://host:port/path?args`, or a path alone.
    pub url: String,
    /// The method.
    pub method: String,
    /// Request headers, `Name: value`.
    pub headers: Vec<String>,
    /// The client's address.
    pub from: IpAddr,
}

impl Question {
    /// A GET from this machine.
    pub fn new(url: impl Into<String>) -> Self {
        let (method, from) = ("GET".to_owned(), Ipv4Addr::LOCALHOST.into());
        Self { url: url.into(), method, headers: Vec::new(), from }
    }
}

/// A URL in its parts.
pub(super) struct Target {
    pub(super) secure: bool,
    /// As it is written in `Host`; empty for a path alone.
    pub(super) authority: String,
    pub(super) port: u16,
    /// With its arguments, as it would stand in the request line.
    pub(super) path: String,
}

impl Target {
    pub(super) fn of(url: &str) -> Result<Self, ExplainError> {
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            None if url.starts_with('/') => return Ok(Self::path(url)),
            None => (false, url),
            Some(_) => return Err(ExplainError::Url(url.into())),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map(|(_, port)| port);
        let usual = if secure { 443 } else { 80 };
        let port = port.map_or(Ok(usual), str::parse).map_err(|_| ExplainError::Url(url.into()))?;
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { secure, authority: authority.into(), port, path })
    }

    fn path(url: &str) -> Self {
        Self { secure: false, authority: String::new(), port: 0, path: url.into() }
    }

    /// The address in the URL, where it is one.
    fn ip(&self) -> Option<IpAddr> {
        let host = self.authority.strip_prefix('[').and_then(|host| host.split(']').next());
        host.or_else(|| self.authority.split(':').next())?.parse().ok()
    }

    /// The listening address that a connection would come to, and why that one.
    pub(super) fn listen(&self, cycle: &Cycle) -> Result<(usize, &'static str), ExplainError> {
        let tcp = |at: usize| match cycle.listens[at].spec.address {
            ListenAddress::Tcp(address) => Some(address),
            ListenAddress::Unix(_) => None,
        };
        if self.authority.is_empty() && !cycle.listens.is_empty() {
            return Ok((0, "the first one, as the URL names none"));
        }
        let fits: Vec<_> =
            (0..cycle.listens.len()).filter(|at| tcp(*at).is_some_and(|at| at.port() == self.port)).collect();
        let ip = self.ip();
        let named = fits.iter().find(|at| ip.is_some() && tcp(**at).map(|address| address.ip()) == ip);
        let wild = fits.iter().find(|at| tcp(**at).is_some_and(|address| address.ip().is_unspecified()));
        match (named, wild, fits.first()) {
            (Some(at), ..) => Ok((*at, "it is the URL's address and port")),
            (None, Some(at), _) => Ok((*at, "it has the URL's port, on all addresses")),
            (None, None, Some(at)) => Ok((*at, "it has the URL's port")),
            _ => {
                let texts = cycle.listens.iter().map(|listen| listen.spec.text.clone());
                Err(ExplainError::NobodyListens(self.port, texts.collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

/// A request that nobody sent, and the status of one that is refused before any phase.
pub(super) struct Posed {
    pub(super) r: Rc<Request>,
    pub(super) choice: Choice,
    pub(super) refused: Option<(u16, String)>,
}

/// Reads the request by the codec that reads all requests, and chooses its server as that does.
pub(super) fn pose(cycle: &Arc<Cycle>, question: &Question, target: &Target, listen: usize) -> Posed {
    let text = head_text(question, target);
    let local_ip = target.ip().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let servers = cycle.listens[listen].virtual_servers(Some(local_ip));
    let mut choice = servers.choose(b"");
    let mut limits = head_limits(cycle.server(servers.default));
    let mut head = RequestHead::new();
    let refused = read(&text, &mut head, &mut limits, |host, limits| {
        choice = servers.choose(host);
        *limits = head_limits(cycle.server(choice.server));
    });
    let connection = connection(question, listen, local_ip, target);
    let length = head.content_length;
    let body =
        if length.is_some() || head.chunked { RequestBody::new(Rc::new(NoBytes), length) } else { RequestBody::none() };
    let incoming = Incoming {
        head: head.as_it_came(),
        host: std::mem::take(&mut head.host),
        args: head.args().to_vec(),
        keep_alive: head.wants_keep_alive(),
        uri: std::mem::take(&mut head.uri),
        headers: std::mem::take(&mut head.headers),
        server: choice.server,
        body,
        pipelined: false,
        client: None,
        start: Instant::now(),
        counted: None,
    };
    let local = Rc::new(Local { cycle: cycle.clone(), engine: &Nobody, state: Rc::new(ThreadState::default()) });
    let r = Request::new(local, Rc::new(connection), incoming);
    if let Some(regex) = &choice.regex {
        let host = r.host.borrow().clone();
        // It matched when the server was chosen; now it leaves its captures.
        let _ = regex.exec(&r, &host);
    }
    Posed { r, choice, refused }
}

fn head_text(question: &Question, target: &Target) -> Vec<u8> {
    let named = |line: &&String| line.to_ascii_lowercase().starts_with("host:");
    let mut text = format!("{} {} HTTP/1.1\r\n", question.method, target.path);
    if !question.headers.iter().any(|line| named(&line)) {
        let host = if target.authority.is_empty() { "localhost" } else { &target.authority };
        text += &format!("Host: {host}\r\n");
    }
    for line in &question.headers {
        text += &format!("{}\r\n", line.trim());
    }
    (text + "\r\n").into_bytes()
}

fn read(
    text: &[u8],
    head: &mut RequestHead,
    limits: &mut HeadLimits,
    mut choose: impl FnMut(&[u8], &mut HeadLimits),
) -> Option<(u16, String)> {
    let mut parser = RequestParser::new(limits);
    loop {
        match parser.parse(text, limits, head) {
            Ok(Parse::Host) => choose(&head.host, limits),
            Ok(Parse::Done(_)) => return None,
            Ok(Parse::Partial | Parse::Blank) => return Some((400, "the request has no end".into())),
            Err(error) => return Some((error.fault.status(), error.to_string())),
        }
    }
}

fn connection(question: &Question, listen: usize, local: IpAddr, target: &Target) -> Connection {
    let mut connection = Connection::new(1, Some(SocketAddr::new(question.from, 40_000)));
    connection.listen.set(listen);
    connection.local = Some(SocketAddr::new(local, target.port));
    if target.secure {
        // It is a new one.
        let _ = connection.tls.set(Rc::new(TlsInfo::default()));
    }
    connection.requests.set(1);
    connection
}

/// A body that is announced and never comes.
struct NoBytes;

impl BodySource for NoBytes {
    fn set_timeout(&self, _: Duration) {}

    fn poll_read(&self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        Poll::Ready(Ok(None))
    }
}

/// Runs no subrequest: what would be asked of another server is not asked.
struct Nobody;

impl Engine for Nobody {
    fn subrequest(&self, _: &Rc<Request>, _: Subrequest) -> Result<SubrequestFuture, TooDeep> {
        Ok(Box::pin(std::future::pending()))
    }

    fn beside(&self, _: &Rc<Request>, _: Subrequest) -> Result<(), TooDeep> {
        Ok(())
    }
}

/// Why a log in memory could not be made.
pub(super) type LogError = io::Error;
