//! Opens files without following symbolic links: one component of the path after the other.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use crate::http::{FileFault, FileStat, OpenedFile, open_file, stat_file};

/// What symbolic links in a path mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symlinks {
    Follow,
    Refuse {
        /// Links are followed whose owner owns what they lead to.
        owner_may_link: bool,
        /// Links are followed in so many bytes of the path; a slash stands behind them.
        from: usize,
    },
}

const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

pub(super) fn stat(path: &[u8], symlinks: Symlinks) -> Result<FileStat, FileFault> {
    match symlinks {
        Symlinks::Follow => stat_file(path),
        Symlinks::Refuse { .. } => Ok(open(path, symlinks)?.stat),
    }
}

pub(super) fn open(path: &[u8], symlinks: Symlinks) -> Result<OpenedFile, FileFault> {
    let (file, stat) = match symlinks {
        Symlinks::Follow => open_file(path)?,
        Symlinks::Refuse { owner_may_link, from } => {
            let file = open_strictly(path, owner_may_link, from)?;
            let stat = fstat(&file).map_err(|errno| FileFault::new("fstat()", errno))?;
            (file, FileStat::new(&stat))
        }
    };
    Ok(OpenedFile { file: Some(Rc::new(file)), stat })
}

fn open_strictly(path: &[u8], owner_may_link: bool, from: usize) -> Result<OwnedFd, FileFault> {
    let (start, rest): (&[u8], _) = match path.strip_prefix(b"/") {
        _ if from > 0 => (&path[..from], &path[from + 1..]),
        Some(rest) => (b"/", rest),
        None => (b".", path),
    };
    let mut folder = openat(CWD, start, SEARCH, Mode::empty()).map_err(|errno| FileFault::new("open()", errno))?;
    let step = |folder: &OwnedFd, name: &[u8], flags| {
        open_step(folder, name, flags, owner_may_link).map_err(|errno| FileFault::new("openat()", errno))
    };
    let mut names = rest.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        match (names.peek(), name) {
            // What ends in a slash is a folder.
            (None, b"") => return step(&folder, b".", READ),
            (None, name) => return step(&folder, name, READ),
            (Some(_), b"") => {}
            (Some(_), name) => folder = step(&folder, name, SEARCH)?,
        }
    }
    step(&folder, b".", READ)
}

fn open_step(folder: impl AsFd, name: &[u8], flags: OFlags, owner_may_link: bool) -> Result<OwnedFd, Errno> {
    if !owner_may_link {
        return openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty());
    }
    let file = openat(&folder, name, flags, Mode::empty())?;
    let (link, target) = (statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?, fstat(&file)?);
    if link.st_uid == target.st_uid { Ok(file) } else { Err(Errno::LOOP) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn refuses_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/file"), b"text").unwrap();
        std::os::unix::fs::symlink("real", root.join("folder")).unwrap();
        std::os::unix::fs::symlink("file", root.join("real/link")).unwrap();
        let at = |name: &str| root.join(name).as_os_str().as_bytes().to_vec();
        let open = |name: &str, owner_may_link, from| {
            open(&at(name), Symlinks::Refuse { owner_may_link, from }).map(|opened| opened.stat.size)
        };
        assert_eq!(open("real/file", false, 0).unwrap(), 4);
        assert_eq!(open("real//file", false, 0).unwrap(), 4);
        assert!(open("real/", false, 0).is_ok());
        for name in ["real/link", "folder/file", "folder/link"] {
            let fault = open(name, false, 0).unwrap_err();
            assert_eq!(fault.call, "openat()");
            assert!([libc::ELOOP, libc::ENOTDIR].contains(&fault.errno()), "{name}: {fault}");
            assert_eq!(open(name, true, 0).unwrap(), 4);
        }
        assert_eq!(open("folder/file", false, at("folder").len()).unwrap(), 4);
        assert!(open("folder/link", false, at("folder").len()).is_err());
        assert_eq!(open("nothing/file", false, at("nothing").len()).unwrap_err().call, "open()");
        assert_eq!(open("real/file/", false, 0).unwrap_err().errno(), libc::ENOTDIR);
    }
}
