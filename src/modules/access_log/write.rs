//! Writes a line for each request that has ended.

use std::cell::RefCell;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::buffer::{self, BufferSpec};
use super::by_name::{self, CacheSpec};
use super::format::Format;
use crate::http::{LogHandler, Request, Script, is_true};
use crate::log::{Level, LogFile, Syslog};

/// The logs of a location.
pub(super) struct AccessLogs(pub(super) Box<[Log]>);

/// One of them.
pub(super) struct Log {
    target: Target,
    format: Arc<Format>,
    filter: Option<Script>,
    /// The second in which the file system was found full: nothing is written in it.
    disk_full: AtomicI64,
    /// When the last failure was told, in seconds.
    complained: AtomicI64,
}

/// Where it writes.
pub(super) enum Target {
    File {
        file: Arc<LogFile>,
        buffer: Option<Arc<BufferSpec>>,
    },
    Syslog(Arc<Syslog>),
    /// The name holds variables.
    Named {
        name: Script,
        cache: Option<CacheSpec>,
    },
}

/// A failure is told once in so many seconds.
const SILENCE: i64 = 60;

thread_local! {
    /// The line under construction.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl LogHandler for AccessLogs {
    fn log(&self, r: &Request) {
        for log in &self.0 {
            if log.filter.as_ref().is_none_or(|filter| is_true(&filter.eval(r))) {
                log.line(r);
            }
        }
    }
}

impl Log {
    pub(super) fn new(target: Target, format: Arc<Format>, filter: Option<Script>) -> Self {
        let never = || AtomicI64::new(i64::MIN / 2);
        Self { target, format, filter, disk_full: never(), complained: never() }
    }

    fn line(&self, r: &Request) {
        let now = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
        if self.disk_full.load(Ordering::Relaxed) == now {
            return;
        }
        // A variable of the format cannot log a request, so the line is free; if it were not, a new one would do.
        let mut line = LINE.take();
        line.clear();
        if let Target::Syslog(syslog) = &self.target {
            syslog.append_head(syslog.severity, &mut line);
        }
        self.format.append(r, &mut line);
        if !matches!(self.target, Target::Syslog(_)) {
            line.push(b'\n');
        }
        match &self.target {
            Target::File { file, buffer: None } => {
                self.settle(r, now, file.path().as_os_str().as_bytes(), line.len(), file.write(&line));
            }
            Target::File { file, buffer: Some(spec) } => {
                buffer::append(r, file, *spec.as_ref(), &line, &mut |length, written| {
                    self.settle(r, now, file.path().as_os_str().as_bytes(), length, written);
                });
            }
            Target::Syslog(syslog) => tell_syslog(r, &line, syslog.send(&line)),
            Target::Named { name, cache } => {
                let mut path = Vec::with_capacity(64);
                name.append(r, &mut path);
                if let Some(written) = by_name::write(r, &path, cache.as_ref(), &line) {
                    self.settle(r, now, &path, line.len(), written);
                }
            }
        }
        LINE.set(line);
    }

    fn settle(&self, r: &Request, now: i64, path: &[u8], length: usize, written: io::Result<usize>) {
        let error = match written {
            Ok(count) if count == length => return,
            Ok(count) => Ok(count),
            Err(error) => {
                if error.raw_os_error() == Some(libc::ENOSPC) {
                    self.disk_full.store(now, Ordering::Relaxed);
                }
                Err(error)
            }
        };
        if now - self.complained.load(Ordering::Relaxed) < SILENCE {
            return;
        }
        self.complained.store(now, Ordering::Relaxed);
        r.log_with(Level::Alert, |line| {
            line.put("write() to \"").bytes(path);
            match error {
                Ok(count) => line.put(format_args!("\" was incomplete: {count} of {length}")),
                Err(error) => line.put("\" failed").error(&error),
            };
        });
    }
}

fn tell_syslog(r: &Request, line: &[u8], sent: io::Result<usize>) {
    match sent {
        Ok(sent) if sent == line.len() => {}
        Ok(sent) => {
            let message = format_args!("send() to syslog has written only {sent} of {}", line.len());
            r.log(Level::Warn, message);
        }
        Err(_) => r.log(Level::Warn, "send() to syslog failed"),
    }
}
