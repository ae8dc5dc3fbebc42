//! What a compilation needs of the machine, so that the worker can compile from what the master hands it.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::http::User;
use crate::log::LogFile;

/// Opens things on the compiler's behalf.
pub trait Resources {
    /// A log, opened for appending; the same path gives the same log.
    ///
    /// # Errors
    /// Why it could not be opened.
    fn log_file(&mut self, path: &Path) -> io::Result<Arc<LogFile>>;

    /// The contents of a file that belongs to the configuration without being written in its language.
    ///
    /// # Errors
    /// Why it could not be read.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;

    /// The user of a name.
    ///
    /// # Errors
    /// Why the user database could not be asked; `None` where it has no such user or group.
    fn user(&mut self, user: &str, group: Option<&str>) -> io::Result<Option<User>>;

    /// All addresses of a host; `None` where it has none.
    fn host(&mut self, name: &[u8]) -> Option<Vec<IpAddr>>;

    /// Whether the program that opens ports is root; the worker that compiles may not be.
    fn superuser(&self) -> bool;
}
