//! Temporary files for bodies that do not fit in memory: numbered, in folders that are spread over levels.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::log::Line;

/// Where temporary files stand: `client_body_temp_path`, `proxy_temp_path` and their kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TempPath {
    /// The folder.
    pub path: PathBuf,
    /// How many digits of a file's number name the folder at each level below; 0 ends the levels.
    pub levels: [u8; 3],
}

impl Deref for TempPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl TempPath {
    /// The path of the file of a number: `0000000123` below `3/12` for levels 1 and 2.
    fn file(&self, number: u32) -> PathBuf {
        self.hashed(&format!("{number:010}"))
    }

    /// The path of a file of this name, its last characters naming the folders of the levels.
    pub(crate) fn hashed(&self, name: &str) -> PathBuf {
        let mut path = self.path.clone();
        let mut end = name.len();
        for level in self.used_levels() {
            path.push(&name[end - level..end]);
            end -= level;
        }
        path.push(name);
        path
    }

    fn used_levels(&self) -> impl Iterator<Item = usize> {
        self.levels.iter().map(|level| usize::from(*level)).take_while(|level| *level > 0)
    }

    /// Makes the folders above a file, which [`Self::path`] itself is not one of.
    fn make_folders(&self, file: &Path) -> Result<(), TempFileError> {
        let mut folders: Vec<&Path> = file.ancestors().skip(1).take(self.used_levels().count()).collect();
        folders.reverse();
        for folder in folders {
            match rustix::fs::mkdir(folder, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(TempFileError::new("mkdir()", folder, errno)),
            }
        }
        Ok(())
    }
}

/// Folders for temporary files that modules want made at start, besides those of the core.
#[derive(Clone, Debug, Default)]
pub struct TempFolders(pub Vec<PathBuf>);

/// How long the name of a temporary file stands in its folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// It is taken away at once; the open file is all there is.
    #[default]
    Nameless,
    /// As long as the [`TempFile`] lives.
    WhileUsed,
    /// For ever.
    Kept,
}

/// An open temporary file.
#[derive(Debug)]
pub struct TempFile {
    /// The file.
    pub file: Rc<OwnedFd>,
    /// The name that it has, or had.
    pub path: PathBuf,
    /// Bytes in it.
    pub length: u64,
    lifetime: Lifetime,
}

/// Why there is no temporary file.
#[derive(Debug, thiserror::Error)]
#[error("{call} \"{path}\" failed", path = .path.display())]
pub struct TempFileError {
    call: &'static str,
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl TempFileError {
    fn new(call: &'static str, path: &Path, errno: Errno) -> Self {
        Self { call, path: path.to_path_buf(), error: errno.into() }
    }

    /// Says it in a line of the error log, with the system's error behind it.
    pub fn write(&self, line: &mut Line) {
        line.put(self).error(&self.error);
    }
}

/// Why a temporary file did not get its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenameError {
    /// The folder for it, or the copy in it, could not be made.
    #[error(transparent)]
    Folder(TempFileError),
    /// `rename` itself, or the copying, failed.
    #[error("rename() \"{}\" to \"{}\" failed", from.display(), to.display())]
    Rename {
        /// The name that it had.
        from: PathBuf,
        /// The name that it was to have.
        to: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl RenameError {
    /// Says it in a line of the error log, with the system's error behind it.
    pub(crate) fn write(&self, line: &mut Line) {
        match self {
            RenameError::Folder(error) => error.write(line),
            RenameError::Rename { error, .. } => {
                line.put(self).error(error);
            }
        }
    }
}

/// The number of the last file; all threads count together.
static LAST: AtomicU32 = AtomicU32::new(0);

/// After how many taken numbers another one is tried far away.
const JUMP: u32 = 123_456;

impl TempFile {
    /// Makes a new file that only we may read and write.
    ///
    /// # Errors
    /// Which call failed on which path, and why.
    pub fn create(place: &TempPath, lifetime: Lifetime) -> Result<Self, TempFileError> {
        Self::create_named(place, lifetime, |number| place.file(number))
    }

    /// Makes a new file beside the one that it is to become: its name with a dot and ten digits behind it.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(crate) fn create_beside(place: &TempPath, target: &Path) -> Result<Self, TempFileError> {
        Self::create_named(place, Lifetime::WhileUsed, |number| {
            let mut name = target.as_os_str().to_owned();
            name.push(format!(".{number:010}"));
            name.into()
        })
    }

    fn create_named(
        place: &TempPath,
        lifetime: Lifetime,
        name: impl Fn(u32) -> PathBuf,
    ) -> Result<Self, TempFileError> {
        let mut number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        loop {
            let path = name(number);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok(Self::opened(file, path, lifetime)),
                Err(Errno::EXIST) => number = LAST.fetch_add(JUMP, Ordering::Relaxed).wrapping_add(JUMP),
                Err(Errno::NOENT) if place.levels[0] > 0 => place.make_folders(&path)?,
                Err(errno) => return Err(TempFileError::new("open()", &path, errno)),
            }
        }
    }

