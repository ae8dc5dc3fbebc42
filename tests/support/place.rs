//! The folder that a case runs in, and the words that stand for it and for its ports in the case's files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::ports::Ports;

/// Stands for the folder in cases and snapshots; as long as a real one, so that lengths agree.
pub const PREFIX: &str = "/tmp/rnginx-prefix";

/// 1 January 2024: what every file of a case was last modified.
pub const MTIME: u64 = 1_704_067_200;

pub struct Place {
    folder: TempDir,
    pub ports: Ports,
}

impl Place {
    /// An empty folder with `html/` and `logs/`, and ports for all that `texts` name.
    pub fn new(texts: &[&str]) -> io::Result<Place> {
        let folder = tempfile::Builder::new().prefix("rnginx-").tempdir_in("/tmp")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(folder.path().join("html"))?;
        fs::create_dir(folder.path().join("logs"))?;
        Ok(Place { folder, ports: Ports::for_texts(texts) })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path of the case; one that starts with `/` must lie in the folder.
    pub fn join(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Text of the case with the real folder and ports.
    pub fn apply(&self, text: &str) -> String {
        self.ports.apply(text).replace(PREFIX, &self.folder.path().to_string_lossy())
    }

    /// Text of a run with the case's own folder and ports again.
    pub fn undo(&self, text: &str) -> String {
        let text = text.replace(&*self.folder.path().to_string_lossy(), PREFIX);
        self.ports.undo(&text)
    }

    /// Makes a folder, last modified when all files were.
    ///
    /// # Errors
    /// As the system says.
    pub fn make_folder(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.join(path))?;
        self.set_time(path)
    }

    /// Makes a symbolic link, last modified when all files were.
    ///
    /// # Errors
    /// As the system says.
    pub fn link(&self, link: &str, target: &str) -> io::Result<()> {
        std::os::unix::fs::symlink(target, self.join(link))?;
        self.set_time(link)
    }

    fn set_time(&self, path: &str) -> io::Result<()> {
        let time = rustix::fs::Timespec { tv_sec: MTIME as i64, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::utimensat(rustix::fs::CWD, self.join(path), &times, flags)?)
    }

    /// Writes a file with its folders and a fixed time.
    pub fn write(&self, path: &str, content: &[u8], mtime: Option<u64>, mode: Option<u32>) -> io::Result<()> {
        let path = self.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime.unwrap_or(MTIME));
        fs::File::options().write(true).open(&path)?.set_modified(time)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode.unwrap_or(0o644)))
    }
}
