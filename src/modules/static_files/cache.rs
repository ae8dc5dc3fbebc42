//! Small files that were sent lately, for as long as the system says of them what it said then.
//!
//! One `stat` stands for `open`, `fstat`, `pread` and `close`. Unlike `open_file_cache` it cannot be seen:
//! a file that was replaced, written or forbidden has another inode, time or size.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::http::{FileStat, NameMap};

/// How many bytes one of the two halves may hold: paths, contents and this much for each entry beside.
const HALF: usize = 4 << 20;
const ENTRY: usize = 256;

/// A file changed less than this many seconds ago might change again within the same tick of the file
/// system's clock, unseen.
const SETTLED: i64 = 2;

/// A file as it was read.
pub(super) struct Entry {
    /// What the system said of it.
    pub(super) stat: FileStat,
    /// Its entity tag.
    pub(super) etag: Bytes,
    /// Its content.
    pub(super) bytes: Bytes,
}

type Half = NameMap<Box<[u8]>, Rc<Entry>>;

/// The files of one thread, in two halves: when the young half is full it becomes the old one, and what
/// nobody asked for meanwhile is gone.
#[derive(Default)]
pub(super) struct Cache {
    young: RefCell<Half>,
    old: RefCell<Half>,
    young_size: Cell<usize>,
}

impl Cache {
    /// The file last read from this path.
    pub(super) fn find(&self, path: &[u8]) -> Option<Rc<Entry>> {
        if let Some(entry) = self.young.borrow().get(path) {
            return Some(entry.clone());
        }
        let (path, entry) = self.old.borrow_mut().remove_entry(path)?;
        self.add(path, entry.clone());
        Some(entry)
    }

    /// Forgets a file that is no longer what it was.
    pub(super) fn remove(&self, path: &[u8]) {
        if let Some(entry) = self.young.borrow_mut().remove(path) {
            self.young_size.set(self.young_size.get() - size(path, &entry));
        }
    }

    /// Keeps a file, unless it may be changing just now.
    pub(super) fn insert(&self, path: &[u8], stat: &FileStat, etag: Bytes, bytes: &Bytes) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        if now - stat.ctime.0 >= SETTLED {
            self.add(path.into(), Rc::new(Entry { stat: *stat, etag, bytes: bytes.clone() }));
        }
    }

    fn add(&self, path: Box<[u8]>, entry: Rc<Entry>) {
        let added = size(&path, &entry);
        if self.young_size.get() + added > HALF {
            *self.old.borrow_mut() = self.young.take();
            self.young_size.set(0);
        }
        let replaced = self.young.borrow_mut().remove(&path).map_or(0, |old| size(&path, &old));
        self.young_size.set(self.young_size.get() + added - replaced);
        self.young.borrow_mut().insert(path, entry);
    }
}

fn size(path: &[u8], entry: &Entry) -> usize {
    path.len() + entry.bytes.len() + ENTRY
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::http::stat_file;

    fn old_file(folder: &std::path::Path) -> (Vec<u8>, FileStat) {
        let path = folder.join("a");
        std::fs::write(&path, b"hello").unwrap();
        let path = path.as_os_str().as_bytes().to_vec();
        let mut stat = stat_file(&path).unwrap();
        stat.ctime.0 -= 10;
        (path, stat)
    }

    #[test]
    fn keeps_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (_, stat) = old_file(folder.path());
        let cache = Cache::default();
        let bytes = Bytes::from(vec![b'x'; 1 << 20]);
        for number in 0..10u8 {
            cache.insert(&[number], &stat, Bytes::new(), &bytes);
            assert!(cache.find(&[0]).is_some(), "{number}");
        }
        assert!(cache.find(&[9]).is_some());
        assert!(cache.find(&[1]).is_none());
        assert!(cache.young.borrow().len() + cache.old.borrow().len() <= 8);
        cache.remove(&[9]);
        assert!(cache.find(&[9]).is_none());
    }

    #[test]
    fn does_not_trust_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut stat) = old_file(folder.path());
        let cache = Cache::default();
        stat.ctime.0 += 10;
        cache.insert(&path, &stat, Bytes::new(), &Bytes::from_static(b"hello"));
        assert!(cache.find(&path).is_none());
    }
}
