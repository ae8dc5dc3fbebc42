//! What a directory holds, for `autoindex` and `random_index`.

use std::ffi::OsStr;
use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

use crate::http::{Flow, Request};
use crate::log::Level;

/// One thing in a directory.
pub(super) struct Entry {
    /// Its name.
    pub(super) name: Vec<u8>,
    /// What it is; links are followed, unless they lead nowhere.
    pub(super) kind: FileType,
    /// Bytes.
    pub(super) size: u64,
    /// When it changed, seconds since 1970.
    pub(super) mtime: i64,
}

/// Everything in a directory but what begins with a dot, in no order.
///
/// # Errors
/// What to answer; the log knows why.
pub(super) fn list(r: &Request, folder: &[u8]) -> Result<Vec<Entry>, Flow> {
    let mut entries = Vec::new();
    for found in std::fs::read_dir(OsStr::from_bytes(folder)).map_err(|error| refuse(r, folder, &error))? {
        let name = found.map_err(|error| fail(r, "readdir()", folder, &error))?.file_name().into_vec();
        if name.starts_with(b".") {
            continue;
        }
        let path = [folder, b"/", &name].concat();
        let Some(metadata) = look_at(r, &path)? else { continue };
        let (kind, size, mtime) = (metadata.file_type(), metadata.len(), metadata.mtime());
        entries.push(Entry { name, kind, size, mtime });
    }
    Ok(entries)
}

/// What must not be looked at is left out.
fn look_at(r: &Request, path: &[u8]) -> Result<Option<Metadata>, Flow> {
    let name = OsStr::from_bytes(path);
    let error = match std::fs::metadata(name) {
        Ok(metadata) => return Ok(Some(metadata)),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ELOOP) => {
            std::fs::symlink_metadata(name).map(Some).map_err(|error| fail(r, "lstat()", path, &error))
        }
        Some(libc::EACCES) => {
            complain(r, Level::Crit, "stat()", path, &error);
            Ok(None)
        }
        _ => Err(fail(r, "stat()", path, &error)),
    }
}

fn refuse(r: &Request, folder: &[u8], error: &io::Error) -> Flow {
    let (status, level) = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => (404, Level::Error),
        Some(libc::EACCES) => (403, Level::Error),
        _ => (500, Level::Crit),
    };
    complain(r, level, "opendir()", folder, error);
    Flow::Finalize(status)
}

fn fail(r: &Request, call: &str, path: &[u8], error: &io::Error) -> Flow {
    complain(r, Level::Crit, call, path, error);
    Flow::Finalize(500)
}

fn complain(r: &Request, level: Level, call: &str, path: &[u8], error: &io::Error) {
    r.log_with(level, |line| {
        line.put(call).put(" \"").bytes(path).put("\" failed").error(error);
    });
}
