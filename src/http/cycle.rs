//! The cycle: a compiled configuration, shared by all threads and never changed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Connection, Extensions, HostTable, Location, LocationId, Regex, VarIndex, Variable};
use crate::log::ErrorLog;

/// A compiled configuration.
pub struct Cycle {
    /// What the master and the worker need to know.
    pub process: ProcessConf,
    /// What to listen on, in the order written.
    pub listens: Vec<Listen>,
    /// All server blocks.
    pub servers: Vec<Server>,
    /// All locations, server blocks and `if` blocks among them.
    pub locations: Vec<Location>,
    /// All variables that the configuration names.
    pub variables: Vec<Variable>,
    /// Variables by name.
    pub variable_names: HashMap<Box<[u8]>, VarIndex>,
    /// Whether some variable shows a response's head before it is sent (`$sent_http_…`).
    pub shows_heads: bool,
    /// What modules keep for the whole configuration, by type.
    pub extensions: Extensions,
    /// `error_log` of the main block.
    pub error_log: Arc<ErrorLog>,
}

impl Cycle {
    /// A location by number.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.0 as usize]
    }

    /// A server by number.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.0 as usize]
    }
}

/// A server block's number in [`Cycle::servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

/// A server block.
#[derive(Debug)]
pub struct Server {
    /// The first name, for `$server_name`; empty where none was given.
    pub name: Bytes,
    /// What stands in the server block outside of locations.
    pub base: LocationId,
    /// Named locations by name, without `@`.
    pub named: HashMap<Bytes, LocationId>,
    /// `client_header_timeout`
    pub client_header_timeout: Duration,
    /// `client_header_buffer_size`, bytes.
    pub client_header_buffer_size: usize,
    /// `large_client_header_buffers`: count, and size in bytes.
    pub large_client_header_buffers: (usize, usize),
    /// `ignore_invalid_headers`
    pub ignore_invalid_headers: bool,
    /// `underscores_in_headers`
    pub underscores_in_headers: bool,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// `http2`
    pub http2: bool,
    /// `http2_max_concurrent_streams`
    pub http2_streams: u32,
    /// `http2_body_preread_size`, bytes.
    pub http2_preread: u32,
}

/// An address to listen on, and the servers behind it.
#[derive(Debug)]
pub struct Listen {
    /// How to open the socket.
    pub spec: ListenSpec,
    /// The servers by local address, for a wildcard socket that also takes connections for addresses
    /// named in other `listen` directives.
    pub by_address: Vec<(IpAddr, VirtualServers)>,
    /// The servers for all other addresses.
    pub servers: VirtualServers,
}

impl Listen {
    /// The servers for a connection, by the address it came to.
    pub fn virtual_servers(&self, local: Option<IpAddr>) -> &VirtualServers {
        let found = local.and_then(|local| self.by_address.iter().find(|(address, _)| *address == local));
        found.map_or(&self.servers, |(_, servers)| servers)
    }
}

/// How to open one listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSpec {
    /// Where.
    pub address: ListenAddress,
    /// The address as nginx writes it in messages (`0.0.0.0:80`, `unix:/run/x.sock`).
    pub text: String,
    /// Length of the accept queue.
    pub backlog: i32,
    /// `rcvbuf=`, bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=`, bytes.
    pub sndbuf: Option<usize>,
    /// `reuseport`: a socket for each thread.
    pub reuseport: bool,
    /// `deferred`
    pub deferred: bool,
    /// `ipv6only=`
    pub ipv6only: bool,
    /// `fastopen=`
    pub fastopen: Option<i32>,
    /// `so_keepalive=`
    pub keepalive: Option<KeepAlive>,
    /// `ssl`
    pub ssl: bool,
    /// `http2` on the directive itself.
    pub http2: bool,
    /// `proxy_protocol`
    pub proxy_protocol: bool,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A UNIX socket; a relative path is taken as nginx takes it.
    Unix(PathBuf),
}

/// `so_keepalive=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// On or off.
    pub on: bool,
    /// Idle time.
    pub idle: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Probes before the connection is given up.
    pub count: Option<u32>,
}

