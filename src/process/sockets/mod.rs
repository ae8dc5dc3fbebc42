//! Listening sockets of the master: opened as nginx opens them, kept over a reload, taken over from another nginx.

mod inherit;
mod settings;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr, set_socket_reuseport};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType};

pub use inherit::inherit;

use crate::http::{ListenAddress, ListenSpec};
use crate::log::{ErrorLog, Level};
use crate::server::ListenSocket;

/// How often nginx tries to bind a port that others hold, and how long it waits in between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// An address and the sockets open on it: one, or with `reuseport` one a thread.
#[derive(Clone, Debug)]
pub struct Listening {
    /// As configured.
    pub spec: ListenSpec,
    /// The sockets.
    pub fds: Vec<Arc<OwnedFd>>,
    /// Whether another nginx opened them, and has them too.
    pub inherited: bool,
}

/// Why sockets could not be opened; the log has the words.
#[derive(Debug, thiserror::Error)]
#[error("could not bind")]
pub struct Unbound;

/// What opening depends on beside the addresses.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Sockets for an address with `reuseport`.
    pub threads: usize,
    /// `-t`: ports that others hold are fine, and socket files are removed again.
    pub testing: bool,
    /// Where complaints go.
    pub log: &'a ErrorLog,
}

enum Failure {
    InUse,
    Fatal,
}

/// Opens what the specs ask for, and keeps open sockets of the same addresses. What was not open before is closed again
/// where something fails.
pub fn open(specs: &[ListenSpec], old: &[Listening], plan: Plan<'_>) -> Result<Vec<Listening>, Unbound> {
    let mut sockets: Vec<_> = specs.iter().map(|spec| kept(spec, old, plan)).collect();
    for _ in 0..TRIES {
        let mut in_use = false;
        for listening in &mut sockets {
            match fill(listening, plan) {
                Ok(()) => {}
                Err(Failure::InUse) => in_use = true,
                Err(Failure::Fatal) => return Err(Unbound),
            }
        }
        if !in_use {
            return Ok(sockets);
        }
        plan.log.say(Level::Notice, "try again to bind() after 500ms");
        sleep(PAUSE);
    }
    plan.log.say(Level::Emerg, "still could not bind()");
    Err(Unbound)
}

/// What is open already of an address.
fn kept(spec: &ListenSpec, old: &[Listening], plan: Plan<'_>) -> Listening {
    let before = old.iter().find(|old| same_address(&old.spec.address, &spec.address));
    let mut fds = before.map(|old| old.fds.clone()).unwrap_or_default();
    fds.truncate(wanted(spec, plan));
    if spec.reuseport && !plan.testing && before.is_some_and(|old| !old.spec.reuseport) {
        // A socket without the option would keep the port from the ones that will stand beside it.
        for fd in &fds {
            if let Err(errno) = set_socket_reuseport(fd, true) {
                let what = format_args!("setsockopt(SO_REUSEPORT) {} failed, ignored", spec.text);
                plan.log.say_error(Level::Alert, &errno.into(), what);
            }
        }
    }
    Listening { spec: spec.clone(), fds, inherited: before.is_some_and(|old| old.inherited) }
}

fn wanted(spec: &ListenSpec, plan: Plan<'_>) -> usize {
    if spec.reuseport && !plan.testing { plan.threads.max(1) } else { 1 }
}

fn fill(listening: &mut Listening, plan: Plan<'_>) -> Result<(), Failure> {
    while listening.fds.len() < wanted(&listening.spec, plan) {
        match open_one(&listening.spec, plan) {
            // With `-t` nobody misses the socket.
            Err(Failure::InUse) if plan.testing => return Ok(()),
            fd => listening.fds.push(Arc::new(fd?)),
        }
    }
    Ok(())
}

