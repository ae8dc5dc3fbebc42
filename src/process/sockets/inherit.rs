//! Sockets that another nginx opened and handed on: <https://nginx.org/en/docs/control.html#upgrade>.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use rustix::io::FdFlags;
use rustix::net::{SocketAddrAny, SocketAddrUnix};

use super::{Listening, same_address};
use crate::http::{ListenAddress, ListenSpec};
use crate::log::{ErrorLog, Level};

/// The sockets that another nginx handed on in the variable `NGINX`: `3;4;`.
pub fn inherit(variable: &str, log: &ErrorLog) -> Vec<Listening> {
    log.say(Level::Notice, format_args!("using inherited sockets from \"{variable}\""));
    let mut sockets: Vec<Listening> = Vec::new();
    let mut rest = variable;
    while let Some(end) = rest.find([':', ';']) {
        let Some(number) = rest[..end].parse().ok().filter(|number| *number > 2) else {
            let what = "environment variable, ignoring the rest of the variable";
            log.say(Level::Emerg, format_args!("invalid socket number \"{rest}\" in NGINX {what}"));
            return sockets;
        };
        rest = &rest[end + 1..];
        if sockets.iter().flat_map(|socket| &socket.fds).any(|fd| fd.as_raw_fd() == number) {
            continue;
        }
        match adopt(number) {
            Ok((spec, fd)) => add(&mut sockets, spec, fd),
            Err(error) => {
                let what = format_args!("getsockname() of the inherited socket #{number} failed");
                log.say_error(Level::Crit, &error, what);
            }
        }
    }
    if !rest.is_empty() {
        log.say(Level::Emerg, format_args!("invalid socket number \"{rest}\" in NGINX environment variable, ignoring"));
    }
    sockets
}

fn add(sockets: &mut Vec<Listening>, spec: ListenSpec, fd: Arc<OwnedFd>) {
    match sockets.iter_mut().find(|listening| same_address(&listening.spec.address, &spec.address)) {
        Some(listening) => listening.fds.push(fd),
        None => sockets.push(Listening { spec, fds: vec![fd], inherited: true }),
    }
}

/// Takes a descriptor for our own that a parent left open for us, when it is a listening socket.
fn adopt(number: i32) -> io::Result<(ListenSpec, Arc<OwnedFd>)> {
    // SAFETY: the number is only looked at here, by calls that fail where it is not open or not a socket.
    let named = unsafe { BorrowedFd::borrow_raw(number) };
    let name = rustix::net::getsockname(named)?;
    if !rustix::net::sockopt::socket_acceptconn(named)? {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: it is open, and a listening socket; we have opened none ourselves yet, so it was left to us, and our
    // caller takes each number once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    let (address, text) = address_of(&name)?;
    let deferred = defers(&fd);
    let spec = ListenSpec {
        address,
        text,
        backlog: 511,
        rcvbuf: None,
        sndbuf: None,
        reuseport: rustix::net::sockopt::socket_reuseport(&fd).unwrap_or(false),
        deferred,
        ipv6only: false,
        fastopen: None,
        keepalive: None,
        ssl: false,
        http2: false,
        proxy_protocol: false,
    };
    Ok((spec, Arc::new(fd)))
}

fn defers(fd: &OwnedFd) -> bool {
    let mut value: libc::c_int = 0;
    let mut size = libc::socklen_t::try_from(size_of_val(&value)).expect("a number's size is small");
    // SAFETY: both pointers are to numbers of ours, and `size` is that of `value`.
    let got = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    got == 0 && value != 0
}

fn address_of(address: &SocketAddrAny) -> io::Result<(ListenAddress, String)> {
    if let Ok(address) = std::net::SocketAddr::try_from(address.clone()) {
        return Ok((ListenAddress::Tcp(address), address.to_string()));
    }
    let unix = SocketAddrUnix::try_from(address.clone())?;
    let path = crate::paths::from_bytes(unix.path_bytes().unwrap_or_default());
    let text = format!("unix:{}", path.display());
    Ok((ListenAddress::Unix(path), text))
}
