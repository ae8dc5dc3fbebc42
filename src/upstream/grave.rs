//! How grave the failures of connections to peers are, as nginx's error log sees it.

use std::io;

use rustix::io::Errno;

use crate::log::{Level, Line};
use crate::tls::Reason;

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
    if let Some(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)) = tls_error(error) {
        // nginx has never heard of it.
        return Level::Crit;
    }
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

/// What is wrong with what came over an encrypted connection.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Adds which call failed, and why; of what is wrong with encryption nginx says that in OpenSSL's words.
pub(super) fn put_failure(line: &mut Line, call: &str, error: &io::Error) {
    match tls_error(error) {
        Some(inner) => line.put("SSL_read() failed (SSL: ").put(Reason(inner)).put(')'),
        None => line.put(call).put(" failed").error(error),
    };
}
