//! `open_file_cache`: files and directories of which is believed for a while what was found, errors too if asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use rustix::io::Errno;

use super::symlinks::{self, Symlinks};
use crate::http::{FileFault, FileStat, NameMap, OpenedFile, date};

/// One `open_file_cache`, which all blocks share that inherit it.
#[derive(Debug)]
pub(super) struct CacheLimits {
    /// How many paths are kept.
    pub(super) max: usize,
    /// Seconds after which a path that nobody asks for is forgotten.
    pub(super) inactive: u64,
}

/// How one location uses it.
pub(super) struct CacheRules {
    pub(super) limits: Arc<CacheLimits>,
    /// Seconds for which what was found is believed.
    pub(super) valid: u64,
    /// How often a file must be asked for to be kept open.
    pub(super) min_uses: u64,
    /// Whether errors are kept.
    pub(super) errors: bool,
}

/// The caches of one thread, as long as their configuration lives.
#[derive(Default)]
pub(super) struct OpenCaches(RefCell<Vec<Owned>>);

type Owned = (Weak<CacheLimits>, Rc<RefCell<OpenCache>>);

impl OpenCaches {
    pub(super) fn open(&self, rules: &CacheRules, path: &[u8], symlinks: Symlinks) -> Result<OpenedFile, FileFault> {
        self.cache(&rules.limits).borrow_mut().open(rules, path, symlinks)
    }

    fn cache(&self, limits: &Arc<CacheLimits>) -> Rc<RefCell<OpenCache>> {
        let mut caches = self.0.borrow_mut();
        if let Some((_, cache)) = caches.iter().find(|(known, _)| known.as_ptr() == Arc::as_ptr(limits)) {
            return cache.clone();
        }
        caches.retain(|(known, _)| known.strong_count() > 0);
        let cache = Rc::default();
        caches.push((Arc::downgrade(limits), Rc::clone(&cache)));
        cache
    }
}

#[derive(Default)]
struct OpenCache {
    entries: NameMap<Rc<[u8]>, Entry>,
    /// Paths in the order in which they were asked for.
    order: BTreeMap<u64, Rc<[u8]>>,
    turn: u64,
}

struct Entry {
    found: Found,
    symlinks: Symlinks,
    /// When that was.
    at: i64,
    asked: i64,
    turn: u64,
    uses: u64,
}

#[derive(Clone)]
enum Found {
    /// A file was not asked for often enough to be kept open.
    Closed,
    File(Rc<OwnedFd>, FileStat),
    Directory(FileStat),
    Nothing(&'static str, i32),
}

impl OpenCache {
    fn open(&mut self, rules: &CacheRules, path: &[u8], symlinks: Symlinks) -> Result<OpenedFile, FileFault> {
        let now = date::now();
        let opened = match self.entries.get(path) {
            Some(entry) if entry.is_fresh(rules, symlinks, now) => entry.found.answer(),
            Some(Entry { found: Found::File(file, stat), .. }) => look_again(path, symlinks, file.clone(), stat),
            _ => symlinks::open(path, symlinks),
        };
        self.keep(rules, path, symlinks, now, &opened);
        self.forget_inactive(rules, now);
        opened
    }

    /// Notes what was found, and that it was asked for.
    fn keep(
        &mut self,
        rules: &CacheRules,
        path: &[u8],
        symlinks: Symlinks,
        now: i64,
        opened: &Result<OpenedFile, FileFault>,
    ) {
        self.turn += 1;
        let known = self.entries.remove_entry(path);
        if let Some((_, entry)) = &known {
            self.order.remove(&entry.turn);
        }
        let (key, uses, fresh) = match known {
            Some((key, entry)) => {
                let fresh = entry.is_fresh(rules, symlinks, now).then_some((entry.found, entry.at));
                (key, entry.uses + 1, fresh)
            }
            None => (Rc::from(path), 1, None),
        };
        let found = match opened {
            _ if fresh.is_some() => Found::Closed,
            Err(_) if !rules.errors => return,
            Err(fault) => Found::Nothing(fault.call, fault.errno()),
            Ok(OpenedFile { stat, .. }) if stat.is_dir() => Found::Directory(*stat),
            Ok(OpenedFile { file: Some(file), stat }) if uses >= rules.min_uses => Found::File(file.clone(), *stat),
            Ok(_) => Found::Closed,
        };
        let (found, at) = fresh.unwrap_or((found, now));
        if self.entries.len() >= rules.limits.max {
            self.forget_oldest();
        }
        self.order.insert(self.turn, Rc::clone(&key));
        self.entries.insert(key, Entry { found, symlinks, at, asked: now, turn: self.turn, uses });
    }

