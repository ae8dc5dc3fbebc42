//! Reads the folder of a cache after a start, so that old entries count and may be removed.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::header::SIZE;
use super::key::Key;
use super::store::Cache;
use crate::http::date;
use crate::log::{ErrorLog, Level};

/// One reading.
struct Loader<'a> {
    cache: &'a Cache,
    log: &'a ErrorLog,
    /// Sleeps; says whether to go on.
    sleep: &'a dyn Fn(Duration) -> ControlFlow<()>,
    start: Instant,
    files: u64,
    told_full: i64,
}

impl Cache {
    /// Reads the folder, unless that was done or is being done. `sleep` is called for each pause and says whether to
    /// go on.
    pub(super) fn load(&self, log: &ErrorLog, sleep: &dyn Fn(Duration) -> ControlFlow<()>) {
        let shared = &self.shared;
        if !self.is_cold() || shared.loading.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut loader = Loader { cache: self, log, sleep, start: Instant::now(), files: 0, told_full: 0 };
        let read = loader.folder(&shared.place.path);
        if read.is_continue() {
            shared.cold.store(false, Ordering::Release);
        }
        shared.loading.store(false, Ordering::Release);
        if read.is_continue() {
            let bytes = shared.index().blocks * shared.block();
            log.say(
                Level::Notice,
                format_args!(
                    "http file cache: {} {:.3}M, bsize: {}",
                    shared.place.path.display(),
                    bytes as f64 / f64::from(1 << 20),
                    shared.block()
                ),
            );
        }
    }
}

