//! What a user may do with a file, by the rights of every folder on the way to it.

use std::{
    fs::Metadata,
    io,
    ops::BitOr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::http::User;

/// What is to be done with a file: the bits of its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want(u32);

impl Want {
    pub(super) const READ: Self = Self(4);
    pub(super) const WRITE: Self = Self(2);
    pub(super) const SEARCH: Self = Self(1);
}

impl BitOr for Want {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who does it.
pub(super) struct Who {
    pub(super) name: String,
    uid: u32,
    groups: Vec<u32>,
    /// Whether it is who asks.
    pub(super) asks: bool,
}

/// Why it cannot be done.
#[derive(Debug)]
pub(super) struct Fault {
    /// The file or folder that is in the way.
    path: PathBuf,
    lacks: Lack,
}

#[derive(Debug)]
enum Lack {
    /// It is not there, or cannot be asked.
    Missing(io::Error),
    /// These bits; the group that has them.
    Rights { want: Want, mode: u32, group: Option<u32> },
}

impl Who {
    /// A user of the system.
    pub(super) fn of(user: &User) -> Self {
        let mut groups = groups_of(&user.name);
        groups.push(user.gid);
        let asks = rustix::process::geteuid().as_raw() == user.uid;
        Self { name: user.name.clone(), uid: user.uid, groups, asks }
    }

    /// Whoever asks.
    pub(super) fn asking() -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let groups = rustix::process::getgroups().unwrap_or_default();
        let groups = groups.iter().map(|group| group.as_raw()).chain([own.1]).collect();
        Self { name: name_of("/etc/passwd", own.0), uid: own.0, groups, asks: true }
    }

    /// Whether the way to a file is open, and this may be done with it.
    pub(super) fn reach(&self, path: &Path, want: Want) -> Result<(), Fault> {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // Links are followed: the way that counts is the real one.
        let real = whole.canonicalize().unwrap_or(whole);
        let mut folders: Vec<_> = real.ancestors().skip(1).collect();
        folders.reverse();
        folders.into_iter().try_for_each(|folder| self.may(folder, Want::SEARCH))?;
        self.may(&real, want)
    }

    /// Whether this may be done with a file, wherever it is.
    pub(super) fn may(&self, path: &Path, want: Want) -> Result<(), Fault> {
        let fault = |lacks| Fault { path: path.to_owned(), lacks };
        let data = std::fs::metadata(path).map_err(|error| fault(Lack::Missing(error)))?;
        if self.uid == 0 || self.bits(&data) & want.0 == want.0 {
            return Ok(());
        }
        let mode = data.mode();
        let group = Some(data.gid()).filter(|_| mode >> 3 & want.0 == want.0);
        Err(fault(Lack::Rights { want, mode, group }))
    }

    fn bits(&self, data: &Metadata) -> u32 {
        let mode = data.mode();
        if data.uid() == self.uid {
            mode >> 6 & 7
        } else if self.groups.contains(&data.gid()) {
            mode >> 3 & 7
        } else {
            mode & 7
        }
    }
}

impl Fault {
    /// Whether nothing is known of the file, because who asks may not look at it.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(&self.lacks, Lack::Missing(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        matches!(&self.lacks, Lack::Missing(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// What cannot be done: `read`, `write to`, `reach`.
    pub(super) fn verb(&self) -> &'static str {
        match &self.lacks {
            Lack::Missing(_) => "reach",
            Lack::Rights { want, .. } if want.0 & Want::WRITE.0 != 0 => "write to",
            Lack::Rights { want, .. } if want.0 & Want::READ.0 != 0 => "read",
            Lack::Rights { .. } => "reach",
        }
    }

    /// Which folder is in the way, and why.
    pub(super) fn words(&self, who: &Who) -> String {
        let path = self.path.display();
        match &self.lacks {
            Lack::Missing(error) => format!("{path}: {}", super::reason(error)),
            Lack::Rights { want, mode, group } => {
                let lacks = letters(*want);
                let group = group.map_or(String::new(), |group| {
                    format!(
                        "; its group {} has it, and {} is not in that group",
                        name_of("/etc/group", group),
                        who.name
                    )
                });
                format!("{path} (mode {:03o}) lacks {lacks} for {}{group}", mode & 0o7777, who.name)
            }
        }
    }

    /// The command that mends it.
    pub(super) fn repair(&self, who: &Who) -> String {
        let path = self.path.display();
        match &self.lacks {
            Lack::Missing(_) => format!("make {path}, or write the path of what is there"),
            Lack::Rights { group: Some(group), .. } => {
                format!("usermod -aG {} {}   (and start the server again)", name_of("/etc/group", *group), who.name)
            }
            Lack::Rights { want, .. } => format!("chmod o+{} {path}", letters(*want)),
        }
    }
}

fn letters(want: Want) -> String {
    let all = [(Want::READ, 'r'), (Want::WRITE, 'w'), (Want::SEARCH, 'x')];
    all.into_iter().filter(|(bit, _)| want.0 & bit.0 != 0).map(|(_, letter)| letter).collect()
}

/// The name of a number in the system's files; the number where it has none.
fn name_of(file: &str, number: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| number.to_string())
}

/// The groups that a user was added to.
fn groups_of(user: &str) -> Vec<u32> {
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let number = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == user).then_some(number)
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_folder_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        let stranger = Who { name: "stranger".into(), uid: 61_234, groups: vec![61_234], asks: false };
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let fault = stranger.reach(&closed.join("file"), Want::READ).unwrap_err();
        assert!(
            fault.words(&stranger).contains("closed (mode 700) lacks x for stranger"),
            "{}",
            fault.words(&stranger)
        );
        assert!(fault.repair(&stranger).starts_with("chmod o+x "));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o750)).unwrap();
        let fault = stranger.reach(&closed.join("file"), Want::READ).unwrap_err();
        assert!(fault.repair(&stranger).starts_with("usermod -aG "), "{}", fault.repair(&stranger));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.reach(&closed.join("file"), Want::READ).is_ok());
        let fault = stranger.reach(&closed.join("none"), Want::READ).unwrap_err();
        assert!(fault.words(&stranger).ends_with("none: No such file or directory"));
    }
}
