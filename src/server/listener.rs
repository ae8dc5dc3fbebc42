//! Accepts connections and starts serving them.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::{TcpListener, UnixListener};

use super::stream::ClientStream;
use super::thread::{Accepting, Thread};
use super::{h1, h2};
use crate::http::{Connection, ListenAddress, address_text};
use crate::log::Level;

/// nginx's pause when no descriptor is left: `accept_mutex_delay`.
const PAUSE: Duration = Duration::from_millis(500);

enum Listener {
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

    async fn accept(&self) -> io::Result<ClientStream> {
        match self {
            Self::Tcp(listener) => Ok(ClientStream::Tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(ClientStream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Accepts until it is dropped.
pub(super) async fn accept(thread: Rc<Thread>, socket: Accepting) {
    let local = thread.local();
    let address = &local.cycle.listens[socket.listen].spec.address;
    let log = &local.cycle.error_log;
    let listener = match Listener::new(address, socket.fd) {
        Ok(listener) => listener,
        Err(error) => return log.say_error(Level::Emerg, &error, "could not listen"),
    };
    loop {
        match listener.accept().await {
            Ok(stream) => start(&thread, stream, socket.listen),
            Err(error) => {
                log.say_error(accept_level(&error), &error, "accept4() failed");
                if is_exhausted(&error) {
                    tokio::time::sleep(PAUSE).await;
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

fn start(thread: &Rc<Thread>, stream: ClientStream, listen: usize) {
    let local = thread.local();
    let Some((number, admitted)) = thread.admit() else {
        let limit = local.cycle.process.worker_connections;
        return local.cycle.error_log.say(Level::Alert, format_args!("{limit} worker_connections are not enough"));
    };
    let connection = Rc::new(connection(&stream, number, listen, &local.cycle.listens[listen].spec.address));
    let servers = local.cycle.listens[listen].virtual_servers(connection.local.map(|local| local.ip()));
    let thread = thread.clone();
    if servers.http2 {
        tokio::task::spawn_local(async move {
            h2::serve_or_h1(thread, local, stream, connection).await;
            drop(admitted);
        });
    } else {
        tokio::task::spawn_local(async move {
            h1::serve(thread, local, stream, connection, Vec::new()).await;
            drop(admitted);
        });
    }
}

fn connection(stream: &ClientStream, number: u64, listen: usize, address: &ListenAddress) -> Connection {
    let (peer, local) = match stream {
        ClientStream::Tcp(tcp) => {
            // Nothing is ever held back: answers are written whole.
            let _ = tcp.set_nodelay(true);
            (tcp.peer_addr().ok(), tcp.local_addr().ok())
        }
        ClientStream::Unix(_) => (None, None),
    };
    let local_path = match address {
        ListenAddress::Unix(path) => Some(Bytes::copy_from_slice(path.as_os_str().as_bytes())),
        ListenAddress::Tcp(_) => None,
    };
    Connection {
        number,
        peer: Cell::new(peer),
        address: RefCell::new(address_text(peer)),
        local,
        local_path,
        listen: Cell::new(listen),
        requests: Cell::new(0),
        start: Instant::now(),
        secure: false,
    }
}
