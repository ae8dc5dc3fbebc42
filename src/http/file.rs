//! Files as handlers open them: directly on the thread, with nginx's words for what went wrong.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::date;

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, pipe or socket.
    Other,
}

/// What the system says of a file. Two equal values that are [settled](Self::is_settled) mean the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// When its content changed, seconds since 1970.
    pub mtime: i64,
    /// When its content or its permissions changed, in seconds since 1970 and nanoseconds.
    ctime: (i64, i64),
    mtime_nanoseconds: i64,
    device: u64,
    inode: u64,
}

impl FileStat {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ by platform")]
    /// From what the system says.
    pub fn new(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        };
        Self {
            kind,
            size: stat.st_size.max(0) as u64,
            mtime: stat.st_mtime as i64,
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            mtime_nanoseconds: stat.st_mtime_nsec as i64,
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }

    /// Whether a later change will show. A file that changed just now might change again within the same tick
    /// of the file system's clock.
    pub fn is_settled(&self) -> bool {
        const TICKS: i64 = 2;
        date::now() - self.ctime.0 >= TICKS
    }

    /// Whether both are the same file, whatever was written to it meanwhile.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the path names a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// A file that was opened.
#[derive(Clone, Debug)]
pub struct OpenedFile {
    /// The open file; a directory may be known without being open.
    pub file: Option<Rc<OwnedFd>>,
    /// What the system says of it.
    pub stat: FileStat,
}

/// A call that failed, and its name in nginx's log (`open()`, `stat()`).
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {error}")]
pub struct FileFault {
    /// The call.
    pub call: &'static str,
    /// The system's error.
    pub error: io::Error,
}

impl FileFault {
    /// A call that failed for this reason.
    pub fn new(call: &'static str, errno: rustix::io::Errno) -> Self {
        Self { call, error: errno.into() }
    }

    /// The system's error number.
    pub fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }

    /// Whether nothing is there: `ENOENT`, `ENOTDIR` or `ENAMETOOLONG`.
    pub fn is_absence(&self) -> bool {
        matches!(self.errno(), libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG)
    }

    /// Whether it is there and not for us: `EACCES`, or a symbolic link that must not be followed.
    pub fn is_refusal(&self) -> bool {
        matches!(self.errno(), libc::EACCES | libc::EMLINK | libc::ELOOP)
    }
}

/// Opens a file for reading; a pipe without a writer does not make it wait.
///
/// # Errors
/// The call that failed.
pub fn open_file(path: &[u8]) -> Result<(OwnedFd, FileStat), FileFault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| FileFault::new("open()", errno))?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| FileFault::new("fstat()", errno))?;
    Ok((file, FileStat::new(&stat)))
}

/// Looks at a file without opening it.
///
/// # Errors
/// The call that failed.
pub fn stat_file(path: &[u8]) -> Result<FileStat, FileFault> {
    let stat = rustix::fs::stat(path).map_err(|errno| FileFault::new("stat()", errno))?;
    Ok(FileStat::new(&stat))
}

/// Reads `length` bytes at an offset; fewer where the file ends before.
///
/// # Errors
/// The system's error.
pub fn read_range(file: impl AsFd, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn opens_and_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"hello").unwrap();
        let path = path.as_os_str().as_bytes();
        let (file, stat) = open_file(path).unwrap();
        assert_eq!((stat.kind, stat.size), (FileKind::File, 5));
        assert_eq!(stat_file(path).unwrap(), stat);
        assert_eq!(read_range(&file, 1, 3).unwrap(), b"ell");
        assert_eq!(read_range(&file, 3, 30).unwrap(), b"lo");
    }

    #[test]
    fn does_not_trust_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut stat = stat_file(folder.path().as_os_str().as_bytes()).unwrap();
        assert!(!stat.is_settled());
        stat.ctime.0 -= 10;
        assert!(stat.is_settled());
    }

    #[test]
    fn tells_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str().as_bytes();
        assert!(stat_file(path).unwrap().is_dir());
        let missing = open_file(&[path, b"/x"].concat()).unwrap_err();
        assert_eq!((missing.call, missing.errno()), ("open()", libc::ENOENT));
        assert!(missing.is_absence() && !missing.is_refusal());
        let missing = stat_file(&[path, b"/x"].concat()).unwrap_err();
        assert_eq!(missing.call, "stat()");
    }
}
