//! Where nginx's files stand: the layout that was chosen when we were built, and what `-p`, `-c` and `-e` make of it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// nginx's `configure --…-path` arguments. A relative path stands under the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `--prefix`, with its `/`.
    pub prefix: &'static str,
    /// `--conf-path`
    pub conf: &'static str,
    /// `--error-log-path`
    pub error_log: &'static str,
    /// `--http-log-path`
    pub http_log: &'static str,
    /// `--pid-path`
    pub pid: &'static str,
    /// `--lock-path`
    pub lock: &'static str,
    /// `--modules-path`
    pub modules: &'static str,
    /// `--http-client-body-temp-path`
    pub client_body_temp: &'static str,
    /// `--http-proxy-temp-path`
    pub proxy_temp: &'static str,
    /// `--http-fastcgi-temp-path`
    pub fastcgi_temp: &'static str,
    /// `--http-uwsgi-temp-path`
    pub uwsgi_temp: &'static str,
    /// `--http-scgi-temp-path`
    pub scgi_temp: &'static str,
    /// `--user` and `--group`: whom workers run as where the configuration does not say; none is `nobody`.
    pub user: Option<&'static str>,
}

impl Layout {
    /// Debian's nginx package.
    pub const DEBIAN: Self = Self {
        prefix: "/usr/share/nginx/",
        conf: "/etc/nginx/nginx.conf",
        error_log: "/var/log/nginx/error.log",
        http_log: "/var/log/nginx/access.log",
        pid: "/run/nginx.pid",
        lock: "/var/lock/nginx.lock",
        modules: "/usr/lib/nginx/modules",
        client_body_temp: "/var/lib/nginx/body",
        proxy_temp: "/var/lib/nginx/proxy",
        fastcgi_temp: "/var/lib/nginx/fastcgi",
        uwsgi_temp: "/var/lib/nginx/uwsgi",
        scgi_temp: "/var/lib/nginx/scgi",
        user: None,
    };

    /// nginx.org's packages and the official image.
    pub const OFFICIAL: Self = Self {
        prefix: "/etc/nginx/",
        conf: "/etc/nginx/nginx.conf",
        error_log: "/var/log/nginx/error.log",
        http_log: "/var/log/nginx/access.log",
        pid: "/run/nginx.pid",
        lock: "/run/nginx.lock",
        modules: "/usr/lib/nginx/modules",
        client_body_temp: "/var/cache/nginx/client_temp",
        proxy_temp: "/var/cache/nginx/proxy_temp",
        fastcgi_temp: "/var/cache/nginx/fastcgi_temp",
        uwsgi_temp: "/var/cache/nginx/uwsgi_temp",
        scgi_temp: "/var/cache/nginx/scgi_temp",
        user: Some("nginx"),
    };

    /// nginx's own defaults, everything under `/usr/local/nginx`.
    pub const SOURCE: Self = Self {
        prefix: "/usr/local/nginx/",
        conf: "conf/nginx.conf",
        error_log: "logs/error.log",
        http_log: "logs/access.log",
        pid: "logs/nginx.pid",
        lock: "logs/nginx.lock",
        modules: "modules",
        client_body_temp: "client_body_temp",
        proxy_temp: "proxy_temp",
        fastcgi_temp: "fastcgi_temp",
        uwsgi_temp: "uwsgi_temp",
        scgi_temp: "scgi_temp",
        user: None,
    };

    /// The layout that the variable `RNGINX_LAYOUT` named when we were built: `debian` (the default), `official` or
    /// `source`.
    pub const BUILT: Self = match option_env!("RNGINX_LAYOUT") {
        None => Self::DEBIAN,
        Some(name) => match Self::named(name) {
            Some(layout) => layout,
            None => panic!("RNGINX_LAYOUT is debian, official or source"),
        },
    };

    /// The layout of a name.
    pub const fn named(name: &str) -> Option<Self> {
        match name.as_bytes() {
            b"debian" => Some(Self::DEBIAN),
            b"official" => Some(Self::OFFICIAL),
            b"source" => Some(Self::SOURCE),
            _ => None,
        }
    }

    /// The layout that the environment's `RNGINX_LAYOUT` names, or else the one we were built with.
    pub fn chosen() -> Self {
        std::env::var("RNGINX_LAYOUT").ok().and_then(|name| Self::named(&name)).unwrap_or(Self::BUILT)
    }

