//! The log files of the running configuration: opened by the master, opened again on USR1, sent to the worker.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Gid, Mode, Uid};

use crate::log::{ErrorLog, Level, LogFile, Sink};

/// Log files by path, in the order in which the configuration names them.
#[derive(Debug, Default)]
pub struct Logs {
    files: Vec<Arc<LogFile>>,
}

/// Log files that a configuration asks for while it is compiled; they are opened when it turns out to be fine.
#[derive(Debug)]
pub struct Wanted<'r> {
    running: &'r Logs,
    files: Vec<Arc<LogFile>>,
    /// The log of a configuration that names none; opened where it turns out to be used.
    default: Option<Arc<LogFile>>,
}

/// A log that cannot be opened; the error log has the words.
#[derive(Debug, thiserror::Error)]
#[error("could not open a log")]
pub struct Unopened;

impl Logs {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Arc<LogFile>> {
        self.files.iter()
    }

    /// The file of a path.
    pub fn find(&self, path: &Path) -> Option<&Arc<LogFile>> {
        find(&self.files, path)
    }

    /// Starts to collect what a new configuration asks for.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted { running: self, files: Vec::new(), default: None }
    }

    /// Gives a file the descriptor that the master opened for it, and makes the file where it is new.
    pub fn receive(&mut self, path: &Path, fd: OwnedFd) -> io::Result<()> {
        if self.find(path).is_none() {
            self.files.push(Arc::new(LogFile::later(path)));
        }
        self.find(path).map_or(Ok(()), |file| file.replace(fd))
    }

    /// Forgets files that nobody writes to any more.
    pub fn forget_unused(&mut self) {
        self.files.retain(|file| Arc::strong_count(file) > 1);
    }

    /// Opens all again under their names, for USR1. With a user, they become the user's, whose worker could not open
    /// them otherwise.
    pub fn reopen(&self, owner: Option<u32>, log: &ErrorLog) {
        for file in &self.files {
            if let Some(fd) = open(file.path(), log)
                && owner.is_none_or(|owner| own(file.path(), owner, log))
                && let Err(error) = file.replace(fd)
            {
                let what = format_args!("dup3() \"{}\" failed", file.path().display());
                log.say_error(Level::Emerg, &error, what);
            }
        }
        redirect_stderr(log);
    }
}

impl Wanted<'_> {
    /// The file of a path: the running one, or one that will be opened.
    pub fn file(&mut self, path: &Path) -> Arc<LogFile> {
        if let Some(file) = find(&self.files, path) {
            return Arc::clone(file);
        }
        let default = self.default.iter().find(|file| file.path() == path).cloned();
        let file = default.unwrap_or_else(|| self.running_or_new(path));
        self.files.push(Arc::clone(&file));
        file
    }

    /// The file that is the log where the configuration names none.
    pub fn default_file(&mut self, path: &Path) -> Arc<LogFile> {
        let file = self.running_or_new(path);
        self.default = Some(Arc::clone(&file));
        file
    }

    /// Says whether the default file is used.
    pub fn settle(&mut self, default_is_used: bool) {
        let default = self.default.take().filter(|file| default_is_used && find(&self.files, file.path()).is_none());
        self.files.extend(default);
    }

    fn running_or_new(&self, path: &Path) -> Arc<LogFile> {
        self.running.find(path).cloned().unwrap_or_else(|| Arc::new(LogFile::later(path)))
    }

    /// Opens all of them anew, those that were open too. Where one fails, all stay as they were.
    pub fn open(self, log: &ErrorLog) -> Result<Logs, Unopened> {
        let opened: Option<Vec<OwnedFd>> = self.files.iter().map(|file| open(file.path(), log)).collect();
        for (file, fd) in self.files.iter().zip(opened.ok_or(Unopened)?) {
            file.replace(fd).map_err(|error| {
                let what = format_args!("dup3() \"{}\" failed", file.path().display());
                log.say_error(Level::Emerg, &error, what);
                Unopened
            })?;
        }
        Ok(Logs { files: self.files })
    }
}

/// Sends what anybody writes to stderr into the error log's first file, unless a log is stderr itself.
pub fn redirect_stderr(log: &ErrorLog) {
    let file = log.targets().find_map(|target| match &target.sink {
        Sink::File(file) => Some(file),
        _ => None,
    });
    if !log.keeps_stderr()
        && let Some(fd) = file.and_then(|file| file.descriptor())
        && let Err(errno) = rustix::stdio::dup2_stderr(fd)
    {
        log.say_error(Level::Alert, &errno.into(), "dup2(STDERR_FILENO) failed");
    }
}

fn find<'f>(files: &'f [Arc<LogFile>], path: &Path) -> Option<&'f Arc<LogFile>> {
    files.iter().find(|file| file.path() == path)
}

fn open(path: &Path, log: &ErrorLog) -> Option<OwnedFd> {
    LogFile::open_descriptor(path)
        .inspect_err(|error| log.say_error(Level::Emerg, error, format_args!("open() \"{}\" failed", path.display())))
        .ok()
}

/// Makes a file the user's, readable and writable; says whether that worked.
fn own(path: &Path, user: u32, log: &ErrorLog) -> bool {
    let name = path.display();
    let emerg = |what: String| move |errno: rustix::io::Errno| log.say_error(Level::Emerg, &errno.into(), what);
    let Ok(stat) = rustix::fs::stat(path).map_err(emerg(format!("stat() \"{name}\" failed"))) else { return false };
    let owner = Uid::from_raw(user);
    if stat.st_uid != user
        && rustix::fs::chown(path, Some(owner), None::<Gid>)
            .map_err(emerg(format!("chown(\"{name}\", {user}) failed")))
            .is_err()
    {
        return false;
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let writable = mode | Mode::RUSR | Mode::WUSR;
    mode == writable || rustix::fs::chmod(path, writable).map_err(emerg(format!("chmod() \"{name}\" failed"))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_file_and_lives_on_with_a_new_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log = ErrorLog::none();
        let first = Logs::default();
        let mut wanted = first.wanted();
        let file = wanted.file(&path);
        assert!(Arc::ptr_eq(&file, &wanted.file(&path)) && !file.is_open());
        let first = wanted.open(&log).unwrap();
        file.write(b"one\n").unwrap();

        std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        let mut wanted = first.wanted();
        assert!(Arc::ptr_eq(&file, &wanted.file(&path)));
        let second = wanted.open(&log).unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        assert_eq!(second.files().count(), 1);
    }

    #[test]
    fn nothing_is_opened_where_one_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let running = Logs::default();
        let mut wanted = running.wanted();
        let file = wanted.file(&dir.path().join("a.log"));
        wanted.file(&dir.path().join("missing/b.log"));
        assert!(wanted.open(&ErrorLog::none()).is_err());
        assert!(!file.is_open());
    }

    #[test]
    fn the_worker_takes_what_the_master_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut logs = Logs::default();
        logs.receive(&path, LogFile::open_descriptor(&path).unwrap()).unwrap();
        let file = Arc::clone(logs.find(&path).unwrap());
        file.write(b"one\n").unwrap();
        logs.forget_unused();
        assert!(logs.find(&path).is_some());
        drop(file);
        logs.forget_unused();
        assert!(logs.find(&path).is_none());
    }
}
