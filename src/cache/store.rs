//! A cache: its settings, and the index of its keys that all threads and configurations share.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::Stat;
use tokio::sync::Notify;

use super::index::{Full, Index, Known, NodeId, Uses};
use super::key::Key;
use crate::http::{TempPath, date};
use crate::log::{ErrorLog, Level};

/// How much work is done in one go, and how long the pause behind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// This many files at most.
    pub(crate) files: u64,
    /// This long at most.
    pub(crate) threshold: Duration,
    /// The pause.
    pub(crate) sleep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { files: 100, threshold: Duration::from_millis(200), sleep: Duration::from_millis(50) }
    }
}

/// What a `…_cache_path` says besides its name and size.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The zone's name.
    pub(crate) name: Bytes,
    /// Answers are written where other temporary files are, and moved from there.
    pub(crate) use_temp_path: bool,
    /// For how many seconds an entry stays without being asked for.
    pub(crate) inactive: i64,
    /// Bytes that all files may take.
    pub(crate) max_size: u64,
    /// Bytes that are to stay free on the file system; 0 for none.
    pub(crate) min_free: u64,
    /// How the folder is read after a start.
    pub(crate) loader: Pace,
    /// How entries are removed.
    pub(crate) manager: Pace,
}

/// A cache as one configuration has it.
#[derive(Debug)]
pub(crate) struct Cache {
    /// What this configuration says.
    pub(crate) settings: Settings,
    /// What all configurations share.
    pub(super) shared: Arc<Shared>,
}

/// All caches of a configuration, with the module that defines each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caches(pub(crate) Vec<(&'static str, Arc<Cache>)>);

impl Caches {
    /// A module's cache of a name.
    pub(crate) fn find(&self, owner: &str, name: &[u8]) -> Option<&Arc<Cache>> {
        self.0.iter().find(|(module, cache)| *module == owner && cache.settings.name == name).map(|(_, cache)| cache)
    }
}

/// The folder and its index.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The folder, and how files are spread over it.
    pub(crate) place: TempPath,
    index: Mutex<Index>,
    /// The folder has not been read: files may be there that the index does not know.
    pub(super) cold: AtomicBool,
    /// The folder is being read.
    pub(super) loading: AtomicBool,
    /// The file system's block size in bytes, once it was asked for.
    block: OnceLock<u64>,
    /// Tells whoever waits for an entry that one was fetched, or given up.
    released: Notify,
}

/// Who fetches an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Whoever asks, and nobody else until then.
    Mine(Instant),
    /// Somebody else.
    Theirs,
}

/// There is no room for another key; the error log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Shared {
    /// An empty index of this size in bytes.
    pub(crate) fn new(place: TempPath, size: usize) -> Self {
        Self {
            place,
            index: Mutex::new(Index::new(size)),
            cold: AtomicBool::new(true),
            loading: AtomicBool::new(false),
            block: OnceLock::new(),
            released: Notify::new(),
        }
    }

    /// The index. It is never held across a system call.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file system's block size in bytes.
    pub(super) fn block(&self) -> u64 {
        *self.block.get_or_init(|| {
            let size = rustix::fs::statfs(&self.place.path).ok().and_then(|stat| u64::try_from(stat.f_bsize).ok());
            size.filter(|size| *size > 0 && size % 512 == 0).unwrap_or(512)
        })
    }

    /// What a file takes on the disk, in blocks.
    pub(super) fn blocks(&self, stat: &Stat) -> u64 {
        (u64::try_from(stat.st_blocks).unwrap_or(0) * 512).div_ceil(self.block())
    }

    /// The path of a key's file.
    pub(super) fn path(&self, key: Key) -> PathBuf {
        self.place.hashed(&key.to_string())
    }
}

impl Cache {
    /// A cache of these settings.
    pub(crate) fn new(settings: Settings, shared: Arc<Shared>) -> Self {
        Self { settings, shared }
    }

    /// The folder, and how files are spread over it.
    pub(crate) fn place(&self) -> &TempPath {
        &self.shared.place
    }

    /// The path of a key's file.
    pub(crate) fn path(&self, key: Key) -> PathBuf {
        self.shared.path(key)
    }

