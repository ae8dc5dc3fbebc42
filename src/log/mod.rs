//! nginx's error log: levels, lines to the byte, files that can be opened again under a running program.

mod clock;
pub mod console;
mod errno;
mod error_log;
mod file;
mod level;
mod line;
mod syslog;
pub mod trace;

pub use clock::{IsoTime, LocalTime, refresh_zone, time_iso8601, time_local};
pub use errno::describe;
pub use error_log::{ErrorLog, Sink, Target};
pub use file::{LogFile, Pending};
pub use level::{DebugMask, Level, Verbosity};
pub use line::{Line, MAX_LINE};
pub use syslog::{Syslog, SyslogServer, hostname};
