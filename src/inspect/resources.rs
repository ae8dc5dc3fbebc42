//! What an inspection may see of the machine: files to read, and offline not even those.

use std::{
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{conf::Resources, http::User, load::Files, log::LogFile, process::find_user};

/// Files; offline, only those in one folder and below it.
pub(super) struct Nearby<'a> {
    files: &'a dyn Files,
    main: PathBuf,
    /// The folder that is in sight.
    folder: PathBuf,
    offline: bool,
}

impl<'a> Nearby<'a> {
    /// `home` is the folder in sight where that is not the main file's own.
    pub(super) fn new(files: &'a dyn Files, main: &str, home: Option<&Path>, offline: bool) -> Self {
        let own = || whole(main.as_ref()).parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let folder = home.map_or_else(own, whole);
        Self { files, main: main.into(), folder, offline }
    }

    /// The main file's bytes; none where it cannot be read.
    pub(super) fn main(&self) -> Vec<u8> {
        self.files.read(&self.main).unwrap_or_default()
    }

    fn is_in_sight(&self, path: &Path) -> bool {
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        !self.offline || path == self.main || !climbs && whole(path).starts_with(&self.folder)
    }
}

fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Files for Nearby<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.is_in_sight(path) { self.files.read(path) } else { Err(missing()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        if self.is_in_sight(folder) { self.files.list(folder) } else { Err(missing()) }
    }

    fn exists(&self, path: &Path) -> bool {
        self.is_in_sight(path) && self.files.exists(path)
    }
}

fn missing() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

/// Opens no log, and offline asks nobody for users and hosts.
pub(super) struct Nothing<'a> {
    files: &'a Nearby<'a>,
    offline: bool,
    /// The hosts whose addresses were made up, each with its own.
    pub(super) hosts: Vec<String>,
}

impl<'a> Nothing<'a> {
    pub(super) fn new(files: &'a Nearby<'a>, offline: bool) -> Self {
        Self { files, offline, hosts: Vec::new() }
    }
}

impl Resources for Nothing<'_> {
    fn log_file(&mut self, path: &Path) -> io::Result<Arc<LogFile>> {
        Ok(Arc::new(LogFile::later(path)))
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn user(&mut self, name: &str, group: Option<&str>) -> io::Result<Option<User>> {
        if self.offline {
            return Ok(Some(User { name: name.to_owned(), uid: 0, gid: 0 }));
        }
        find_user(name, group)
    }

    /// The program that will run the configuration most often is.
    fn superuser(&self) -> bool {
        true
    }

    fn host(&mut self, host: &[u8]) -> Option<Vec<IpAddr>> {
        if !self.offline {
            return crate::upstream::resolve_host(host);
        }
        let name = std::str::from_utf8(host).ok().filter(|name| can_be_a_host(name))?;
        let known = self.hosts.iter().position(|known| known == name).unwrap_or_else(|| {
            self.hosts.push(name.to_owned());
            self.hosts.len() - 1
        });
        // RFC 2544: addresses that are nobody's.
        let [high, low] = u16::try_from(known).unwrap_or(u16::MAX).to_be_bytes();
        Some(vec![Ipv4Addr::new(198, 18, high, low).into()])
    }
}

/// Whether any resolver could know a name of these bytes.
fn can_be_a_host(name: &str) -> bool {
    let parts = name.split('.').map(str::parse::<u32>);
    let is_number = parts.clone().all(|part| part.is_ok());
    let is_address = parts.clone().count() <= 4 && parts.flatten().all(|part| part < 256);
    if is_number && name.contains('.') && !is_address {
        // An address with a slip in it.
        return false;
    }
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}
