//! Where configuration files are read from: the disk, or memory.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Reads files and folders. A test or an embedder brings its own.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a folder, without `.` and `..`, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Whether there is anything at a path, be it a link to nothing.
    fn exists(&self, path: &Path) -> bool;
}

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = fs::File::open(path)?;
        let size = file.metadata().map_or(0, |about| about.len());
        whole(file, size)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }
}

/// All of a file that said it has so many bytes. One that is written at this moment may have more, and is then read to its end.
fn whole(mut file: impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.read_to_end(&mut text)?;
    if (text.len() as u64) < size {
        let what = format!("pread() returned only {} bytes instead of {size}", text.len());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
    }
    Ok(text)
}

/// Files in memory, by their whole path.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from_raw_os_error(libc::ENOENT);
        self.0.get(path).cloned().ok_or_else(missing)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(folder).ok());
        let mut names: Vec<_> = inside.filter_map(|path| path.iter().next()).map(OsStr::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.keys().any(|file| file.starts_with(path))
    }
}

/// A path of bytes.
pub(super) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// nginx's words for why a call on a file failed: `open() "F" failed (2: No such file or directory)`.
pub(super) fn failure(call: &str, path: &[u8], error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // It has become shorter while it was read.
        return error.to_string();
    }
    let path = String::from_utf8_lossy(path);
    let number = error.raw_os_error().unwrap_or(libc::EIO);
    let reason = io::Error::from_raw_os_error(number).to_string();
    let reason = reason.rsplit_once(" (os error").map_or(reason.as_str(), |(reason, _)| reason);
    format!("{call}() \"{path}\" failed ({number}: {reason})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_folders() {
        let files = Memory::default().with("/a/b.conf", "x").with("/a/c/d", "y").with("/a/c/e", "z");
        assert_eq!(files.list(Path::new("/a")).expect("names"), ["b.conf", "c"]);
        assert!(files.exists(Path::new("/a/c")) && !files.exists(Path::new("/a/x")));
        assert_eq!(files.read(Path::new("/a/c/e")).expect("a file"), b"z");
    }

    #[test]
    fn failures_are_nginx_sentences() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(failure("open", b"/x", &error), "open() \"/x\" failed (2: No such file or directory)");
        let error = Disk.read(Path::new("/")).expect_err("a folder");
        assert_eq!(failure("pread", b"/", &error), "pread() \"/\" failed (21: Is a directory)");
    }

    #[test]
    fn a_file_that_has_become_shorter_is_refused() {
        let cut = whole(&b"user a;"[..], 9).expect_err("two bytes are missing");
        assert_eq!(failure("open", b"/n.conf", &cut), "pread() returned only 7 bytes instead of 9");
        // Files that are made while they are read say nothing of their size.
        assert_eq!(whole(&b"user a;"[..], 0).expect("all of it"), b"user a;");
    }
}
