//! What can be read only once: the standard input, and pipes such as `<(envsubst < site.template)`.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::Failure;
use crate::load::{Disk, Files};

/// More than this is no configuration.
const LONGEST: u64 = 64 << 20;

/// The name of the standard input.
pub(super) const STDIN: &str = "-";

/// The disk, and one text that was read from elsewhere.
pub(super) struct Given {
    path: PathBuf,
    text: Option<Vec<u8>>,
}

impl Given {
    /// Reads what is behind a path, if that is possible once only.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let text = if path == Path::new(STDIN) {
            Some(read(io::stdin().lock()))
        } else if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
            Some(fs::File::open(path).and_then(read))
        } else {
            None
        };
        let text = text.transpose().map_err(|error| super::read::failure(path, error))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Whether there is no file that could be written.
    pub(super) fn is_stream(&self) -> bool {
        self.text.is_some()
    }
}

fn read(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    stream.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

impl Files for Given {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.text.as_ref().filter(|_| path == self.path) {
            Some(text) => Ok(text.clone()),
            None => Disk.read(path),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Disk.list(folder)
    }

    fn exists(&self, path: &Path) -> bool {
        self.is_stream() && path == self.path || Disk.exists(path)
    }
}
