//! Logs whose names hold variables: opened for each line, or kept open by `open_log_file_cache`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::log::{Level, LogFile};

/// `open_log_file_cache`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CacheSpec {
    /// How many files stay open.
    pub(super) max: usize,
    /// A file that was not used for so long is closed …
    pub(super) inactive: Duration,
    /// … as is one that was used less often in this time.
    pub(super) min_uses: usize,
    /// How long it is trusted that the name still stands for the open file.
    pub(super) valid: Duration,
}

struct Entry {
    file: OwnedFd,
    checked: Instant,
    used: Instant,
    uses: usize,
}

thread_local! {
    /// The files that this thread keeps open.
    static OPEN: RefCell<HashMap<Vec<u8>, Entry>> = RefCell::default();
}

/// Writes a line; `None` where there was no file to write to, which is no failure of writing.
pub(super) fn write(r: &Request, path: &[u8], cache: Option<&CacheSpec>, line: &[u8]) -> Option<io::Result<usize>> {
    if !root_exists(r) {
        return None;
    }
    let write = |file: &OwnedFd| Ok(rustix::io::write(file, line)?);
    let written = match cache {
        None => open(path).map(|file| write(&file)),
        Some(spec) => OPEN.with_borrow_mut(|files| {
            tidy(files, spec, Instant::now());
            Ok(write(&find(files, path)?.file))
        }),
    };
    written
        .inspect_err(|error| {
            r.log_with(Level::Crit, |line| {
                line.put("open() \"").bytes(path).put("\" failed").error(error);
            });
        })
        .ok()
}

/// nginx makes no logs for hosts whose root folder does not exist.
fn root_exists(r: &Request) -> bool {
    let Some(root) = r.map_root() else { return false };
    let error = match std::fs::metadata(OsStr::from_bytes(&root)) {
        Ok(found) if found.is_dir() => return true,
        Ok(_) => io::Error::from_raw_os_error(libc::ENOTDIR),
        Err(error) => error,
    };
    r.log_with(Level::Error, |line| {
        line.put("testing \"").bytes(&root).put("\" existence failed").error(&error);
    });
    false
}

fn open(path: &[u8]) -> io::Result<OwnedFd> {
    LogFile::open_descriptor(Path::new(OsStr::from_bytes(path)))
}

/// Closes what is too old or too much.
fn tidy(files: &mut HashMap<Vec<u8>, Entry>, spec: &CacheSpec, now: Instant) {
    files.retain(|_, entry| {
        let idle = now.duration_since(entry.used) >= spec.inactive;
        let expired = now.duration_since(entry.checked) >= spec.valid;
        !(idle || expired && entry.uses < spec.min_uses)
    });
    while files.len() > spec.max {
        let oldest = files.iter().min_by_key(|(_, entry)| entry.used).map(|(path, _)| path.clone());
        files.remove(&oldest.unwrap_or_default());
    }
    let stale = files.iter_mut().filter(|(_, entry)| now.duration_since(entry.checked) >= spec.valid);
    let mut gone = Vec::new();
    for (path, entry) in stale {
        entry.checked = now;
        entry.uses = 0;
        if !is_same(path, &entry.file) {
            gone.push(path.clone());
        }
    }
    gone.iter().for_each(|path| drop(files.remove(path)));
}

fn is_same(path: &[u8], file: &OwnedFd) -> bool {
    match (rustix::fs::stat(path), rustix::fs::fstat(file)) {
        (Ok(named), Ok(open)) => (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino),
        _ => false,
    }
}

fn find<'f>(files: &'f mut HashMap<Vec<u8>, Entry>, path: &[u8]) -> io::Result<&'f Entry> {
    let now = Instant::now();
    if !files.contains_key(path) {
        files.insert(path.to_vec(), Entry { file: open(path)?, checked: now, used: now, uses: 0 });
    }
    let entry = files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
    entry.used = now;
    entry.uses += 1;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_files_open_and_notices_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let spec = CacheSpec { max: 2, inactive: Duration::from_secs(10), min_uses: 1, valid: Duration::from_secs(5) };
        let path = dir.path().join("a").into_os_string().into_encoded_bytes();
        let mut files = HashMap::new();
        let first = find(&mut files, &path).unwrap().checked;
        tidy(&mut files, &spec, first + Duration::from_secs(4));
        assert_eq!(files.len(), 1);
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        tidy(&mut files, &spec, first + Duration::from_secs(4));
        assert_eq!(files.len(), 1);
        tidy(&mut files, &spec, first + Duration::from_secs(6));
        assert!(files.is_empty());
    }

    #[test]
    fn closes_what_is_idle_or_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let spec = CacheSpec { max: 1, inactive: Duration::from_secs(10), min_uses: 1, valid: Duration::from_secs(60) };
        let mut files = HashMap::new();
        for name in ["a", "b"] {
            find(&mut files, dir.path().join(name).as_os_str().as_bytes()).unwrap();
        }
        tidy(&mut files, &spec, Instant::now());
        assert_eq!(files.len(), 1);
        tidy(&mut files, &spec, Instant::now() + Duration::from_secs(11));
        assert!(files.is_empty());
    }
}
