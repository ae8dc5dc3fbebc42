//! A log file whose descriptor can be exchanged while others write to it: no lock stands on the write path.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

/// An open log. The number of its descriptor never changes once it has one: opening the file again puts the new one
/// under the old number, so a writer sees either file and never a closed one.
pub struct LogFile {
    path: PathBuf,
    fd: AtomicI32,
    pending: Mutex<Vec<Weak<dyn Pending>>>,
}

/// Lines that were gathered for a file and not written yet.
pub trait Pending: Send + Sync {
    /// Writes them.
    fn flush(&self);
}

const CLOSED: RawFd = -1;

impl LogFile {
    /// Opens a file to append to, made with mode 0644 (less the umask) where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Self::later(path);
        file.replace(Self::open_descriptor(path)?)?;
        Ok(file)
    }

    /// A file that is named now and opened later with [`Self::replace`]; until then what is written is dropped.
    pub fn later(path: &Path) -> Self {
        Self { path: path.to_owned(), fd: AtomicI32::new(CLOSED), pending: Mutex::default() }
    }

    /// The descriptor that [`Self::open`] takes, by itself: to be sent to another process.
    pub fn open_descriptor(path: &Path) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().append(true).create(true).mode(0o644).open(path)?.into())
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has a descriptor yet.
    pub fn is_open(&self) -> bool {
        self.fd.load(Ordering::Acquire) != CLOSED
    }

    /// The descriptor, to be sent to another process or duplicated; `None` before the file is opened.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self.fd.load(Ordering::Acquire) {
            CLOSED => None,
            // SAFETY: the descriptor stays open until `self` is dropped; `replace` keeps its number open throughout.
            fd => Some(unsafe { BorrowedFd::borrow_raw(fd) }),
        }
    }

    /// Writes a whole line with one call; a file that is not open takes nothing.
    pub fn write(&self, line: &[u8]) -> io::Result<usize> {
        match self.descriptor() {
            Some(fd) => Ok(rustix::io::write(fd, line)?),
            None => Ok(0),
        }
    }

    /// Has these lines written before the file is opened again.
    pub fn attach(&self, pending: Weak<dyn Pending>) {
        let mut all = self.pending();
        all.retain(|known| known.strong_count() > 0);
        all.push(pending);
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Weak<dyn Pending>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another open file in its place; writers on other threads go on without noticing.
    ///
    /// Only one thread may call this at a time, and it is the one that owns the process's control socket.
    pub fn replace(&self, new: OwnedFd) -> io::Result<()> {
        let pending: Vec<_> = self.pending().iter().filter_map(Weak::upgrade).collect();
        pending.iter().for_each(|lines| lines.flush());
        match self.fd.load(Ordering::Acquire) {
            CLOSED => self.fd.store(new.into_raw_fd(), Ordering::Release),
            // SAFETY: both numbers are open descriptors of this process, and the old one is ours to give a new file.
            old => match unsafe { libc::dup3(new.as_raw_fd(), old, libc::O_CLOEXEC) } {
                -1 => return Err(io::Error::last_os_error()),
                _ => drop(new),
            },
        }
        Ok(())
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        match *self.fd.get_mut() {
            CLOSED => {}
            // SAFETY: the number came from an `OwnedFd` that was given up, and nobody else closes it.
            fd => drop(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFile").field("path", &self.path).field("open", &self.is_open()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_and_makes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        LogFile::open(&path).unwrap().write(b"one\n").unwrap();
        LogFile::open(&path).unwrap().write(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn keeps_its_number_over_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log = LogFile::open(&path).unwrap();
        let number = log.descriptor().unwrap().as_raw_fd();
        log.write(b"one\n").unwrap();
        std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        log.replace(LogFile::open_descriptor(&path).unwrap()).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(log.descriptor().unwrap().as_raw_fd(), number);
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        assert_eq!(std::fs::read(dir.path().join("a.log.1")).unwrap(), b"one\n");
    }

    #[test]
    fn drops_lines_until_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log = LogFile::later(&path);
        assert_eq!(log.write(b"lost\n").unwrap(), 0);
        log.replace(LogFile::open_descriptor(&path).unwrap()).unwrap();
        log.write(b"kept\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"kept\n");
    }
}