    /// The arguments of nginx's `configure` that would give this layout, in the order of Debian's `-V`.
    pub fn arguments(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let user = self.user.into_iter().flat_map(|name| [("user", name), ("group", name)]);
        let paths = [
            ("prefix", self.prefix.trim_end_matches('/')),
            ("conf-path", self.conf),
            ("http-log-path", self.http_log),
            ("error-log-path", self.error_log),
            ("lock-path", self.lock),
            ("pid-path", self.pid),
            ("modules-path", self.modules),
            ("http-client-body-temp-path", self.client_body_temp),
            ("http-fastcgi-temp-path", self.fastcgi_temp),
            ("http-proxy-temp-path", self.proxy_temp),
            ("http-scgi-temp-path", self.scgi_temp),
            ("http-uwsgi-temp-path", self.uwsgi_temp),
        ];
        paths.into_iter().chain(user)
    }
}

/// Where one run of the program has its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What relative names stand under.
    pub prefix: PathBuf,
    /// The configuration file.
    pub conf: PathBuf,
    /// What the names of included files stand under: the configuration file's folder.
    pub conf_prefix: PathBuf,
    /// The log until the configuration names one, and where it names none; `None` is stderr.
    pub error_log: Option<PathBuf>,
    /// The layout behind the rest.
    pub layout: Layout,
    /// Where the layout's relative names stand: the prefix, but for a site's file in a plain user's hands.
    pub state: PathBuf,
}

/// What the command line says about paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// `-p`
    pub prefix: Option<&'a OsStr>,
    /// `-c`
    pub conf: Option<&'a OsStr>,
    /// `-e`
    pub error_log: Option<&'a OsStr>,
}

impl Paths {
    /// The paths of nginx with these options.
    ///
    /// One thing is ours: a relative `-c` that nginx would not find under the prefix, and that stands in the current
    /// directory, is that file.
    pub fn new(layout: Layout, given: Given<'_>) -> Self {
        let prefix = given.prefix.map_or_else(|| PathBuf::from(layout.prefix), with_slash);
        let conf = conf(&prefix, &layout, given);
        Self {
            conf_prefix: conf.parent().map(|folder| with_slash(folder.as_os_str())).unwrap_or_default(),
            error_log: error_log(&prefix, &layout, given.error_log),
            state: prefix.clone(),
            prefix,
            conf,
            layout,
        }
    }

    /// The paths of a file that is a site or a fragment of one: it has no word to say where logs, pid and temporary
    /// files are. With `-p` they stand under the prefix; without it, the prefix is the file's folder, and they stand
    /// where the layout says for root, and in the user's own state folder for others.
    #[must_use]
    pub fn for_site(self, given: Given<'_>) -> Self {
        if given.prefix.is_some() {
            return self.keeping_state_in(None, given);
        }
        let prefix = self.conf_prefix.clone();
        if rustix::process::geteuid().is_root() {
            return Self { prefix, ..self };
        }
        let state = state_folder(&self.conf);
        Self { prefix, ..self }.keeping_state_in(Some(state), given)
    }

    fn keeping_state_in(self, state: Option<PathBuf>, given: Given<'_>) -> Self {
        let layout = Layout { prefix: self.layout.prefix, ..Layout::SOURCE };
        let state = state.unwrap_or_else(|| self.prefix.clone());
        Self { error_log: error_log(&state, &layout, given.error_log), layout, state, ..self }
    }

    /// A file that the layout names, such as [`Layout::pid`].
    pub fn of(&self, file: &str) -> PathBuf {
        self.state.join(file)
    }

    /// A name in the configuration, made full.
    pub fn full(&self, name: impl AsRef<Path>) -> PathBuf {
        self.prefix.join(name)
    }
}

fn conf(prefix: &Path, layout: &Layout, given: Given<'_>) -> PathBuf {
    let Some(name) = given.conf else { return prefix.join(layout.conf) };
    let full = prefix.join(name);
    if given.prefix.is_none() && !full.exists() {
        let here = std::env::current_dir().map(|here| here.join(name)).ok();
        return here.filter(|here| here.exists()).unwrap_or(full);
    }
    full
}

