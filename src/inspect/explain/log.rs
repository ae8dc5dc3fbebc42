//! The error log of an explained request: kept in memory, and read after each step.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use rustix::fs::MemfdFlags;

use crate::log::{ErrorLog, Level, LogFile, Sink};

/// A log that only we read.
pub(super) struct Notes {
    pub(super) log: Arc<ErrorLog>,
    file: File,
    read: u64,
}

impl Notes {
    pub(super) fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("rnginx explain", MemfdFlags::CLOEXEC)?;
        let file = File::from(rustix::io::fcntl_dupfd_cloexec(&memory, 0)?);
        let sink = LogFile::later(Path::new("explain"));
        sink.replace(memory)?;
        let log = ErrorLog::to(Sink::File(Arc::new(sink)), Level::Notice).with_debug();
        Ok(Self { log: Arc::new(log), file, read: 0 })
    }

    /// What was written since the last time: level and message, without what every line has.
    pub(super) fn news(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        let end = self.file.seek(SeekFrom::End(0)).unwrap_or(self.read);
        let read = self.file.seek(SeekFrom::Start(self.read)).and_then(|_| self.file.read_to_end(&mut text));
        // The descriptor is shared with the writer, whose next line belongs at the end.
        let _ = self.file.seek(SeekFrom::Start(end));
        if read.is_err() {
            return Vec::new();
        }
        self.read = end;
        String::from_utf8_lossy(&text).lines().map(shorten).collect()
    }
}

/// `2026/01/02 03:04:05 [error] 7#7: *1 MESSAGE, client: …` becomes `[error] MESSAGE`.
fn shorten(line: &str) -> String {
    let (head, message) = line.split_once(": *1 ").or_else(|| line.split_once(": ")).unwrap_or(("", line));
    let level = head.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(level, _)| level);
    let message = message.rsplit_once(", client: ").map_or(message, |(message, _)| message);
    format!("[{level}] {message}")
}
