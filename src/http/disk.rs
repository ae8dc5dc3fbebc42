//! What is done to files and folders, in nginx's order and with its words in the log.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Request;
use crate::log::Level;

fn at(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// What stands at a path; a link is not followed.
pub(crate) fn look_at(path: &[u8]) -> io::Result<Metadata> {
    fs::symlink_metadata(at(path))
}

/// What stands at a path; a link is followed.
pub(crate) fn look_through(path: &[u8]) -> io::Result<Metadata> {
    fs::metadata(at(path))
}

pub(crate) fn remove(path: &[u8]) -> io::Result<()> {
    fs::remove_file(at(path))
}

pub(crate) fn remove_folder(path: &[u8]) -> io::Result<()> {
    fs::remove_dir(at(path))
}

pub(crate) fn rename(from: &[u8], to: &[u8]) -> io::Result<()> {
    fs::rename(at(from), at(to))
}

/// Permissions are as given, but for the process's mask.
pub(crate) fn make_folder(path: &[u8], access: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(access).create(at(path))
}

/// Makes the folders above a path.
pub(crate) fn make_folders(path: &[u8], access: u32) -> io::Result<()> {
    for slash in memchr::memchr_iter(b'/', path).filter(|slash| *slash > 0) {
        match make_folder(&path[..slash], access) {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EEXIST | libc::EACCES)) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn set_access(path: &[u8], access: u32) -> io::Result<()> {
    fs::set_permissions(at(path), fs::Permissions::from_mode(access))
}

/// Sets both times, in seconds since 1970.
pub(crate) fn set_time(path: &[u8], time: i64) -> io::Result<()> {
    let spec = rustix::fs::Timespec { tv_sec: time, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: spec, last_modification: spec };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?)
}

/// Copies a file with its permissions and time; `false` where that failed, and the log says why.
pub(crate) fn copy(r: &Request, from: &[u8], to: &[u8], found: &Metadata) -> bool {
    let complain = |level: Level, call: &str, path: &[u8], error: &io::Error| {
        r.log_with(level, |line| {
            line.put(call).put(" \"").bytes(path).put("\" failed").error(error);
        });
        false
    };
    let mut source = match fs::File::open(at(from)) {
        Ok(source) => source,
        Err(error) => return complain(Level::Crit, "open()", from, &error),
    };
    let access = found.mode() & 0o777;
    let target = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(access).open(at(to));
    let mut target = match target {
        Ok(target) => target,
        Err(error) => return complain(Level::Crit, "open()", to, &error),
    };
    let mut buffer = vec![0; 64 << 10];
    let mut left = found.len();
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match source.read(&mut buffer[..most]) {
            Ok(0) => {
                r.log_with(Level::Alert, |line| {
                    line.put("read() has read only 0 of ").put(most.to_string()).put(" from ").bytes(from);
                });
                return false;
            }
            Ok(read) => read,
            Err(error) => return complain(Level::Alert, "read()", from, &error),
        };
        if let Err(error) = target.write_all(&buffer[..read]) {
            return complain(Level::Alert, "write()", to, &error);
        }
        left -= read as u64;
    }
    match set_time(to, found.mtime()) {
        Ok(()) => true,
        Err(error) => complain(Level::Alert, "utimes()", to, &error),
    }
}

/// Renames a file; where that leads to another file system it is copied. `false` where it failed, and the log
/// says why.
pub(crate) fn move_to(r: &Request, from: &[u8], to: &[u8], folders: Option<u32>) -> bool {
    let mut renamed = rename(from, to);
    if let (Err(error), Some(access)) = (&renamed, folders)
        && error.raw_os_error() == Some(libc::ENOENT)
    {
        if let Err(error) = make_folders(to, access) {
            r.log_with(Level::Crit, |line| {
                line.put("mkdir() \"").bytes(to).put("\" failed").error(&error);
            });
            return false;
        }
        renamed = rename(from, to);
    }
    match renamed {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => move_across(r, from, to),
        Err(error) => say_rename(r, from, to, &error),
    }
}

fn say_rename(r: &Request, from: &[u8], to: &[u8], error: &io::Error) -> bool {
    r.log_with(Level::Crit, |line| {
        line.put("rename() \"").bytes(from).put("\" to \"").bytes(to).put("\" failed").error(error);
    });
    false
}

/// Copies beside the target first, so that nobody sees half of it.
fn move_across(r: &Request, from: &[u8], to: &[u8]) -> bool {
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).subsec_nanos();
    let beside = [to, format!(".{unique:010}").as_bytes()].concat();
    let Ok(found) = look_through(from) else { return false };
    if !copy(r, from, &beside, &found) {
        return false;
    }
    if let Err(error) = set_access(&beside, found.mode() & 0o777).and_then(|()| rename(&beside, to)) {
        say_rename(r, &beside, to, &error);
        // What could not be moved is of no use there.
        let _ = remove(&beside);
        return false;
    }
    if let Err(error) = remove(from) {
        r.log_with(Level::Crit, |line| {
            line.put("unlink() \"").bytes(from).put("\" failed").error(&error);
        });
        return false;
    }
    true
}

/// What a walk through a folder comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A file.
    File,
    /// A folder, before what is in it.
    Before,
    /// The same behind it.
    Behind,
    /// Neither.
    Other,
}

/// Walks through a folder, and as nginx does through links to folders.
///
/// # Errors
/// 500 where the folder cannot be read; the log says why. Folders in it that cannot be read are passed over.
pub(crate) fn walk(r: &Request, folder: &[u8], visit: &mut dyn FnMut(Visit, &[u8], &Metadata)) -> Result<(), u16> {
    let complain = |call: &str, path: &[u8], error: &io::Error| {
        r.log_with(Level::Crit, |line| {
            line.put(call).put(" \"").bytes(path).put("\" failed").error(error);
        });
        500u16
    };
    for entry in fs::read_dir(at(folder)).map_err(|error| complain("opendir()", folder, &error))? {
        let name = entry.map_err(|error| complain("readdir()", folder, &error))?.file_name().into_vec();
        let path = [folder, b"/", &name].concat();
        let found = match look_through(&path) {
            Ok(found) => found,
            Err(error) => {
                complain("stat()", &path, &error);
                continue;
            }
        };
        if found.is_file() {
            visit(Visit::File, &path, &found);
        } else if found.is_dir() {
            visit(Visit::Before, &path, &found);
            // The fault stands in the log; nginx goes on.
            let _ = walk(r, &path, visit);
            visit(Visit::Behind, &path, &found);
        } else {
            visit(Visit::Other, &path, &found);
        }
    }
    Ok(())
}
