//! The machine that a configuration is for: sockets, folders, ports, upstreams and certificates, looked at where they are. Each
//! finding names the command that repairs it.

mod access;
mod certificate;
mod pages;
mod ports;

pub use pages::{FINDINGS, Finding, finding};

use std::{
    collections::HashSet,
    io,
    net::{SocketAddr, TcpStream},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Inspection, effective::Nests};
use crate::{
    diag::{Diagnostic, FileId, Span},
    paths,
    process::{find_user, temporary_folders},
    schema::Context,
    syntax::{Directive, Word},
    upstream::{Address, UriPart, parse_url},
};
use access::{Fault, Want, Who};

/// How long connecting to an upstream may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Files of a root that are looked at, at most.
const MOST_FILES: usize = 2000;

/// Looks at the machine. What is found are warnings: tomorrow it may be otherwise.
pub fn machine(look: &Inspection) -> Vec<Diagnostic> {
    let mut machine = Machine { look, who: workers(look), seen: HashSet::new(), found: Vec::new() };
    for nest in Nests::new(look).all() {
        for directive in nest.own() {
            machine.directive(directive, nest.context());
        }
    }
    if look.cycle.is_some() {
        machine.ports();
        machine.temp_folders();
    } else {
        let message = "ports and folders for temporary files were not looked at: what is said above stands in the way";
        machine.found.push(Diagnostic::note("not-seen", message));
    }
    let mut found = machine.found;
    found.extend(certificate::check(look));
    look.loaded.sources.sort(&mut found);
    found
}

/// Whom the workers run as: the `user` that is written, here or in the `nginx.conf` that a part belongs to. Without one
/// root's are the usual nobody's, and everybody else's are their own.
fn workers(look: &Inspection) -> Who {
    let user = |tree: &[Directive]| {
        let words = tree.iter().find(|one| *one.name.value == *b"user")?.args.clone();
        let group = words.get(1).map(|word| word.text().into_owned());
        find_user(&words.first()?.text(), group.as_deref()).ok().flatten()
    };
    let above = || {
        let text = std::fs::read(look.paths.conf_prefix.join("nginx.conf")).ok()?;
        user(&crate::syntax::parse(FileId::default(), &text).0)
    };
    let usual = || {
        let cycle = look.cycle.as_ref().and_then(|cycle| cycle.process.user.clone());
        let is_root = rustix::process::geteuid().is_root();
        let nobody = || ["nogroup", "nobody"].iter().find_map(|group| find_user("nobody", Some(group)).ok().flatten());
        cycle.or_else(nobody).filter(|_| is_root)
    };
    let is_part = look.context != Context::MAIN;
    let found = user(&look.loaded.root).or_else(|| is_part.then(above).flatten()).or_else(usual);
    found.map_or_else(Who::asking, |user| Who::of(&user))
}

struct Machine<'a> {
    look: &'a Inspection,
    who: Who,
    /// What was looked at already.
    seen: HashSet<(&'static str, PathBuf)>,
    found: Vec<Diagnostic>,
}

