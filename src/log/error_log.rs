//! The logs that one level of the configuration writes to: <https://nginx.org/en/docs/ngx_core_module.html#error_log>.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::{DebugMask, Level, Line, LogFile, Syslog, Verbosity, console};

/// Where lines go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Sink {
    /// A file.
    File(Arc<LogFile>),
    /// `error_log stderr`.
    Stderr,
    /// `error_log syslog:…`.
    Syslog(Arc<Syslog>),
}

/// One `error_log` directive.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where its lines go.
    pub sink: Sink,
    /// Which lines it takes.
    pub verbosity: Verbosity,
}

/// All `error_log` directives of one level, the most verbose first.
#[derive(Debug, Default)]
pub struct ErrorLog {
    targets: Box<[(Target, FullDisk)]>,
    /// A log of some block is stderr, so stderr must stay what it is.
    keeps_stderr: AtomicBool,
}

impl ErrorLog {
    /// A log with these targets in the order in which they were written.
    pub fn new(mut targets: Vec<Target>) -> Self {
        targets.sort_by_key(|target| std::cmp::Reverse(target.verbosity.rank()));
        let targets = targets.into_iter().map(|target| (target, FullDisk::default())).collect();
        Self { targets, keeps_stderr: AtomicBool::new(false) }
    }

    /// A log with one target.
    pub fn to(sink: Sink, level: Level) -> Self {
        Self::new(vec![Target { sink, verbosity: Verbosity::up_to(level) }])
    }

    /// A log that takes nothing.
    pub fn none() -> Self {
        Self::new(Vec::new())
    }

    /// Says whether a log of some block is stderr, which then must not be sent elsewhere.
    pub fn keep_stderr(&self, keep: bool) {
        self.keeps_stderr.store(keep, Ordering::Relaxed);
    }

    /// Whether stderr must stay what it is.
    pub fn keeps_stderr(&self) -> bool {
        self.keeps_stderr.load(Ordering::Relaxed)
    }

    /// Its targets, the most verbose first.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().map(|(target, _)| target)
    }

    /// The same targets, taking everything: what `debug_connection` makes of a log.
    #[must_use]
    pub fn with_debug(&self) -> Self {
        let verbosity = Verbosity::up_to(Level::Debug);
        Self::new(self.targets().map(|target| Target { verbosity, ..target.clone() }).collect())
    }

    /// Whether a message of this level is written anywhere: ask before you build a costly one.
    pub fn takes(&self, level: Level) -> bool {
        self.targets.first().is_some_and(|(target, _)| target.verbosity.takes(level))
    }

    /// Whether debug lines of a part of the program are written anywhere.
    pub fn debugs(&self, part: DebugMask) -> bool {
        self.targets().any(|target| target.verbosity.debugs(part))
    }

    /// Writes a message.
    pub fn say(&self, level: Level, message: impl Display) {
        self.write(level, None, |line| {
            line.put(message);
        });
    }

    /// Writes a message and the system's error behind it: `open() "F" failed (2: No such file or directory)`.
    pub fn say_error(&self, level: Level, error: &io::Error, message: impl Display) {
        self.write(level, None, |line| {
            line.put(message).error(error);
        });
    }

    /// Writes a line that `build` makes behind the head; `connection` is the number behind the `*`.
    pub fn write(&self, level: Level, connection: Option<u64>, build: impl FnOnce(&mut Line)) {
        if self.takes(level) {
            let mut line = Line::headed(level, connection);
            build(&mut line);
            self.send(level, &mut line);
        }
    }

    fn send(&self, level: Level, line: &mut Line) {
        let bytes = line.finish();
        let mut on_stderr = false;
        for (target, full_disk) in self.targets.iter().take_while(|(target, _)| target.verbosity.takes(level)) {
            match &target.sink {
                Sink::File(file) => full_disk.guard(|| file.write(bytes)),
                Sink::Syslog(syslog) => syslog.send_line(level, &bytes[..bytes.len() - 1]),
                Sink::Stderr => {
                    console::write(bytes);
                    on_stderr = true;
                }
            }
        }
        if console::echoes() && level <= Level::Warn && !on_stderr {
            console::write(line.for_console(level));
        }
    }
}

/// nginx leaves a log alone for the rest of the second in which its disk was full.
#[derive(Debug)]
struct FullDisk(AtomicI64);

impl Default for FullDisk {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl FullDisk {
    fn guard(&self, write: impl FnOnce() -> io::Result<usize>) {
        let full_at = self.0.load(Ordering::Relaxed);
        if full_at != i64::MIN && full_at == now() {
            return;
        }
        if write().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            self.0.store(now(), Ordering::Relaxed);
        }
    }
}

fn now() -> i64 {
    clock_gettime(ClockId::RealtimeCoarse).tv_sec
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn file(dir: &Path, name: &str) -> Sink {
        Sink::File(Arc::new(LogFile::open(&dir.join(name)).unwrap()))
    }

    fn messages(dir: &Path, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn writes_to_every_log_that_takes_the_level() {
        let dir = tempfile::tempdir().unwrap();
        let log = ErrorLog::new(vec![
            Target { sink: file(dir.path(), "crit"), verbosity: Verbosity::up_to(Level::Crit) },
            Target { sink: file(dir.path(), "info"), verbosity: Verbosity::up_to(Level::Info) },
        ]);
        log.say(Level::Info, "i");
        log.say(Level::Crit, "c");
        log.say(Level::Debug, "d");
        log.say_error(Level::Alert, &io::Error::from_raw_os_error(13), "a");
        assert_eq!(messages(dir.path(), "crit"), ["c", "a (13: Permission denied)"]);
        assert_eq!(messages(dir.path(), "info"), ["i", "c", "a (13: Permission denied)"]);
    }

    #[test]
    fn a_debug_part_takes_all_levels() {
        let dir = tempfile::tempdir().unwrap();
        let verbosity = Verbosity::debugging(DebugMask::HTTP);
        let log = ErrorLog::new(vec![Target { sink: file(dir.path(), "log"), verbosity }]);
        assert!(log.takes(Level::Info) && log.debugs(DebugMask::HTTP) && !log.debugs(DebugMask::CORE));
    }

    #[test]
    fn a_full_disk_is_left_alone_for_a_second() {
        let full = FullDisk::default();
        let mut calls = 0;
        for _ in 0..3 {
            full.guard(|| {
                calls += 1;
                Err(io::Error::from_raw_os_error(28))
            });
        }
        // The clock may turn once between the calls.
        assert!(calls <= 2, "{calls}");
    }

    #[test]
    fn an_empty_log_takes_nothing() {
        assert!(!ErrorLog::none().takes(Level::Emerg));
    }
}
