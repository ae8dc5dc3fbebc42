//! Small files that were sent lately, for as long as the system says of them what it said then.
//!
//! One `stat` stands for `open`, `fstat`, `pread` and `close`. Unlike `open_file_cache` it cannot be seen:
//! a file that was replaced, written or forbidden has another inode, time or size.

use std::rc::Rc;

use bytes::Bytes;

use crate::http::{FileStat, Recent};

/// How many bytes a thread keeps: paths, contents and this much for each entry beside.
const MOST: usize = 8 << 20;
const ENTRY: usize = 256;

/// A file as it was read.
pub(super) struct Entry {
    /// What the system said of it.
    pub(super) stat: FileStat,
    /// Its entity tag.
    pub(super) etag: Bytes,
    /// Its content.
    pub(super) bytes: Bytes,
}

/// The files of one thread by path.
pub(super) struct Cache(Recent<Box<[u8]>, Rc<Entry>>);

impl Default for Cache {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Cache {
    /// The file last read from this path.
    pub(super) fn find(&self, path: &[u8]) -> Option<Rc<Entry>> {
        self.0.get(path)
    }

    /// Forgets a file that is no longer what it was.
    pub(super) fn remove(&self, path: &[u8]) {
        self.0.remove(path);
    }

    /// Keeps a file, unless it may be changing just now.
    pub(super) fn insert(&self, path: &[u8], stat: &FileStat, etag: Bytes, bytes: &Bytes) {
        if stat.is_settled() {
            let entry = Rc::new(Entry { stat: *stat, etag, bytes: bytes.clone() });
            self.0.insert(path.into(), entry, path.len() + bytes.len() + ENTRY);
        }
    }
}