fn open_one(spec: &ListenSpec, plan: Plan<'_>) -> Result<OwnedFd, Failure> {
    let text = &spec.text;
    let fatal = |what: String| move |errno: Errno| failed(plan, &what, errno, false);
    let in_use = |what: String| move |errno: Errno| failed(plan, &what, errno, errno == Errno::ADDRINUSE);
    let address = socket_address(&spec.address).map_err(fatal(format!("bind() to {text} failed")))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(address.address_family(), SocketType::STREAM, flags, None)
        .map_err(fatal(format!("socket() {text} failed")))?;
    set_socket_reuseaddr(&fd, true).map_err(fatal(format!("setsockopt(SO_REUSEADDR) {text} failed")))?;
    if spec.reuseport && !plan.testing {
        set_socket_reuseport(&fd, true).map_err(fatal(format!("setsockopt(SO_REUSEPORT) {text} failed")))?;
    }
    if address.address_family() == AddressFamily::INET6
        && let Err(errno) = set_ipv6_v6only(&fd, spec.ipv6only)
    {
        failed(plan, &format!("setsockopt(IPV6_V6ONLY) {text} failed, ignored"), errno, false);
    }
    rustix::net::bind(&fd, &address).map_err(in_use(format!("bind() to {text} failed")))?;
    if let ListenAddress::Unix(path) = &spec.address {
        open_to_all(path, plan);
    }
    let backlog = spec.backlog;
    rustix::net::listen(&fd, backlog).map_err(in_use(format!("listen() to {text}, backlog {backlog} failed")))?;
    Ok(fd)
}

/// Complains, but for a port in use under `-t`.
fn failed(plan: Plan<'_>, what: &str, errno: Errno, in_use: bool) -> Failure {
    if !(in_use && plan.testing) {
        plan.log.say_error(Level::Emerg, &errno.into(), what);
    }
    if in_use { Failure::InUse } else { Failure::Fatal }
}

/// Lets everybody connect to a UNIX socket, as nginx does; `-t` removes it again.
fn open_to_all(path: &Path, plan: Plan<'_>) {
    if let Err(errno) = rustix::fs::chmod(path, Mode::from_raw_mode(0o666)) {
        plan.log.say_error(Level::Emerg, &errno.into(), format_args!("chmod() \"{}\" failed", path.display()));
    }
    if plan.testing {
        delete(path, plan.log);
    }
}

fn delete(path: &Path, log: &ErrorLog) {
    if let Err(error) = std::fs::remove_file(path) {
        log.say_error(Level::Emerg, &error, format_args!("unlink() {} failed", path.display()));
    }
}

/// Sets what may change from one configuration to the next; what fails is logged and ignored.
pub fn configure(sockets: &[Listening], old: &[Listening], log: &ErrorLog) {
    for listening in sockets {
        let before = old.iter().find(|old| same_address(&old.spec.address, &listening.spec.address));
        for fd in &listening.fds {
            for setting in settings::of(&listening.spec, before.map(|old| &old.spec)) {
                setting.set(fd, &listening.spec.text, log);
            }
            let backlog = listening.spec.backlog;
            if before.is_some_and(|old| old.spec.backlog != backlog)
                && let Err(errno) = rustix::net::listen(fd, backlog)
            {
                let what = format_args!("listen() to {}, backlog {backlog} failed, ignored", listening.spec.text);
                log.say_error(Level::Alert, &errno.into(), what);
            }
        }
    }
}

/// Ends what the new configuration does not listen on any more: UNIX sockets leave files behind.
pub fn remove_unused(old: &[Listening], new: &[Listening], log: &ErrorLog) {
    let used = |address| new.iter().any(|new| same_address(&new.spec.address, address));
    for listening in old.iter().filter(|old| !used(&old.spec.address)) {
        if let ListenAddress::Unix(path) = &listening.spec.address {
            log.say(Level::Warn, format_args!("deleting socket {}", path.display()));
            delete(path, log);
        }
    }
}

/// Closes all and removes the files of UNIX sockets, but for those that `keep_files` says another nginx uses.
pub fn close(sockets: Vec<Listening>, keep_files: impl Fn(&Listening) -> bool, log: &ErrorLog) {
    for listening in sockets {
        if let ListenAddress::Unix(path) = &listening.spec.address
            && !keep_files(&listening)
        {
            delete(path, log);
        }
    }
}

fn socket_address(address: &ListenAddress) -> Result<SocketAddrAny, Errno> {
    Ok(match address {
        ListenAddress::Tcp(address) => SocketAddrAny::from(*address),
        ListenAddress::Unix(path) => SocketAddrAny::from(SocketAddrUnix::new(path)?),
    })
}