    /// Whether files may be there that the index does not know.
    pub(crate) fn is_cold(&self) -> bool {
        self.shared.cold.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Asks for a key, and holds its node from then on; `held` is the node where it is held already. Where there is
    /// no room the oldest entry makes some.
    ///
    /// # Errors
    /// [`NoRoom`], which is in the log then.
    pub(crate) fn ask(
        &self,
        key: Key,
        held: Option<NodeId>,
        least: u64,
        log: &ErrorLog,
    ) -> Result<(NodeId, Known), NoRoom> {
        /// Room that one thread makes another one may take.
        const TRIES: usize = 8;
        let uses = Uses { least, now: date::now(), inactive: self.settings.inactive };
        for _ in 0..TRIES {
            let asked = self.shared.index().ask(key, held, uses);
            match asked {
                Ok(asked) => return Ok(asked),
                Err(Full) => self.make_room(log),
            }
        }
        self.say_full(log);
        Err(NoRoom)
    }

    pub(super) fn say_full(&self, log: &ErrorLog) {
        log.write(Level::Alert, None, |line| {
            line.put("could not allocate node in cache keys zone \"").bytes(&self.settings.name).put('"');
        });
    }

    /// `…_cache_lock`: takes the fetching of an entry upon oneself, unless somebody else has lately.
    pub(crate) fn lock(&self, id: NodeId, age: Duration) -> Lock {
        let now = Instant::now();
        let mut index = self.shared.index();
        let node = index.node_mut(id);
        if node.updating && node.lock.is_some_and(|until| until > now) {
            return Lock::Theirs;
        }
        let until = now + age;
        (node.updating, node.lock) = (true, Some(until));
        Lock::Mine(until)
    }

    /// Waits until nobody else fetches an entry any more, or has for too long, or the time has come.
    pub(crate) async fn wait(&self, id: NodeId, until: Instant) {
        /// nginx looks that often.
        const LOOK: Duration = Duration::from_millis(500);
        loop {
            let released = self.shared.released.notified();
            let mut released = std::pin::pin!(released);
            released.as_mut().enable();
            let now = Instant::now();
            let theirs = {
                let index = self.shared.index();
                let node = index.node(id);
                node.lock.filter(|until| node.updating && *until > now)
            };
            let Some(theirs) = theirs.filter(|_| now < until) else { return };
            let next = until.min(theirs).min(now + LOOK);
            // Whichever comes first, it is time to look again.
            let _ = tokio::time::timeout_at(next.into(), released).await;
        }
    }

    /// Takes the updating of an entry that is too old upon oneself: `Some` with the lock that it has, `None` where
    /// somebody else does.
    pub(crate) fn update(&self, id: NodeId) -> Option<Option<Instant>> {
        let mut index = self.shared.index();
        let node = index.node_mut(id);
        (!std::mem::replace(&mut node.updating, true)).then_some(node.lock)
    }

    /// Notes what was found in the folder before the whole of it was read.
    pub(crate) fn discovered(&self, id: NodeId, body_at: u16, stat: &Stat) {
        let blocks = self.shared.blocks(stat);
        let mut index = self.shared.index();
        if index.node(id).exists {
            return;
        }
        index.set_blocks(id, blocks);
        let node = index.node_mut(id);
        (node.exists, node.body_at, node.inode) = (true, body_at, stat.st_ino);
    }

    /// A new file stands under the key; `None` where it should and does not. The node is held no more.
    pub(crate) fn replaced(&self, id: NodeId, body_at: u16, stat: Option<&Stat>) {
        let blocks = stat.map_or(0, |stat| self.shared.blocks(stat));
        let mut index = self.shared.index();
        index.set_blocks(id, blocks);
        let node = index.node_mut(id);
        node.holders -= 1;
        node.exists |= stat.is_some();
        (node.error, node.updating, node.body_at) = (0, false, body_at);
        node.inode = stat.map_or(0, |stat| stat.st_ino);
        drop(index);
        self.shared.released.notify_waiters();
    }

    /// The node is held no more: nothing new came, or it is not to be kept. `error` is a status to be answered
    /// without asking, and until when; `updating` the lock that was held while fetching; `keep` says that an entry
    /// without a file is still to be counted.
    pub(crate) fn released(&self, id: NodeId, release: Release) {
        let mut index = self.shared.index();
        let node = index.node_mut(id);
        node.holders -= 1;
        if release.updating.is_some_and(|lock| lock == node.lock) {
            node.updating = false;
        }
        if let Some((status, valid)) = release.error {
            node.error = status;
            if valid != 0 {
                node.valid = valid;
            }
        } else if !node.exists && node.holders == 0 && !release.keep {
            index.remove(id);
        }
        drop(index);
        if release.updating.is_some() {
            self.shared.released.notify_waiters();
        }
    }

    /// The node is held no more, another one is instead.
    pub(crate) fn let_go(&self, id: NodeId, was_updating: bool) {
        let mut index = self.shared.index();
        let node = index.node_mut(id);
        node.holders -= 1;
        if was_updating {
            node.updating = false;
        }
        drop(index);
        if was_updating {
            self.shared.released.notify_waiters();
        }
    }
}

/// How a node is let go that nothing new was put under.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Release {
    /// Whoever lets go was fetching, under this lock.
    pub(crate) updating: Option<Option<Instant>>,
    /// A status to be answered without asking, and until when in seconds since 1970; 0 leaves that as it is.
    pub(crate) error: Option<(u16, i64)>,
    /// An entry without a file is still to be counted.
    pub(crate) keep: bool,
}