    fn opened(file: OwnedFd, path: PathBuf, lifetime: Lifetime) -> Self {
        if lifetime == Lifetime::Nameless {
            // A name that stays behind does no harm but for the space.
            let _ = rustix::fs::unlink(&path);
        }
        Self { file: Rc::new(file), path, length: 0, lifetime }
    }

    /// Gives the file another name for ever, in place of what had it; only where that is on another file system it
    /// is copied. Folders are made where they are missing.
    ///
    /// # Errors
    /// Which call failed, and why; the file is gone then.
    pub(crate) fn rename(&mut self, place: &TempPath, target: &Path) -> Result<(), RenameError> {
        let mut renamed = rustix::fs::rename(&self.path, target);
        if renamed == Err(Errno::NOENT) {
            make_all_folders(target).map_err(|error| self.not_renamed(target, error))?;
            renamed = rustix::fs::rename(&self.path, target);
        }
        if renamed == Err(Errno::XDEV) {
            return self.move_over(place, target);
        }
        renamed.map_err(|errno| self.not_renamed(target, errno.into()))?;
        self.lifetime = Lifetime::Kept;
        self.path = target.to_path_buf();
        Ok(())
    }

    fn move_over(&mut self, place: &TempPath, target: &Path) -> Result<(), RenameError> {
        let mut copy = Self::create_beside(place, target).map_err(RenameError::Folder)?;
        let copied = copy.copy_from(self).map_err(|error| self.not_renamed(target, error));
        copied?;
        copy.rename(place, target)?;
        *self = copy;
        Ok(())
    }

    fn copy_from(&mut self, other: &Self) -> io::Result<()> {
        const PIECE: u64 = 64 << 10;
        while self.length < other.length {
            let piece = super::read_range(&*other.file, self.length, PIECE.min(other.length - self.length) as usize)?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.append(&piece)?;
        }
        Ok(())
    }

    fn not_renamed(&self, target: &Path, error: io::Error) -> RenameError {
        RenameError::Rename { from: self.path.clone(), to: target.to_path_buf(), error }
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// Why the bytes could not be written.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = rustix::io::pwrite(&*self.file, bytes, self.length)?;
            self.length += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

/// Makes the folders above a file, those above the levels too: somebody may have emptied the disk by hand.
fn make_all_folders(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::WhileUsed {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

impl fmt::Display for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_names_over_levels() {
        let file = |levels| TempPath { path: "/t".into(), levels }.file(1234).display().to_string();
        assert_eq!(file([0, 0, 0]), "/t/0000001234");
        assert_eq!(file([1, 2, 0]), "/t/4/23/0000001234");
        assert_eq!(file([2, 1, 2]), "/t/34/2/01/0000001234");
    }

    #[test]
    fn makes_levels_and_forgets_names() {
        let dir = tempfile::tempdir().unwrap();
        let place = TempPath { path: dir.path().into(), levels: [1, 2, 0] };
        let mut nameless = TempFile::create(&place, Lifetime::Nameless).unwrap();
        nameless.append(b"some bytes").unwrap();
        assert!(!nameless.path.exists() && nameless.path.parent().unwrap().is_dir());
        assert_eq!(nameless.length, 10);
        let named = TempFile::create(&place, Lifetime::WhileUsed).unwrap();
        let path = named.path.clone();
        assert!(path.exists());
        drop(named);
        assert!(!path.exists());
    }

    #[test]
    fn says_which_call_failed() {
        let place = TempPath { path: "/nowhere/at/all".into(), levels: [0; 3] };
        let error = TempFile::create(&place, Lifetime::Kept).unwrap_err();
        assert!(error.to_string().starts_with("open() \"/nowhere/at/all/0"), "{error}");
    }
}