impl Loader<'_> {
    fn folder(&mut self, path: &Path) -> ControlFlow<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).and_then(Dir::new);
        let folder = match opened {
            Ok(folder) => folder,
            Err(errno) => {
                self.fail(errno, "opendir()", path);
                return ControlFlow::Continue(());
            }
        };
        for entry in folder {
            match entry {
                Ok(entry) => match entry.file_name().to_bytes() {
                    b"." | b".." => {}
                    name => self.entry(&path.join(OsStr::from_bytes(name)))?,
                },
                Err(errno) => {
                    self.fail(errno, "readdir()", path);
                    break;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&mut self, path: &Path) -> ControlFlow<()> {
        let stat = match rustix::fs::statat(CWD, path, AtFlags::empty())
            .or_else(|_| rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW))
        {
            Ok(stat) => stat,
            Err(errno) => {
                self.fail(errno, "stat()", path);
                return ControlFlow::Continue(());
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(path, &stat),
            // Where nginx keeps temporary files in its cache.
            FileType::Directory if path.as_os_str().as_bytes().ends_with(b"/temp") => ControlFlow::Continue(()),
            FileType::Directory => self.folder(path),
            _ => {
                self.remove(path);
                ControlFlow::Continue(())
            }
        }
    }

    fn file(&mut self, path: &Path, stat: &Stat) -> ControlFlow<()> {
        if !self.take(path, stat) {
            self.remove(path);
        }
        self.files += 1;
        let pace = &self.cache.settings.loader;
        if self.files >= pace.files || self.start.elapsed() >= pace.threshold {
            (self.sleep)(pace.sleep)?;
            (self.start, self.files) = (Instant::now(), 0);
        }
        (self.sleep)(Duration::ZERO)
    }

    /// Whether the file may stay.
    fn take(&mut self, path: &Path, stat: &Stat) -> bool {
        let name = path.as_os_str().as_bytes();
        if name.len() < 32 {
            return false;
        }
        if is_temporary(name) {
            return true;
        }
        if stat.st_size < SIZE as i64 {
            self.log.say(Level::Crit, format_args!("cache file \"{}\" is too small", path.display()));
            return false;
        }
        let Some(key) = Key::from_name(name) else { return false };
        let now = date::now();
        let blocks = self.cache.shared.blocks(stat);
        let found = self.cache.shared.index().found(key, blocks, now + self.cache.settings.inactive);
        if found.is_err() && std::mem::replace(&mut self.told_full, now) != now {
            self.cache.say_full(self.log);
        }
        found.is_ok()
    }

    fn remove(&self, path: &Path) {
        if let Err(errno) = rustix::fs::unlink(path) {
            self.fail(errno, "unlink()", path);
        }
    }

    fn fail(&self, errno: rustix::io::Errno, call: &str, path: &Path) {
        self.log.say_error(Level::Crit, &errno.into(), format_args!("{call} \"{}\" failed", path.display()));
    }
}

/// A file that is still being written has a dot and ten digits behind its name.
fn is_temporary(name: &[u8]) -> bool {
    name.len() >= 32 + 1 + 10 && name[name.len() - 11] == b'.'
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::super::store::{Pace, Settings, Shared};
    use super::*;
    use crate::http::TempPath;

    fn cache(folder: &Path, settings: Settings) -> Cache {
        let place = TempPath { path: folder.to_path_buf(), levels: [1, 2, 0] };
        Cache::new(settings, Arc::new(Shared::new(place, 1 << 20)))
    }

    fn settings() -> Settings {
        Settings {
            name: bytes::Bytes::from_static(b"one"),
            use_temp_path: false,
            inactive: 600,
            max_size: u64::MAX,
            min_free: 0,
            loader: Pace { files: 1, ..Pace::default() },
            manager: Pace::default(),
        }
    }

    fn entry(cache: &Cache, key: &[u8], length: usize) -> std::path::PathBuf {
        let path = cache.path(Key::of(key));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; length]).unwrap();
        path
    }

    fn load(cache: &Cache) {
        cache.load(&ErrorLog::none(), &|_| ControlFlow::Continue(()));
    }

    #[test]
    fn takes_entries_and_removes_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), settings());
        let good = entry(&cache, b"good", 5000);
        let short = entry(&cache, b"short", 100);
        let foreign = folder.path().join("README");
        fs::write(&foreign, vec![b'x'; 5000]).unwrap();
        let unfinished = folder.path().join(format!("{}.0000000007", Key::of(b"new")));
        fs::write(&unfinished, b"").unwrap();
        fs::create_dir(folder.path().join("temp")).unwrap();
        fs::write(folder.path().join("temp/x"), b"").unwrap();
        assert!(cache.is_cold());
        load(&cache);
        assert!(!cache.is_cold());
        assert_eq!(cache.shared.index().len(), 1);
        assert!(cache.shared.index().blocks > 0);
        let stays = [&good, &short, &foreign, &unfinished, &folder.path().join("temp/x")].map(|path| path.exists());
        assert_eq!(stays, [true, false, false, true, true]);
    }

    #[test]
    fn goes_on_another_time_where_it_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), settings());
        entry(&cache, b"one", 5000);
        cache.load(&ErrorLog::none(), &|_| ControlFlow::Break(()));
        assert!(cache.is_cold());
        load(&cache);
        assert!(!cache.is_cold());
    }

    #[test]
    fn the_manager_removes_what_nobody_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), Settings { inactive: -1, ..settings() });
        let path = entry(&cache, b"one", 5000);
        load(&cache);
        assert_eq!(cache.manage(&ErrorLog::none()), Duration::from_secs(10));
        assert!(!path.exists());
        let index = cache.shared.index();
        assert_eq!((index.len(), index.blocks), (0, 0));
    }

    #[test]
    fn the_manager_removes_the_oldest_where_files_take_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), Settings { max_size: 3 * 8192, ..settings() });
        let paths = [b"1", b"2", b"3", b"4", b"5"].map(|key| entry(&cache, key, 8192));
        load(&cache);
        cache.manage(&ErrorLog::none());
        assert_eq!(paths.iter().filter(|path| path.exists()).count(), 2);
        assert_eq!(cache.shared.index().len(), 2);
    }

    #[test]
    fn a_full_index_makes_room_by_its_oldest_entry() {
        let folder = tempfile::tempdir().unwrap();
        let place = TempPath { path: folder.path().to_path_buf(), levels: [1, 2, 0] };
        // Two pages are room for one key.
        let cache = Cache::new(settings(), Arc::new(Shared::new(place, 8192)));
        let log = ErrorLog::none();
        let (first, _) = cache.ask(Key::of(b"1"), None, 1, &log).unwrap();
        assert!(cache.ask(Key::of(b"2"), None, 1, &log).is_err(), "the first one is held");
        cache.released(first, super::super::Release { keep: true, ..Default::default() });
        assert!(cache.ask(Key::of(b"2"), None, 1, &log).is_ok());
        assert_eq!(cache.shared.index().len(), 1);
    }
}
