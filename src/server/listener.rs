//! Accepts connections and starts serving them.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{SocketFlags, accept_with, acceptfrom_with};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::stream::ClientStream;
use super::thread::{Accepting, Thread};
use super::{h1, h2, proxy_protocol, tls};
use crate::http::{Connection, ListenAddress, Local};
use crate::log::Level;

/// nginx's pause when no descriptor is left: `accept_mutex_delay`.
const PAUSE: Duration = Duration::from_millis(500);

/// A connection that was just accepted.
struct Newcomer {
    stream: ClientStream,
    /// As the system told on accepting: asked later it does not know any more who has reset the connection meanwhile.
    peer: Option<SocketAddr>,
}

/// A listening socket of one thread.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(address: &ListenAddress, fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(match address {
            ListenAddress::Tcp(_) => Self::Tcp(TcpListener::from_std(fd.into())?),
            ListenAddress::Unix(_) => Self::Unix(UnixListener::from_std(fd.into())?),
        })
    }

    /// A connection that waits, whether or not anybody was told of it yet.
    fn accept_now(&self) -> Option<Newcomer> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match self {
            Self::Tcp(listener) => {
                let (fd, peer) = acceptfrom_with(listener, flags).ok()?;
                let stream = ClientStream::Tcp(TcpStream::from_std(fd.into()).ok()?);
                Some(Newcomer { stream, peer: SocketAddr::try_from(peer?).ok() })
            }
            Self::Unix(listener) => {
                let fd = accept_with(listener, flags).ok()?;
                let stream = ClientStream::Unix(UnixStream::from_std(fd.into()).ok()?);
                Some(Newcomer { stream, peer: None })
            }
        }
    }

    async fn accept(&self) -> io::Result<Newcomer> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Newcomer { stream: ClientStream::Tcp(stream), peer: Some(peer) })
            }
            Self::Unix(listener) => {
                let stream = ClientStream::Unix(listener.accept().await?.0);
                Ok(Newcomer { stream, peer: None })
            }
        }
    }
}

/// Makes a listener of a socket; what is wrong with it is logged.
pub(super) fn open(thread: &Thread, socket: Accepting) -> Option<Rc<Listener>> {
    let local = thread.local();
    let listener = Listener::new(&local.cycle.listens[socket.listen].spec.address, socket.fd);
    let fault = |error: &io::Error| local.cycle.error_log.say_error(Level::Emerg, error, "could not listen");
    listener.inspect_err(fault).ok().map(Rc::new)
}

/// Starts serving the connections that wait already: a listener that is about to close would reset them.
pub(super) fn accept_waiting(thread: &Rc<Thread>, listener: &Listener, listen: usize) {
    while let Some(newcomer) = listener.accept_now() {
        start(thread, newcomer, listen);
    }
}

/// Accepts until it is dropped.
pub(super) async fn accept(thread: Rc<Thread>, listener: Rc<Listener>, listen: usize) {
    let local = thread.local();
    let log = &local.cycle.error_log;
    loop {
        match listener.accept().await {
            Ok(newcomer) => {
                if thread.has_little_room() {
                    // Those that were accepted just before come to rest first, and can be let go.
                    tokio::task::yield_now().await;
                }
                start(&thread, newcomer, listen);
            }
            Err(error) => {
                log.say_error(accept_level(&error), &error, "accept4() failed");
                if is_exhausted(&error) {
                    // nginx lets nobody go here, and a new client's request may be on its way.
                    thread.make_room(true);
                    tokio::select! {
                        () = thread.freed() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

fn accept_level(error: &io::Error) -> Level {
    match error.raw_os_error() {
        Some(libc::ECONNABORTED) => Level::Error,
        Some(libc::EMFILE | libc::ENFILE) => Level::Crit,
        _ => Level::Alert,
    }
}

fn start(thread: &Rc<Thread>, newcomer: Newcomer, listen: usize) {
    let local = thread.local();
    let Some((number, admitted)) = thread.admit() else {
        let limit = local.cycle.process.worker_connections;
        return local.cycle.error_log.say(Level::Alert, format_args!("{limit} worker_connections are not enough"));
    };
    let connection = Rc::new(connection(&newcomer, number, listen, &local.cycle.listens[listen].spec.address));
    let stream = newcomer.stream;
    let servers = local.cycle.listens[listen].virtual_servers(connection.local.map(|local| local.ip()));
    let holder = thread;
    let thread = thread.clone();
    let opening = Opening { proxied: servers.proxy_protocol, http2: servers.http2, tls: servers.ssl };
    let task = if opening.is_plain() {
        tokio::task::spawn_local(async move {
            h1::serve(thread, local, stream, connection, Vec::new()).await;
            drop(admitted);
        })
    } else {
        tokio::task::spawn_local(async move {
            serve(thread, local, stream, connection, opening).await;
            drop(admitted);
        })
    };
    holder.hold(number, &task);
}

/// What a connection begins with, before its requests.
#[derive(Clone, Copy)]
struct Opening {
    proxied: bool,
    http2: bool,
    tls: bool,
}

impl Opening {
    fn is_plain(self) -> bool {
        !self.proxied && !self.http2 && !self.tls
    }
}

/// Serves a connection that does not begin as HTTP/1 does.
async fn serve(
    thread: Rc<Thread>,
    local: Rc<Local>,
    mut stream: ClientStream,
    connection: Rc<Connection>,
    opening: Opening,
) {
    let mut first = Vec::new();
    if opening.proxied {
        let Some(read) = proxy_protocol::read(&thread, &local, &mut stream, &connection).await else { return };
        first = read;
    }
    if opening.tls {
        let accepted = tls::accept(thread.clone(), local.clone(), stream, connection.clone(), first);
        match Box::pin(accepted).await {
            None => {}
            Some(accepted) if accepted.http2 => h2::serve(thread, accepted.first, accepted.stream, connection).await,
            Some(accepted) => h1::serve(thread, local, accepted.stream, connection, accepted.first).await,
        }
    } else if opening.http2 {
        h2::serve_or_h1(thread, local, stream, connection, first).await;
    } else {
        h1::serve(thread, local, stream, connection, first).await;
    }
}

fn connection(newcomer: &Newcomer, number: u64, listen: usize, address: &ListenAddress) -> Connection {
    let local = match &newcomer.stream {
        ClientStream::Tcp(tcp) => {
            // Nothing is ever held back: answers are written whole.
            let _ = tcp.set_nodelay(true);
            tcp.local_addr().ok()
        }
        ClientStream::Unix(_) | ClientStream::Tls(_) => None,
    };
    let local_path = match address {
        ListenAddress::Unix(path) => Some(Bytes::copy_from_slice(path.as_os_str().as_bytes())),
        ListenAddress::Tcp(_) => None,
    };
    Connection { local, local_path, listen: Cell::new(listen), ..Connection::new(number, newcomer.peer) }
}
