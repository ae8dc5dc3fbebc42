//! Answers kept on disk, as nginx keeps them: an index of keys in memory that all threads share, a file for each entry.
//!
//! This room knows files and keys; what may be kept, and for how long, is settled where answers are read
//! (`upstream/cache`). Files are laid out as nginx's are, so a folder that nginx has filled is served from, and the
//! other way round.

mod entry;
mod header;
mod index;
mod keeper;
mod key;
mod loader;
mod manager;
mod store;

pub(crate) use entry::{Entry, Fault, Lately, Place};
pub(crate) use header::{ETAG, Header, KEY, VARY};
pub(crate) use index::{Known, NodeId};
pub(crate) use keeper::Keeper;
pub(crate) use key::Key;
pub(crate) use store::{Cache, Caches, Lock, Pace, Release, Settings, Shared};
