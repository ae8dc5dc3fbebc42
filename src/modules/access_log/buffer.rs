//! Buffered logs: each thread gathers lines of its own, and writes them when there are enough, when they are old
//! enough, before the file is opened again, and when the thread ends.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use flate2::{Compression, GzBuilder};

use crate::http::Request;
use crate::log::{ErrorLog, Level, LogFile, Pending};

/// `buffer=`, `flush=` and `gzip=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferSpec {
    /// In bytes.
    pub(super) size: usize,
    pub(super) flush: Option<Duration>,
    /// Level of compression.
    pub(super) gzip: Option<u32>,
}

/// What one thread has gathered for one file. The lock is taken by this thread, and hardly ever by the one that
/// opens logs again.
struct Buffer {
    file: Arc<LogFile>,
    spec: BufferSpec,
    error_log: Arc<ErrorLog>,
    lines: Mutex<Vec<u8>>,
}

thread_local! {
    static BUFFERS: RefCell<Vec<Arc<Buffer>>> = const { RefCell::new(Vec::new()) };
}

/// Takes a line. Whenever something is written, `settle` is told how much and what came of it.
pub(super) fn append(
    r: &Request,
    file: &Arc<LogFile>,
    spec: BufferSpec,
    line: &[u8],
    settle: &mut dyn FnMut(usize, io::Result<usize>),
) {
    let buffer = of_file(r, file, spec);
    let mut lines = buffer.lock();
    if lines.len() + line.len() > spec.size && !lines.is_empty() {
        let written = buffer.write(&lines);
        settle(lines.len(), written);
        lines.clear();
    }
    if line.len() > spec.size {
        return settle(line.len(), buffer.write(line));
    }
    if lines.is_empty() {
        lines.reserve_exact(spec.size);
        buffer.flush_later();
    }
    lines.extend_from_slice(line);
}

/// This thread's buffer of a file. One that an earlier configuration has left is written first.
fn of_file(r: &Request, file: &Arc<LogFile>, spec: BufferSpec) -> Arc<Buffer> {
    BUFFERS.with_borrow_mut(|buffers| {
        if let Some(buffer) = buffers.iter().find(|buffer| Arc::ptr_eq(&buffer.file, file) && buffer.spec == spec) {
            return buffer.clone();
        }
        // Those of other files go when nobody else has the file any more.
        buffers.retain(|buffer| !Arc::ptr_eq(&buffer.file, file) && Arc::strong_count(&buffer.file) > 1);
        let error_log = r.cycle().error_log.clone();
        let buffer = Arc::new(Buffer { file: file.clone(), spec, error_log, lines: Mutex::default() });
        let pending: Weak<Buffer> = Arc::downgrade(&buffer);
        file.attach(pending);
        buffers.push(buffer.clone());
        buffer
    })
}

impl Buffer {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        // Lines are whole at any time, so what a panic has left is fine.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(level) = self.spec.gzip else { return self.file.write(bytes) };
        const UNIX: u8 = 3;
        let mut encoder =
            GzBuilder::new().operating_system(UNIX).write(Vec::with_capacity(bytes.len()), Compression::new(level));
        encoder.write_all(bytes)?;
        let packed = encoder.finish()?;
        let written = self.file.write(&packed)?;
        Ok(if written == packed.len() { bytes.len() } else { written })
    }

    fn flush_later(self: &Arc<Self>) {
        let Some(time) = self.spec.flush else { return };
        let buffer = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(buffer) = buffer.upgrade() {
                buffer.flush();
            }
        });
    }
}

impl Pending for Buffer {
    fn flush(&self) {
        let mut lines = self.lock();
        if lines.is_empty() {
            return;
        }
        let path = self.file.path().display();
        match self.write(&lines) {
            Ok(count) if count == lines.len() => {}
            Ok(count) => {
                let message = format_args!("write() to \"{path}\" was incomplete: {count} of {}", lines.len());
                self.error_log.say(Level::Alert, message);
            }
            Err(error) => {
                self.error_log.say_error(Level::Alert, &error, format_args!("write() to \"{path}\" failed"));
            }
        }
        lines.clear();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn buffer(file: &Arc<LogFile>, gzip: Option<u32>) -> Arc<Buffer> {
        let spec = BufferSpec { size: 100, flush: None, gzip };
        let buffer = Arc::new(Buffer {
            file: file.clone(),
            spec,
            error_log: Arc::new(ErrorLog::none()),
            lines: Mutex::default(),
        });
        let pending: Weak<Buffer> = Arc::downgrade(&buffer);
        file.attach(pending);
        buffer
    }

    #[test]
    fn writes_before_the_file_is_opened_again_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let file = Arc::new(LogFile::open(&path).unwrap());
        let buffer = buffer(&file, None);
        buffer.lock().extend_from_slice(b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        file.replace(LogFile::open_descriptor(&path).unwrap()).unwrap();
        assert_eq!(std::fs::read(dir.path().join("a.log.1")).unwrap(), b"one\n");
        buffer.lock().extend_from_slice(b"two\n");
        drop(buffer);
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    }

    #[test]
    fn compresses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log.gz");
        let file = Arc::new(LogFile::open(&path).unwrap());
        let buffer = buffer(&file, Some(1));
        buffer.lock().extend_from_slice(b"one\ntwo\n");
        buffer.flush();
        buffer.lock().extend_from_slice(b"three\n");
        buffer.flush();
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\nthree\n");
    }
}
