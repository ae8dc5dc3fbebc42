//! Files that were compressed lately: what is asked for often is compressed once.

use std::rc::Rc;

use bytes::Bytes;

use crate::http::{FileStat, Recent};

/// How many compressed bytes a thread keeps, and this much for each entry beside.
const MOST: usize = 8 << 20;
const ENTRY: usize = 256;

/// The largest compressed file that is kept.
const LARGEST: usize = 1 << 20;

/// A file, a level and a window.
pub(super) type Key = (FileStat, u32, u8);

/// The compressed files of one thread.
pub(super) struct Kept(Recent<Key, Bytes>);

impl Default for Kept {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Kept {
    pub(super) fn find(&self, key: &Key) -> Option<Bytes> {
        self.0.get(key)
    }
}

/// A compressed file that is being made and sent.
pub(super) struct Keeping {
    kept: Rc<Kept>,
    key: Key,
    pieces: Vec<Bytes>,
    length: usize,
}

impl Keeping {
    pub(super) fn new(kept: Rc<Kept>, key: Key) -> Self {
        Self { kept, key, pieces: Vec::new(), length: 0 }
    }

    pub(super) fn add(&mut self, bytes: &Bytes) {
        self.length += bytes.len();
        if self.length <= LARGEST {
            self.pieces.push(bytes.clone());
        } else {
            self.pieces.clear();
        }
    }

    /// Keeps it, now that it is whole.
    pub(super) fn finish(self) {
        if self.length <= LARGEST {
            // Copied, because a piece may have more room than bytes.
            self.kept.0.insert(self.key, self.pieces.concat().into(), self.length + ENTRY);
        }
    }
}