/// The servers that share an address, found by name.
#[derive(Debug)]
pub struct VirtualServers {
    /// The one that answers for all other names.
    pub default: ServerId,
    /// Names and wildcards.
    pub names: HostTable<ServerId>,
    /// `~pattern` in the order written.
    pub regexes: Vec<(Arc<Regex>, ServerId)>,
    /// `http2` as the listen directives or the default server say.
    pub http2: bool,
    /// `http2` as the listen directives say.
    pub http2_address: bool,
    /// `ssl`
    pub ssl: bool,
    /// `proxy_protocol` as the listen directives say.
    pub proxy_protocol: bool,
}

impl VirtualServers {
    /// One server for all names.
    pub fn single(default: ServerId) -> Self {
        Self {
            default,
            names: HostTable::default(),
            regexes: Vec::new(),
            http2: false,
            http2_address: false,
            ssl: false,
            proxy_protocol: false,
        }
    }

    /// Chooses by a host name in lower case, without port.
    pub fn choose(&self, host: &[u8]) -> Choice {
        self.find(host).unwrap_or(Choice { server: self.default, regex: None })
    }

    /// The same; `None` where nobody has the name.
    pub fn find(&self, host: &[u8]) -> Option<Choice> {
        if let Some(server) = self.names.find(host) {
            return Some(Choice { server: *server, regex: None });
        }
        let matches = |regex: &Regex| !host.is_empty() && regex.is_match(host).unwrap_or(false);
        let (regex, server) = self.regexes.iter().find(|(regex, _)| matches(regex))?;
        Some(Choice { server: *server, regex: Some(regex.clone()) })
    }

    /// Whose rules hold on a connection before a request names its server: those of the one that it asked for when it was
    /// encrypted.
    pub fn fallback(&self, connection: &Connection) -> ServerId {
        match connection.tls.get() {
            Some(tls) if !tls.host.is_empty() => self.choose(&tls.host).server,
            _ => self.default,
        }
    }
}

/// The server that a name chose.
pub struct Choice {
    /// The server.
    pub server: ServerId,
    /// The expression that matched; run again over a request it leaves its captures there.
    pub regex: Option<Arc<Regex>>,
}

/// What the master and the worker need to know.
#[derive(Clone, Debug)]
pub struct ProcessConf {
    /// `daemon`
    pub daemon: bool,
    /// `master_process`
    pub master_process: bool,
    /// `pid`
    pub pid: PathBuf,
    /// `lock_file`
    pub lock_file: PathBuf,
    /// `user`
    pub user: Option<User>,
    /// `worker_processes`: threads of the worker.
    pub worker_processes: usize,
    /// `worker_cpu_affinity`: the processors of each thread.
    pub worker_cpus: Option<Vec<Vec<usize>>>,
    /// `worker_connections`, for all threads of the worker each.
    pub worker_connections: usize,
    /// `worker_rlimit_nofile`
    pub worker_rlimit_nofile: Option<u64>,
    /// `worker_rlimit_core`, bytes.
    pub worker_rlimit_core: Option<u64>,
    /// `worker_priority`
    pub worker_priority: i32,
    /// `worker_shutdown_timeout`
    pub worker_shutdown_timeout: Option<Duration>,
    /// `working_directory`
    pub working_directory: Option<PathBuf>,
    /// `env`
    pub env: Vec<EnvVar>,
    /// Connections may come from addresses that are not ours: the worker keeps the right to it.
    pub transparent: bool,
    /// The prefix that relative paths stand under.
    pub prefix: PathBuf,
}

impl ProcessConf {
    /// A path as nginx takes it: relative ones stand under the prefix.
    pub fn full_path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.prefix.join(path)
    }
}

impl Default for ProcessConf {
    fn default() -> Self {
        Self {
            daemon: true,
            master_process: true,
            pid: PathBuf::new(),
            lock_file: PathBuf::new(),
            user: None,
            worker_processes: 1,
            worker_cpus: None,
            worker_connections: 512,
            worker_rlimit_nofile: None,
            worker_rlimit_core: None,
            worker_priority: 0,
            worker_shutdown_timeout: None,
            working_directory: None,
            env: Vec::new(),
            transparent: false,
            prefix: PathBuf::new(),
        }
    }
}

/// `user`, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, for the supplementary groups.
    pub name: String,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// One `env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// The name.
    pub name: String,
    /// The value; `None` keeps the one inherited.
    pub value: Option<String>,
}