fn error_log(prefix: &Path, layout: &Layout, given: Option<&OsStr>) -> Option<PathBuf> {
    let name = given.unwrap_or_else(|| OsStr::new(layout.error_log));
    (name != "stderr" && !name.is_empty()).then(|| prefix.join(name))
}

fn with_slash(folder: &OsStr) -> PathBuf {
    let mut folder = folder.to_owned();
    if !folder.is_empty() && !folder.as_encoded_bytes().ends_with(b"/") {
        folder.push("/");
    }
    folder.into()
}

/// `$XDG_STATE_HOME/rnginx/NAME/`, or the same under `~/.local/state`, or under the folder for temporary files: the first
/// that can be made, and is ours.
fn state_folder(conf: &Path) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("rnginx-{user}"));
    let bases = [set("XDG_STATE_HOME"), set("HOME").map(|home| home.join(".local/state"))];
    let bases: Vec<_> = bases.into_iter().flatten().map(|base| base.join("rnginx")).collect();
    let is_ours = |base: &&PathBuf| {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(base);
        made.is_ok() && base.metadata().is_ok_and(|data| data.is_dir() && data.uid() == user)
    };
    let base = bases.iter().chain([&temporary]).find(is_ours).unwrap_or(&temporary);
    with_slash(base.join(conf.file_stem().unwrap_or(OsStr::new("site"))).as_os_str())
}

/// A path's bytes, for messages and for the directives that we supply.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// A path of bytes that came from a configuration.
pub fn from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec()).into()
}

/// A path as a URI (RFC 3986): absolute with its scheme, relative as a reference.
pub fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri += &format!("%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(prefix: Option<&'a str>, conf: Option<&'a str>, error_log: Option<&'a str>) -> Given<'a> {
        Given { prefix: prefix.map(OsStr::new), conf: conf.map(OsStr::new), error_log: error_log.map(OsStr::new) }
    }

    #[test]
    fn without_options_it_is_the_layout() {
        let paths = Paths::new(Layout::DEBIAN, Given::default());
        assert_eq!(paths.prefix, Path::new("/usr/share/nginx/"));
        assert_eq!(paths.conf, Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(bytes(&paths.conf_prefix), b"/etc/nginx/");
        assert_eq!(paths.error_log.as_deref(), Some(Path::new("/var/log/nginx/error.log")));
        assert_eq!(paths.of(paths.layout.pid), Path::new("/run/nginx.pid"));
    }

    #[test]
    fn names_are_joined_as_nginx_joins_them() {
        let paths = Paths::new(Layout::SOURCE, given(Some("p"), None, None));
        assert_eq!(bytes(&paths.conf), b"p/conf/nginx.conf");
        assert_eq!(bytes(&paths.conf_prefix), b"p/conf/");
        assert_eq!(bytes(&paths.of(paths.layout.pid)), b"p/logs/nginx.pid");
        assert_eq!(bytes(&paths.full("html")), b"p/html");
        assert_eq!(bytes(&paths.full("/srv")), b"/srv");
    }

    #[test]
    fn stderr_is_not_a_file() {
        assert_eq!(Paths::new(Layout::SOURCE, given(None, None, Some("stderr"))).error_log, None);
    }

    #[test]
    fn a_relative_file_is_looked_for_under_the_prefix_and_then_here() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(Paths::new(Layout::DEBIAN, given(None, Some("Cargo.toml"), None)).conf, here.join("Cargo.toml"));
        let missing = Paths::new(Layout::DEBIAN, given(None, Some("no-such-file"), None));
        assert_eq!(missing.conf, Path::new("/usr/share/nginx/no-such-file"));
        let under = Paths::new(Layout::DEBIAN, given(Some("/p"), Some("Cargo.toml"), None));
        assert_eq!(under.conf, Path::new("/p/Cargo.toml"));
    }

    #[test]
    fn a_site_keeps_its_state_under_the_prefix_that_was_given() {
        let given = given(Some("/p"), Some("/srv/shop.conf"), None);
        let paths = Paths::new(Layout::DEBIAN, given).for_site(given);
        assert_eq!(paths.of(paths.layout.pid), Path::new("/p/logs/nginx.pid"));
        assert_eq!(paths.error_log.as_deref(), Some(Path::new("/p/logs/error.log")));
        assert_eq!(paths.full("static"), Path::new("/p/static"));
    }
}
