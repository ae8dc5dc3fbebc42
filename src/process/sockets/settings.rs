//! Options that a listening socket is given whenever a configuration comes into force.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use crate::http::ListenSpec;
use crate::log::{ErrorLog, Level};

/// A socket option with a number.
pub(super) struct Setting {
    level: libc::c_int,
    name: libc::c_int,
    text: &'static str,
    value: i32,
}

impl Setting {
    pub(super) fn set(&self, fd: &OwnedFd, address: &str, log: &ErrorLog) {
        let size = libc::socklen_t::try_from(size_of_val(&self.value)).expect("a number's size is small");
        // SAFETY: the value is a number that lives until the call returns, of the size given.
        let set =
            unsafe { libc::setsockopt(fd.as_raw_fd(), self.level, self.name, (&raw const self.value).cast(), size) };
        if set == -1 {
            let what = format_args!("setsockopt({}, {}) {address} failed, ignored", self.text, self.value);
            log.say_error(Level::Alert, &io::Error::last_os_error(), what);
        }
    }
}

/// What a socket is given; `before` is what it was configured as until now.
pub(super) fn of(spec: &ListenSpec, before: Option<&ListenSpec>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |level, name, text, value: Option<i32>| {
        settings.extend(value.map(|value| Setting { level, name, text, value }));
    };
    let number = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
    add(libc::SOL_SOCKET, libc::SO_RCVBUF, "SO_RCVBUF", spec.rcvbuf.map(number));
    add(libc::SOL_SOCKET, libc::SO_SNDBUF, "SO_SNDBUF", spec.sndbuf.map(number));
    if let Some(keepalive) = spec.keepalive {
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        add(libc::SOL_SOCKET, libc::SO_KEEPALIVE, "SO_KEEPALIVE", Some(i32::from(keepalive.on)));
        add(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, "TCP_KEEPIDLE", keepalive.idle.map(seconds));
        add(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, "TCP_KEEPINTVL", keepalive.interval.map(seconds));
        let count = keepalive.count.map(|count| i32::try_from(count).unwrap_or(i32::MAX));
        add(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, "TCP_KEEPCNT", count);
    }
    add(libc::IPPROTO_TCP, libc::TCP_FASTOPEN, "TCP_FASTOPEN", spec.fastopen);
    if spec.deferred != before.is_some_and(|before| before.deferred) {
        // One second: there is no way to know how long a connection has waited already.
        add(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", Some(i32::from(spec.deferred)));
    }
    settings
}
