//! The pid file: <https://nginx.org/en/docs/ngx_core_module.html#pid>.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::log::{ErrorLog, Level};

/// Writes our number into the file.
pub fn write(path: &Path, log: &ErrorLog) -> io::Result<()> {
    let mut file = open(path, true).inspect_err(|error| failed("open", path, error, log))?;
    let pid = std::process::id();
    file.write_all(format!("{pid}\n").as_bytes()).inspect_err(|error| failed("pwrite", path, error, log))
}

/// Sees whether the file could be written, and leaves it as it is: what `-t` does.
pub fn test(path: &Path, log: &ErrorLog) -> io::Result<()> {
    open(path, false).map(drop).inspect_err(|error| failed("open", path, error, log))
}

/// Removes the file.
pub fn remove(path: &Path, log: &ErrorLog) {
    if let Err(error) = std::fs::remove_file(path) {
        log.say_error(Level::Alert, &error, format_args!("unlink() \"{}\" failed", path.display()));
    }
}

/// Reads the number of a running nginx; what is wrong is logged in its words.
pub fn read(path: &Path, log: &ErrorLog) -> Option<i32> {
    let complain = |level, call: &str, error: &io::Error| {
        log.say_error(level, error, format_args!("{call}() \"{}\" failed", path.display()));
    };
    let file = File::open(path).inspect_err(|error| complain(Level::Error, "open", error)).ok()?;
    let mut text = Vec::new();
    // A longer number than 20 digits is none.
    file.take(22).read_to_end(&mut text).inspect_err(|error| complain(Level::Crit, "pread", error)).ok()?;
    let digits = text.trim_ascii_end();
    let pid = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).filter(|pid: &i32| *pid >= 0);
    if pid.is_none() {
        log.write(Level::Error, None, |line| {
            line.put("invalid PID number \"").bytes(digits);
            line.put(format_args!("\" in \"{}\"", path.display()));
        });
    }
    pid
}

fn open(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o644).open(path)
}

fn failed(call: &str, path: &Path, error: &io::Error, log: &ErrorLog) {
    log.say_error(Level::Emerg, error, format_args!("{call}() \"{}\" failed", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let log = ErrorLog::none();
        write(&path, &log).unwrap();
        test(&path, &log).unwrap();
        assert_eq!(read(&path, &log), i32::try_from(std::process::id()).ok());
        remove(&path, &log);
        assert_eq!(read(&path, &log), None);
    }

    #[test]
    fn refuses_what_is_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for text in ["", "\n", "abc\n", "-1\n", "12x"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path, &ErrorLog::none()), None, "{text:?}");
        }
    }
}
