//! From files to a cycle: loaded, checked and compiled, by the master from disk and by the worker from a bundle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bundle::{Answer, Bundle};
use super::logs::{Logs, Wanted};
use super::user;
use crate::check::{check, reconsider};
use crate::conf::Resources;
use crate::cycle::compile;
use crate::diag::{Diagnostic, Severity};
use crate::http::{Cycle, LocationKind, TempFolders, User};
use crate::load::{Disk, Files, Form, Loaded, Options, Supply, load};
use crate::log::{ErrorLog, Level, LogFile, Sink};
use crate::modules::runs;
use crate::paths::{self, Paths};
use crate::schema::Schema;
use crate::syntax::parse;
use crate::upstream::resolve_host;

/// What the program was started with; it stays the same over reloads.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where files stand.
    pub paths: Paths,
    /// `-g`
    pub directives: Option<String>,
    /// What the configuration file holds.
    pub form: Form,
}

/// What came of a configuration.
pub struct Compiled {
    /// The files, and where things stand in them.
    pub loaded: Loaded,
    /// Everything there is to say about it, in nginx's order.
    pub diagnostics: Vec<Diagnostic>,
    /// The cycle, where it is fine.
    pub cycle: Option<Arc<Cycle>>,
}

/// What a configuration file holds; one that cannot be read is taken for a whole configuration.
pub fn form_of(path: &Path) -> Form {
    let text = std::fs::read(path).unwrap_or_default();
    Form::of(Schema::nginx(), &path.to_string_lossy(), &parse(crate::diag::FileId(0), &text).0)
}

/// Reads a configuration from disk, with the logs that it wants, and what the worker needs to read it too.
pub fn from_disk<'r>(setup: &Setup, running: &'r Logs) -> (Compiled, Wanted<'r>, Bundle) {
    let superuser = rustix::process::geteuid().is_root();
    let record = RefCell::new(Bundle { superuser, ..Bundle::default() });
    let mut wanted = running.wanted();
    let default = setup.paths.error_log.as_deref().map(|path| wanted.default_file(path));
    let mut master = Master { record, wanted };
    let compiled = read(setup, &mut master, default.clone());
    let Master { record, mut wanted } = master;
    if let (Some(cycle), Some(default)) = (&compiled.cycle, default) {
        let files = cycle.error_log.targets().filter_map(|target| match &target.sink {
            Sink::File(file) => Some(file),
            _ => None,
        });
        wanted.settle(files.into_iter().any(|file| Arc::ptr_eq(file, &default)));
    }
    (compiled, wanted, record.into_inner())
}

/// Reads a configuration from what the master sent.
pub fn from_bundle(setup: &Setup, bundle: &Bundle, logs: &Logs) -> Compiled {
    let mut worker = Worker {
        files: bundle.files.iter().cloned().collect(),
        folders: bundle.folders.iter().cloned().collect(),
        there: bundle.there.iter().cloned().collect(),
        hosts: bundle.hosts.iter().cloned().collect(),
        superuser: bundle.superuser,
        logs,
    };
    let default = setup.paths.error_log.as_deref().and_then(|path| logs.find(path)).cloned();
    read(setup, &mut worker, default)
}

fn read<S: Files + Resources>(setup: &Setup, source: &mut S, default: Option<Arc<LogFile>>) -> Compiled {
    let options = Options {
        folder: None,
        path: setup.paths.conf.to_string_lossy().into_owned(),
        parameter: setup.directives.clone(),
        form: Some(setup.form),
        // The paths know where these are without being told by a directive.
        supply: Supply { pid: None, error_log: None, access_log: None },
    };
    let (mut loaded, mut diagnostics) = load(source, Schema::nginx(), &options);
    if loaded.sources.files().next().is_none() {
        // The main file could not be read, and of an empty one nothing is worth saying.
        return Compiled { loaded, diagnostics, cycle: None };
    }
    let checked = check(&loaded, Schema::nginx(), &runs, &mut diagnostics);
    checked.prune(&mut loaded.root);
    let fallback = Arc::new(ErrorLog::to(default.map_or(Sink::Stderr, Sink::File), Level::Error));
    let compiled = compile(&loaded, &setup.paths, fallback, source);
    diagnostics.extend(compiled.diagnostics);
    reconsider(&loaded, &mut diagnostics);
    let cycle = compiled.cycle.filter(|_| !has_errors(&diagnostics));
    loaded.sources.sort(&mut diagnostics);
    Compiled { loaded, diagnostics, cycle }
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Reads with the master's rights, and keeps what it saw for the worker.
struct Master<'r> {
    record: RefCell<Bundle>,
    wanted: Wanted<'r>,
}

