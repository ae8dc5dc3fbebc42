//! Removes what nobody asked for, and the oldest entries where files take too much.

use std::time::{Duration, Instant};

use super::index::NodeId;
use super::store::Cache;
use crate::http::date;
use crate::log::{ErrorLog, Level};

/// How long the manager waits at most where nothing is to be removed.
const REST: Duration = Duration::from_secs(10);

/// What came of looking for something to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    /// An entry is gone.
    Done,
    /// Nothing can go before so much time has passed.
    Wait(Duration),
}

/// Work done since the last pause.
struct Effort {
    start: Instant,
    files: u64,
}

impl Effort {
    fn new() -> Self {
        Self { start: Instant::now(), files: 0 }
    }

    /// Counts a file; whether it is time for a pause.
    fn is_enough(&mut self, cache: &Cache) -> bool {
        self.files += 1;
        let pace = &cache.settings.manager;
        self.files >= pace.files || self.start.elapsed() >= pace.threshold
    }
}

impl Cache {
    /// Does a manager's work once; tells when it is to be done again.
    pub(super) fn manage(&self, log: &ErrorLog) -> Duration {
        let mut effort = Effort::new();
        let rest = match self.expire(&mut effort, log) {
            Some(rest) => rest,
            None => return self.settings.manager.sleep,
        };
        while self.is_too_large() {
            match self.force_out(log) {
                Removal::Wait(time) => return time,
                Removal::Done if effort.is_enough(self) => return self.settings.manager.sleep,
                Removal::Done => {}
            }
        }
        rest
    }

    fn is_too_large(&self) -> bool {
        let (blocks, keys, watermark) = {
            let index = self.shared.index();
            (index.blocks, index.len(), index.watermark)
        };
        if blocks >= self.settings.max_size / self.shared.block() || keys >= watermark {
            return true;
        }
        self.settings.min_free > 0 && self.free() <= self.settings.min_free
    }

    /// Bytes that are free on the file system.
    fn free(&self) -> u64 {
        let stat = rustix::fs::statfs(&self.shared.place.path);
        stat.map_or(u64::MAX, |stat| u64::try_from(stat.f_bsize).unwrap_or(512).saturating_mul(stat.f_bavail))
    }

    /// Removes what nobody asked for; `None` where there is more to do after a pause.
    fn expire(&self, effort: &mut Effort, log: &ErrorLog) -> Option<Duration> {
        loop {
            let mut index = self.shared.index();
            let Some(oldest) = index.oldest() else { return Some(REST) };
            let now = date::now();
            let node = index.node_mut(oldest);
            if let Ok(left @ 1..) = u64::try_from(node.expire - now) {
                return Some(REST.min(Duration::from_secs(left)));
            }
            if node.deleting {
                return Some(Duration::from_secs(1));
            }
            let held = node.holders > 0;
            if held {
                // Whoever fetches or sends it for so long still may.
                node.expire = now + self.settings.inactive;
                index.touch(oldest);
            }
            drop(index);
            if !held {
                self.remove(oldest, log);
            }
            if effort.is_enough(self) {
                return None;
            }
        }
    }

    /// Removes the oldest entry that nobody holds.
    fn force_out(&self, log: &ErrorLog) -> Removal {
        const TRIES: usize = 20;
        let mut passed = None;
        for _ in 0..TRIES {
            let mut index = self.shared.index();
            let Some(oldest) = index.oldest().filter(|oldest| passed != Some(*oldest)) else {
                return Removal::Wait(REST);
            };
            let expire = date::now() + self.settings.inactive;
            let node = index.node_mut(oldest);
            if node.holders == 0 {
                drop(index);
                self.remove(oldest, log);
                return Removal::Done;
            }
            // Somebody has it, or is removing it just now.
            node.expire = expire;
            index.touch(oldest);
            passed.get_or_insert(oldest);
        }
        Removal::Wait(Duration::from_secs(1))
    }

    /// Removes an entry and its file, unless somebody has come to hold it meanwhile.
    fn remove(&self, id: NodeId, log: &ErrorLog) {
        let key = {
            let mut index = self.shared.index();
            let node = index.node_mut(id);
            if node.holders > 0 {
                return;
            }
            let key = node.key;
            if !node.exists {
                return index.remove(id);
            }
            node.holders += 1;
            (node.deleting, node.exists) = (true, false);
            index.set_blocks(id, 0);
            key
        };
        let path = self.shared.path(key);
        if let Err(errno) = rustix::fs::unlink(&path) {
            log.say_error(Level::Crit, &errno.into(), format_args!("unlink() \"{}\" failed", path.display()));
        }
        let mut index = self.shared.index();
        let node = index.node_mut(id);
        node.holders -= 1;
        node.deleting = false;
        // Meanwhile somebody may have put a new file there.
        if node.holders == 0 && !node.exists {
            index.remove(id);
        }
    }
}

impl Cache {
    /// Makes room for a key by removing the oldest entry.
    pub(super) fn make_room(&self, log: &ErrorLog) {
        self.force_out(log);
    }
}