    fn forget_oldest(&mut self) {
        if let Some((_, path)) = self.order.pop_first() {
            self.entries.remove(&path);
        }
    }

    /// At most two at once, so that nobody waits.
    fn forget_inactive(&mut self, rules: &CacheRules, now: i64) {
        for _ in 0..2 {
            let Some(oldest) = self.order.first_key_value().and_then(|(_, path)| self.entries.get(path)) else {
                return;
            };
            if now.saturating_sub(oldest.asked).unsigned_abs() <= rules.limits.inactive {
                return;
            }
            self.forget_oldest();
        }
    }
}

impl Entry {
    fn is_fresh(&self, rules: &CacheRules, symlinks: Symlinks, now: i64) -> bool {
        let age = now.saturating_sub(self.at).unsigned_abs();
        !matches!(self.found, Found::Closed) && age < rules.valid && self.symlinks == symlinks
    }
}

impl Found {
    fn answer(&self) -> Result<OpenedFile, FileFault> {
        match self {
            Found::File(file, stat) => Ok(OpenedFile { file: Some(file.clone()), stat: *stat }),
            Found::Directory(stat) => Ok(OpenedFile { file: None, stat: *stat }),
            Found::Nothing(call, errno) => Err(FileFault::new(call, Errno::from_raw_os_error(*errno))),
            Found::Closed => Err(FileFault::new("open()", Errno::BADF)),
        }
    }
}

/// A file that is still the same one need not be opened again.
fn look_again(path: &[u8], symlinks: Symlinks, file: Rc<OwnedFd>, old: &FileStat) -> Result<OpenedFile, FileFault> {
    let stat = symlinks::stat(path, symlinks)?;
    if stat.is_same_file(old) {
        return Ok(OpenedFile { file: Some(file), stat });
    }
    symlinks::open(path, symlinks)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    fn rules(max: usize, valid: u64) -> CacheRules {
        CacheRules { limits: Arc::new(CacheLimits { max, inactive: 60 }), valid, min_uses: 1, errors: false }
    }

    fn size(cache: &OpenCaches, rules: &CacheRules, path: &Path) -> Result<u64, i32> {
        let opened = cache.open(rules, path.as_os_str().as_bytes(), Symlinks::Follow);
        opened.map(|opened| opened.stat.size).map_err(|fault| fault.errno())
    }

    #[test]
    fn believes_what_it_found() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, b"first").unwrap();
        let (cache, long, short) = (OpenCaches::default(), rules(10, 60), rules(10, 0));
        assert_eq!(size(&cache, &long, &a), Ok(5));
        assert_eq!(size(&cache, &short, &a), Ok(5));
        std::fs::write(&b, b"another").unwrap();
        std::fs::rename(&b, &a).unwrap();
        assert_eq!(size(&cache, &long, &a), Ok(5));
        assert_eq!(size(&cache, &short, &a), Ok(7));
        std::fs::remove_file(&a).unwrap();
        assert_eq!(size(&cache, &long, &a), Ok(5));
        assert_eq!(size(&cache, &short, &a), Err(libc::ENOENT));
    }

    #[test]
    fn keeps_errors_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        let (cache, plain) = (OpenCaches::default(), rules(10, 60));
        let keeping = CacheRules { errors: true, ..rules(10, 60) };
        assert_eq!(size(&cache, &plain, &a), Err(libc::ENOENT));
        assert_eq!(size(&cache, &keeping, &a), Err(libc::ENOENT));
        std::fs::write(&a, b"there").unwrap();
        assert_eq!(size(&cache, &plain, &a), Ok(5));
        assert_eq!(size(&cache, &keeping, &a), Err(libc::ENOENT));
    }

    #[test]
    fn keeps_open_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, rules) = (OpenCaches::default(), CacheRules { min_uses: 2, ..rules(2, 60) });
        let paths = ["a", "b", "c"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, b"x").unwrap());
        assert_eq!(size(&cache, &rules, &paths[0]), Ok(1));
        std::fs::write(&paths[0], b"longer").unwrap();
        assert_eq!(size(&cache, &rules, &paths[0]), Ok(6));
        std::fs::write(&paths[0], b"x").unwrap();
        assert_eq!(size(&cache, &rules, &paths[0]), Ok(6));
        assert_eq!(size(&cache, &rules, &paths[1]), Ok(1));
        assert_eq!(size(&cache, &rules, &paths[2]), Ok(1));
        assert_eq!(size(&cache, &rules, &paths[0]), Ok(1));
        let caches = cache.0.borrow();
        assert_eq!(caches[0].1.borrow().entries.len(), 2);
        assert_eq!(caches[0].1.borrow().order.len(), 2);
    }
}