impl Machine<'_> {
    fn directive(&mut self, directive: &Directive, context: Context) {
        let Some(word) = directive.args.first().filter(|word| !word.value.contains(&b'$')) else { return };
        match &*directive.name.value {
            b"root" | b"alias" => self.root(word),
            b"error_log" | b"access_log" => self.log(word, "log"),
            b"pid" => self.log(word, "pid file"),
            b"server" if context.intersects(Context::UPSTREAM) => self.upstream(word, &word.value, 80),
            b"proxy_pass" => {
                let value = &word.value;
                let secure = value.strip_prefix(b"https://").map(|rest| (rest, 443));
                if let Some((rest, port)) = secure.or_else(|| value.strip_prefix(b"http://").map(|rest| (rest, 80))) {
                    self.upstream(word, rest, port);
                }
            }
            b"grpc_pass" => {
                let value = &word.value;
                let secure = value.strip_prefix(b"grpcs://").map(|rest| (rest, 443));
                let (rest, port) = secure.unwrap_or((value.strip_prefix(b"grpc://").unwrap_or(value), 80));
                self.upstream(word, rest, port);
            }
            b"fastcgi_pass" | b"uwsgi_pass" | b"scgi_pass" | b"memcached_pass" => self.upstream(word, &word.value, 0),
            _ => {}
        }
    }

    fn is_new(&mut self, what: &'static str, path: &Path) -> bool {
        self.seen.insert((what, path.to_owned()))
    }

    /// A folder of files to be sent, and files in it.
    fn root(&mut self, word: &Word) {
        let path = self.look.paths.full(paths::from_bytes(&word.value));
        if !self.is_new("root", &path) {
            return;
        }
        let want = if path.is_dir() { Want::READ | Want::SEARCH } else { Want::READ };
        if let Err(fault) = self.who.reach(&path, want) {
            self.found.push(self.told("root-unreadable", word.span, &path, &fault));
        } else if let Some((file, fault)) = self.unreadable_file(&path, word.span) {
            self.found.push(self.told("root-unreadable", word.span, &file, &fault));
        }
    }

    /// The first file below a folder that workers cannot read.
    fn unreadable_file(&mut self, folder: &Path, at: Span) -> Option<(PathBuf, Fault)> {
        let (mut folders, mut looked) = (vec![folder.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    if error.kind() == io::ErrorKind::PermissionDenied && !self.who.asks {
                        self.hidden(at, &folder);
                    }
                    continue;
                }
            };
            for entry in entries.filter_map(Result::ok) {
                looked += 1;
                if looked > MOST_FILES {
                    return None;
                }
                let (path, kind) = (entry.path(), entry.file_type().ok()?);
                let want = if kind.is_dir() { Want::SEARCH } else { Want::READ };
                match self.who.may(&path, want) {
                    Err(fault) if !kind.is_symlink() => return Some((path, fault)),
                    _ if kind.is_dir() => folders.push(path),
                    _ => {}
                }
            }
        }
        None
    }

    /// The master opens logs and writes the pid file, as root most often: the folder must be there.
    fn log(&mut self, word: &Word, what: &str) {
        let name = paths::from_bytes(&word.value);
        let is_file = !matches!(&*word.value, b"off" | b"stderr") && !word.value.starts_with(b"syslog:");
        let path = self.look.paths.full(name);
        if !is_file || !self.is_new("log", &path) {
            return;
        }
        let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return };
        match std::fs::metadata(folder) {
            Ok(data) if data.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.hidden(word.span, folder),
            _ => {
                let message = format!("the folder of the {what} {} is missing", path.display());
                let fault = Diagnostic::warning("missing-folder", message).at(word.span);
                self.found.push(fault.help(format!("mkdir -p {}", folder.display())));
            }
        }
    }

    fn temp_folders(&mut self) {
        let Some(cycle) = &self.look.cycle else { return };
        for folder in &temporary_folders(cycle) {
            let parent = folder.parent().unwrap_or(Path::new("/"));
            let is_hidden = |path: &Path| {
                std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            };
            if is_hidden(folder) || is_hidden(parent) {
                self.unseen(folder);
            } else if !folder.exists() && !parent.is_dir() {
                let message = format!("the folder {} for temporary files cannot be made", folder.display());
                let fault = Diagnostic::warning("missing-folder", message);
                self.found.push(fault.help(format!("mkdir -p {}", parent.display())));
            } else if folder.is_dir()
                // Root gives them to the workers' user when it starts.
                && self.who.asks
                && !rustix::process::geteuid().is_root()
                && self.who.may(folder, Want::WRITE | Want::SEARCH).is_err()
            {
                let message = format!("{} cannot write temporary files into {}", self.who.name, folder.display());
                let help = format!("chown {} {}", self.who.name, folder.display());
                self.found.push(Diagnostic::warning("temp-folder", message).help(help));
            }
        }
    }

    /// A server that requests are sent to.
    fn upstream(&mut self, word: &Word, url: &[u8], port: u16) {
        let Ok(url) = parse_url(url, port, UriPart::Allowed) else { return };
        match url.address {
            Some(Address::Unix(address)) => {
                // A name in the abstract has no folders around it.
                if let Some(path) = address.path() {
                    self.socket(word.span, &paths::from_bytes(path.to_bytes()));
                }
            }
            Some(Address::Tcp(address)) => self.listens(word.span, address),
            None if url.no_port && port == 0 => {}
            None => {
                let is_upstream = self.is_upstream(url.host);
                let found = if is_upstream { None } else { crate::upstream::resolve_host(url.host) };
                for ip in found.into_iter().flatten() {
                    self.listens(word.span, SocketAddr::new(ip, url.port));
                }
            }
        }
    }

    fn is_upstream(&self, name: &[u8]) -> bool {
        let http = self.look.loaded.root.iter().flat_map(Directive::children);
        http.into_iter().any(|one| {
            let is_it = one.args.first().is_some_and(|word| word.value.eq_ignore_ascii_case(name));
            *one.name.value == *b"upstream" && is_it
        })
    }

    fn listens(&mut self, at: Span, address: SocketAddr) {
        if !self.is_new("upstream", Path::new(&address.to_string())) {
            return;
        }
        if let Err(error) = TcpStream::connect_timeout(&address, PATIENCE) {
            let message = format!("nobody answers on {address}: {}", reason(&error));
            let help =
                format!("start the program behind it; who listens here says: ss -ltn 'sport = :{}'", address.port());
            self.found.push(Diagnostic::warning("upstream-down", message).at(at).help(help));
        }
    }

    /// A UNIX socket: the way to it, the right to write to it, and somebody behind it.
    fn socket(&mut self, at: Span, path: &Path) {
        if !self.is_new("socket", path) {
            return;
        }
        if let Err(fault) = self.who.reach(path, Want::WRITE) {
            let told = self.told("socket-unreachable", at, path, &fault);
            let help =
                format!("start the program that makes it; sockets that are open: ss -lx | grep {}", path.display());
            self.found.push(if fault.is_missing() { told.help(help) } else { told });
            return;
        }
        let is_socket = std::fs::metadata(path).is_ok_and(|data| data.file_type().is_socket());
        let refused = UnixStream::connect(path).err();
        let message = match refused {
            _ if !is_socket => format!("{} is no socket", path.display()),
            Some(error) if error.kind() == io::ErrorKind::PermissionDenied && !self.who.asks => {
                return self.hidden(at, path);
            }
            Some(error) => format!("nobody listens behind {}: {}", path.display(), reason(&error)),
            None => return,
        };
        let help = format!("start the program behind it; who has it open says: ss -lx src {}", path.display());
        self.found.push(Diagnostic::warning("upstream-down", message).at(at).help(help));
    }

    /// What is at a place cannot be told, because who asks may not look at it.
    fn hidden(&mut self, at: Span, path: &Path) {
        self.unseen(path);
        if let Some(last) = self.found.pop() {
            self.found.push(last.at(at));
        }
    }

    fn unseen(&mut self, path: &Path) {
        self.found.push(unseen(path));
    }

    fn told(&self, code: &'static str, at: Span, path: &Path, fault: &Fault) -> Diagnostic {
        if fault.is_hidden() {
            return unseen(path).at(at);
        }
        let message = format!("{} cannot {} {}", self.who.name, fault.verb(), path.display());
        Diagnostic::warning(code, message).at(at).label(fault.words(&self.who)).help(fault.repair(&self.who))
    }
}

/// A note about what was not looked at.
fn unseen(path: &Path) -> Diagnostic {
    let asking = Who::asking().name;
    let note = Diagnostic::note("not-seen", format!("{} was not looked at: {asking} may not", path.display()));
    note.help("ask again as root: sudo rnginx check --system …")
}

/// The system's words without the number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
