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
    /// A file that was not used for so long is closed.
    pub(super) inactive: Duration,
    /// A file stays open when it was used so often before that.
    pub(super) min_uses: usize,
    /// How long it is trusted that the name still stands for the open file.
    pub(super) valid: Duration,
}

struct Entry {
    /// Open since it was used often enough.
    file: Option<OwnedFd>,
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
            let now = Instant::now();
            tidy(files, spec, now);
            with_file(files, path, spec, now, write)
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

/// Closes what is too old, and what stands under its name no more.
fn tidy(files: &mut HashMap<Vec<u8>, Entry>, spec: &CacheSpec, now: Instant) {
    files.retain(|_, entry| now.duration_since(entry.used) < spec.inactive);
    for (path, entry) in files {
        if now.duration_since(entry.checked) >= spec.valid {
            entry.checked = now;
            entry.file.take_if(|file| !is_same(path, file));
        }
    }
}

fn is_same(path: &[u8], file: &OwnedFd) -> bool {
    match (rustix::fs::stat(path), rustix::fs::fstat(file)) {
        (Ok(named), Ok(open)) => (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino),
        _ => false,
    }
}

/// Works with a file that is open already, or that stays open when it was used often enough.
fn with_file<T>(
    files: &mut HashMap<Vec<u8>, Entry>,
    path: &[u8],
    spec: &CacheSpec,
    now: Instant,
    work: impl FnOnce(&OwnedFd) -> T,
) -> io::Result<T> {
    let file = match files.get(path) {
        Some(Entry { file: Some(_), .. }) => None,
        _ => Some(open(path).inspect_err(|_| drop(files.remove(path)))?),
    };
    if !files.contains_key(path) {
        while files.len() >= spec.max {
            let oldest = files.iter().min_by_key(|(_, entry)| entry.used).map(|(path, _)| path.clone());
            files.remove(&oldest.unwrap_or_default());
        }
        files.insert(path.to_vec(), Entry { file: None, checked: now, used: now, uses: 0 });
    }
    let entry = files.get_mut(path).expect("it is there by now");
    entry.used = now;
    entry.uses += 1;
    if let Some(file) = file {
        let done = work(&file);
        if entry.uses >= spec.min_uses {
            entry.file = Some(file);
        }
        return Ok(done);
    }
    entry.file.as_ref().map(work).ok_or(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: CacheSpec =
        CacheSpec { max: 2, inactive: Duration::from_secs(10), min_uses: 2, valid: Duration::from_secs(5) };

    fn is_open(files: &HashMap<Vec<u8>, Entry>, path: &[u8]) -> bool {
        files.get(path).is_some_and(|entry| entry.file.is_some())
    }

    #[test]
    fn keeps_files_open_and_notices_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").into_os_string().into_encoded_bytes();
        let mut files = HashMap::new();
        let first = Instant::now();
        with_file(&mut files, &path, &SPEC, first, |_| ()).unwrap();
        assert!(!is_open(&files, &path));
        with_file(&mut files, &path, &SPEC, first, |_| ()).unwrap();
        assert!(is_open(&files, &path));
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        tidy(&mut files, &SPEC, first + Duration::from_secs(4));
        assert!(is_open(&files, &path));
        tidy(&mut files, &SPEC, first + Duration::from_secs(6));
        assert!(!is_open(&files, &path));
    }

    #[test]
    fn forgets_what_is_idle_or_too_much_or_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name).into_os_string().into_encoded_bytes();
        let mut files = HashMap::new();
        let start = Instant::now();
        for (second, name) in ["a", "b", "no/where", "c"].into_iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            assert_eq!(with_file(&mut files, &path(name), &SPEC, now, |_| ()).is_ok(), name != "no/where");
        }
        let mut names: Vec<_> = files.keys().cloned().collect();
        names.sort();
        assert_eq!(names, [path("b"), path("c")]);
        tidy(&mut files, &SPEC, start + Duration::from_secs(12));
        assert_eq!(files.keys().collect::<Vec<_>>(), [&path("c")]);
    }
}
