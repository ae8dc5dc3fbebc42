//! Folders for temporary files, made by the master and given to the worker's user.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid};

use crate::http::User;
use crate::log::{ErrorLog, Level};

/// A folder that cannot be made; the error log has the words.
#[derive(Debug, thiserror::Error)]
#[error("could not make a folder for temporary files")]
pub struct Unmade;

/// Makes the folders that are missing, with mode 0700, and makes all of them the user's.
pub fn make(folders: &[PathBuf], user: Option<&User>, log: &ErrorLog) -> Result<(), Unmade> {
    folders.iter().try_for_each(|folder| make_one(folder, user, log))
}

fn make_one(folder: &Path, user: Option<&User>, log: &ErrorLog) -> Result<(), Unmade> {
    let name = folder.display();
    let emerg = |what: String| {
        move |error: io::Error| {
            log.say_error(Level::Emerg, &error, what);
            Unmade
        }
    };
    match rustix::fs::mkdir(folder, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(emerg(format!("mkdir() \"{name}\" failed"))(errno.into())),
    }
    let Some(user) = user else { return Ok(()) };
    let stat = rustix::fs::stat(folder).map_err(|e| emerg(format!("stat() \"{name}\" failed"))(e.into()))?;
    if stat.st_uid != user.uid {
        rustix::fs::chown(folder, Some(Uid::from_raw(user.uid)), None::<Gid>)
            .map_err(|e| emerg(format!("chown(\"{name}\", {}) failed", user.uid))(e.into()))?;
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::chmod(folder, mode | Mode::RWXU)
            .map_err(|e| emerg(format!("chmod() \"{name}\" failed"))(e.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_is_missing_and_not_what_is_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("temp");
        make(&[folder.clone(), folder.clone()], None, &ErrorLog::none()).unwrap();
        assert!(folder.is_dir());
        assert!(make(&[dir.path().join("a/b")], None, &ErrorLog::none()).is_err());
    }
}
