//! How grave the failures of connections to peers are, as nginx's error log sees it.

use std::io;

use rustix::io::Errno;

use crate::log::Level;

/// How grave it is when `connect` fails at once.
pub(super) fn connect_level(errno: Errno) -> Level {
    match errno {
        Errno::CONNREFUSED
        | Errno::AGAIN
        | Errno::CONNRESET
        | Errno::NETDOWN
        | Errno::NETUNREACH
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH => Level::Error,
        _ => Level::Crit,
    }
}

/// How grave an error on a connection that stood, or was about to, is.
pub(super) fn level(error: &io::Error) -> Level {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        None
        | Some(
            Errno::CONNRESET
            | Errno::PIPE
            | Errno::NOTCONN
            | Errno::TIMEDOUT
            | Errno::CONNREFUSED
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH,
        ) => Level::Error,
        _ => Level::Alert,
    }
}