/// Sockets for the threads that serve them: the same descriptors where nobody else in this process has them.
pub fn listen_sockets(sockets: Vec<Listening>) -> io::Result<Vec<ListenSocket>> {
    let own = |fd: Arc<OwnedFd>| Arc::try_unwrap(fd).or_else(|shared| shared.try_clone());
    let of = |socket: Listening| {
        let fds = socket.fds.into_iter().map(own).collect::<io::Result<_>>()?;
        Ok(ListenSocket { spec: socket.spec, fds })
    };
    sockets.into_iter().map(of).collect()
}

/// nginx compares addresses and ports, and no more.
fn same_address(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => one.ip() == other.ip() && one.port() == other.port(),
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogFile, Sink};
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::{AsRawFd, IntoRawFd};

    fn tcp(address: SocketAddr) -> ListenSpec {
        ListenSpec {
            address: ListenAddress::Tcp(address),
            text: address.to_string(),
            backlog: 511,
            rcvbuf: None,
            sndbuf: None,
            reuseport: false,
            deferred: false,
            ipv6only: true,
            fastopen: None,
            keepalive: None,
            ssl: false,
            http2: false,
            proxy_protocol: false,
        }
    }

    fn plan(log: &ErrorLog) -> Plan<'_> {
        Plan { threads: 3, testing: false, log }
    }

    fn any() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[test]
    fn keeps_sockets_of_the_same_address() {
        let log = ErrorLog::none();
        let (one, two) = (tcp(any()), tcp(any()));
        let first = open(std::slice::from_ref(&one), &[], plan(&log)).unwrap();
        let second = open(&[two, one], &first, plan(&log)).unwrap();
        assert!(Arc::ptr_eq(&second[1].fds[0], &first[0].fds[0]));
        assert_eq!(second[0].fds.len(), 1);
        configure(&second, &first, &log);
    }

    #[test]
    fn reuseport_has_a_socket_for_each_thread() {
        let log = ErrorLog::none();
        let plain = tcp(any());
        let first = open(std::slice::from_ref(&plain), &[], plan(&log)).unwrap();
        let shared = ListenSpec { reuseport: true, ..plain };
        let second = open(&[shared], &first, plan(&log)).unwrap();
        assert_eq!(second[0].fds.len(), 3);
    }

    #[test]
    fn a_port_that_others_hold_is_an_error_but_for_a_test() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = ErrorLog::to(Sink::File(Arc::new(LogFile::open(&path).unwrap())), Level::Notice);
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let spec = tcp(held.local_addr().unwrap());
        let testing = Plan { testing: true, ..plan(&log) };
        assert!(open(std::slice::from_ref(&spec), &[], testing).is_ok());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert!(open(std::slice::from_ref(&spec), &[], plan(&log)).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        let messages: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap().1).collect();
        let in_use = format!("bind() to {} failed (98: Address already in use)", spec.text);
        let mut expected = [in_use.as_str(), "try again to bind() after 500ms"].repeat(TRIES);
        expected.push("still could not bind()");
        assert_eq!(messages, expected);
    }

    #[test]
    fn a_unix_socket_is_open_to_all_and_its_file_goes() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = ListenAddress::Unix(path.clone());
        let spec = ListenSpec { address, text: format!("unix:{}", path.display()), ..tcp(any()) };
        let log = ErrorLog::none();
        let testing = Plan { testing: true, ..plan(&log) };
        open(std::slice::from_ref(&spec), &[], testing).unwrap();
        assert!(!path.exists());
        let sockets = open(&[spec], &[], plan(&log)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
        remove_unused(&sockets, &sockets, &log);
        assert!(path.exists());
        close(sockets, |_| false, &log);
        assert!(!path.exists());
    }

    #[test]
    fn takes_over_what_another_nginx_opened() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let number = listener.into_raw_fd();
        let log = ErrorLog::none();
        let inherited = inherit(&format!("{number};999;x"), &log);
        assert_eq!(inherited.len(), 1);
        assert!(inherited[0].inherited && inherited[0].spec.text == address.to_string());
        let sockets = open(&[tcp(address)], &inherited, plan(&log)).unwrap();
        assert_eq!(sockets[0].fds[0].as_raw_fd(), number);
    }
}