impl Files for Master<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let result = Disk.read(path);
        keep(&mut self.record.borrow_mut().files, path, &result);
        result
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let result = Disk.list(folder);
        keep(&mut self.record.borrow_mut().folders, folder, &result);
        result
    }

    fn exists(&self, path: &Path) -> bool {
        let there = Disk.exists(path);
        self.record.borrow_mut().there.push((path.to_owned(), there));
        there
    }
}

fn keep<T: Clone>(record: &mut Vec<(PathBuf, Answer<T>)>, path: &Path, result: &io::Result<T>) {
    let answer = match result {
        Ok(value) => Ok(value.clone()),
        Err(error) => Err(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    record.push((path.to_owned(), answer));
}

impl Resources for Master<'_> {
    fn log_file(&mut self, path: &Path) -> io::Result<Arc<LogFile>> {
        Ok(self.wanted.file(path))
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        Files::read(self, path)
    }

    fn user(&mut self, name: &str, group: Option<&str>) -> io::Result<Option<User>> {
        user::find(name, group)
    }

    fn host(&mut self, name: &[u8]) -> Option<Vec<IpAddr>> {
        let found = resolve_host(name);
        self.record.borrow_mut().hosts.push((name.to_vec(), found.clone().unwrap_or_default()));
        found
    }

    fn superuser(&self) -> bool {
        self.record.borrow().superuser
    }
}

/// Sees what the master saw.
struct Worker<'l> {
    files: HashMap<PathBuf, Answer<Vec<u8>>>,
    folders: HashMap<PathBuf, Answer<Vec<OsString>>>,
    there: HashMap<PathBuf, bool>,
    hosts: HashMap<Vec<u8>, Vec<IpAddr>>,
    superuser: bool,
    logs: &'l Logs,
}

fn recall<T: Clone>(record: &HashMap<PathBuf, Answer<T>>, path: &Path) -> io::Result<T> {
    record.get(path).cloned().unwrap_or(Err(libc::ENOENT)).map_err(io::Error::from_raw_os_error)
}

impl Files for Worker<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        recall(&self.files, path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        recall(&self.folders, folder)
    }

    fn exists(&self, path: &Path) -> bool {
        self.there.get(path).copied().unwrap_or(false)
    }
}

impl Resources for Worker<'_> {
    fn log_file(&mut self, path: &Path) -> io::Result<Arc<LogFile>> {
        self.logs.find(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        Files::read(self, path)
    }

    /// The master has found the user, and this process is that user already.
    fn user(&mut self, name: &str, _group: Option<&str>) -> io::Result<Option<User>> {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Ok(Some(User { name: name.to_owned(), uid, gid }))
    }

    fn host(&mut self, name: &[u8]) -> Option<Vec<IpAddr>> {
        self.hosts.get(name).cloned().filter(|addresses| !addresses.is_empty())
    }

    fn superuser(&self) -> bool {
        self.superuser
    }
}

/// Folders for temporary files that a cycle uses.
pub fn temporary_folders(cycle: &Cycle) -> Vec<PathBuf> {
    let answering = cycle.locations.iter().filter(|location| location.kind != LocationKind::Http);
    let mut folders: Vec<PathBuf> =
        answering.map(|location| location.core.client_body_temp_path.path.clone()).collect();
    folders.extend(cycle.extensions.get::<TempFolders>().into_iter().flat_map(|folders| folders.0.iter().cloned()));
    folders.sort_by(|one, other| paths::bytes(one).cmp(paths::bytes(other)));
    folders.dedup();
    folders
}
