//! Log lines as datagrams, as nginx sends them: <https://nginx.org/en/docs/syslog.html>, RFC 3164.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with};

use super::{ErrorLog, Level, clock};

/// Where datagrams go.
#[derive(Clone, Debug)]
pub enum SyslogServer {
    /// UDP.
    Udp(SocketAddr),
    /// A UNIX socket.
    Unix(SocketAddrUnix),
}

/// One `syslog:server=…`.
#[derive(Debug)]
pub struct Syslog {
    /// Where to.
    pub server: SyslogServer,
    /// The server as nginx names it.
    pub name: String,
    /// The facility's number.
    pub facility: u8,
    /// The severity's number, for access logs.
    pub severity: u8,
    /// `tag=`
    pub tag: String,
    /// `nohostname`
    pub nohostname: bool,
    socket: Socket,
    complaints: OnceLock<Weak<ErrorLog>>,
}

/// The socket, made by the first message. A new one takes the number of one that failed, so that nobody who sends has
/// to be waited for.
#[derive(Debug, Default)]
struct Socket {
    fd: OnceLock<OwnedFd>,
    failed: AtomicBool,
    making: Mutex<()>,
}

/// Number of the facility `local7`.
pub const LOCAL7: u8 = 23;

/// Number of the severity `info`.
pub const INFO: u8 = 6;

thread_local! {
    /// What goes wrong with sending is not sent.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// The machine's name in lower case.
pub fn hostname() -> &'static [u8] {
    static HOSTNAME: OnceLock<Vec<u8>> = OnceLock::new();
    HOSTNAME.get_or_init(|| rustix::system::uname().nodename().to_bytes().to_ascii_lowercase())
}

impl Syslog {
    /// A server with nginx's defaults.
    pub fn new(server: SyslogServer, name: String) -> Self {
        Self {
            server,
            name,
            facility: LOCAL7,
            severity: INFO,
            tag: "nginx".into(),
            nohostname: false,
            socket: Socket::default(),
            complaints: OnceLock::new(),
        }
    }

    /// Says where to complain about messages that could not be sent. The first word counts.
    pub fn complain_to(&self, log: &Arc<ErrorLog>) {
        self.complaints.get_or_init(|| Arc::downgrade(log));
    }

    /// Begins a message.
    pub fn append_head(&self, severity: u8, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice((u16::from(self.facility) * 8 + u16::from(severity)).to_string().as_bytes());
        out.push(b'>');
        out.extend_from_slice(&clock::time_syslog());
        if !self.nohostname {
            out.push(b' ');
            out.extend_from_slice(hostname());
        }
        out.push(b' ');
        out.extend_from_slice(self.tag.as_bytes());
        out.extend_from_slice(b": ");
    }

    /// Sends a line of the error log, without its end.
    pub(super) fn send_line(&self, level: Level, line: &[u8]) {
        if BUSY.get() {
            return;
        }
        let mut message = Vec::with_capacity(line.len() + 64);
        self.append_head(level as u8 - Level::Emerg as u8, &mut message);
        message.extend_from_slice(line);
        // What went wrong has been said.
        let _ = self.send(&message);
    }

    /// Sends a message. What goes wrong is told in the main log.
    ///
    /// # Errors
    /// The system's; nothing was sent.
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        BUSY.set(true);
        let sent = self.try_send(message);
        BUSY.set(false);
        sent
    }

    fn try_send(&self, message: &[u8]) -> io::Result<usize> {
        let fd = match self.socket.fd.get() {
            Some(fd) if !self.socket.failed.load(Ordering::Acquire) => fd,
            _ => self.open()?,
        };
        let sent = loop {
            match send(fd, message, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                sent => break sent.map_err(io::Error::from),
            }
        };
        sent.inspect_err(|error| {
            if error.kind() != io::ErrorKind::WouldBlock {
                self.socket.failed.store(true, Ordering::Release);
                self.complain(send_level(error), "send", error);
            }
        })
    }

    /// Opens the socket, or opens it anew.
    fn open(&self) -> io::Result<&OwnedFd> {
        let _making = self.socket.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fd) = self.socket.fd.get()
            && !self.socket.failed.load(Ordering::Acquire)
        {
            return Ok(fd);
        }
        let complain = |call| move |error: &io::Error| self.complain(Level::Alert, call, error);
        let fd = self.socket().inspect_err(complain("socket"))?;
        self.connect(&fd).inspect_err(complain("connect"))?;
        let fd = match self.socket.fd.get() {
            None => self.socket.fd.get_or_init(|| fd),
            Some(known) => {
                replace(known, &fd)?;
                known
            }
        };
        self.socket.failed.store(false, Ordering::Release);
        Ok(fd)
    }

    fn socket(&self) -> io::Result<OwnedFd> {
        let family = match self.server {
            SyslogServer::Udp(SocketAddr::V4(_)) => AddressFamily::INET,
            SyslogServer::Udp(SocketAddr::V6(_)) => AddressFamily::INET6,
            SyslogServer::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(socket_with(family, SocketType::DGRAM, flags, None)?)
    }

    fn connect(&self, fd: &OwnedFd) -> io::Result<()> {
        match &self.server {
            SyslogServer::Udp(address) => connect(fd, address)?,
            SyslogServer::Unix(address) => connect(fd, address)?,
        }
        Ok(())
    }

    fn complain(&self, level: Level, call: &str, error: &io::Error) {
        let Some(log) = self.complaints.get().and_then(Weak::upgrade) else { return };
        log.write(level, None, |line| {
            line.put(call).put("() failed").error(error);
            line.put(" while logging to syslog, server: ").put(&self.name);
        });
    }
}

/// Gives the number of one descriptor to another.
fn replace(known: &OwnedFd, new: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: both descriptors are open, and the number stays the owner's.
    let failed = unsafe { libc::dup3(new.as_raw_fd(), known.as_raw_fd(), libc::O_CLOEXEC) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A server that is not there is less of a surprise than other faults.
fn send_level(error: &io::Error) -> Level {
    match error.raw_os_error() {
        Some(
            libc::ECONNRESET
            | libc::EPIPE
            | libc::ENOTCONN
            | libc::ETIMEDOUT
            | libc::ECONNREFUSED
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH,
        ) => Level::Error,
        _ => Level::Alert,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn receive(server: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let read = server.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[test]
    fn sends_lines_and_finds_a_server_that_came_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = || SyslogServer::Unix(SocketAddrUnix::new(&path).unwrap());
        let syslog = Syslog { nohostname: true, ..Syslog::new(address(), "unix:s".into()) };
        assert!(syslog.send(b"lost").is_err());
        let server = UnixDatagram::bind(&path).unwrap();
        syslog.send_line(Level::Error, b"one");
        let text = receive(&server);
        assert!(text.starts_with("<187>") && text.ends_with(" nginx: one"), "{text}");
        assert_eq!(text.len(), "<187>Jan 01 00:00:00 nginx: one".len());
        drop(server);
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.send(b"lost").is_err());
        let server = UnixDatagram::bind(&path).unwrap();
        syslog.send(b"two").unwrap();
        assert_eq!(receive(&server), "two");
    }
}
