//! A folder with a configuration, and the nginx that runs in it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;

/// The user that plain users' tests run as, where the tests run as root.
pub const NOBODY: u32 = 65534;

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long may take what waits for nothing, on a machine that is busy; what it could have waited for takes far longer.
pub const AT_ONCE: Duration = Duration::from_secs(5);

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until `found` finds something.
pub fn eventually<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    eventually_or(|| panic!("never: {what}"), found)
}

/// Waits until `found` finds something; `give_up` says why it should have.
fn eventually_or<T>(give_up: impl Fn(), mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        if Instant::now() > until {
            give_up();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection to a backend, once there is one.
pub fn accept(backend: &TcpListener) -> (TcpStream, SocketAddr) {
    backend.set_nonblocking(true).unwrap();
    let (stream, from) = eventually("a connection to the backend", || backend.accept().ok());
    stream.set_nonblocking(false).unwrap();
    (stream, from)
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder with `nginx.conf`; logs and pid file stand in it.
pub struct Place {
    dir: TempDir,
    pub port: u16,
    binary: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self { dir, port: free_port(), binary: env!("CARGO_BIN_EXE_rnginx").into() }
    }

    /// One that a plain user owns.
    pub fn of_nobody() -> Self {
        let place = Self::new();
        if is_root() {
            std::os::unix::fs::chown(place.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        place
    }

    /// A place that runs another binary.
    pub fn with_binary(self, binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Writes a configuration that answers every request with a text.
    pub fn answering(&self, answer: &str) {
        self.configure("", &format!("server {{ listen 127.0.0.1:{}; return 200 {answer}; }}", self.port));
    }

    /// Writes a configuration with directives of the main block and of `http`.
    pub fn configure(&self, main: &str, http: &str) {
        self.write("nginx.conf", &configuration(main, http));
    }

    /// The configuration's name and the line of a word in it, as nginx names them.
    pub fn place_of(&self, word: &str) -> String {
        let text = self.read("nginx.conf");
        let line = text.lines().position(|line| line.contains(word)).unwrap() + 1;
        format!("{}:{line}", self.path("nginx.conf").display())
    }

    /// The program in this place.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("-p").arg(self.path("")).args(["-c", "nginx.conf", "-e", "error.log"]).args(arguments);
        command.env("RNGINX_LAYOUT", "source").stdin(Stdio::null());
        command
    }

    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Starts it in the background, which is done when this returns.
    pub fn start(self) -> Running {
        let said = self.run([]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", self.read("error.log"));
        Running { place: self }
    }

    /// What was started by other means runs here.
    pub fn running(self) -> Running {
        Running { place: self }
    }

    /// Starts it in the background as a plain user.
    pub fn start_as_nobody(self) -> Running {
        let said = Said::of(as_nobody(&mut self.command([])).output().unwrap());
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", self.read("error.log"));
        Running { place: self }
    }

    pub fn log(&self) -> String {
        self.read("error.log")
    }

    /// The messages of the error log with their levels: `[notice] start worker processes`.
    pub fn messages(&self) -> Vec<String> {
        messages(&self.log())
    }

    pub fn wait_for_message(&self, text: &str) {
        eventually_or(|| panic!("never: {text:?} in {}", self.log()), || self.log().contains(text).then_some(()));
    }
}

/// Lines of an error log without time, process and connection.
pub fn messages(log: &str) -> Vec<String> {
    let message = |line: &str| {
        let (head, message) = line.split_once(": ")?;
        Some(format!("{} {message}", head.split(' ').nth(2)?))
    };
    log.lines().filter_map(message).collect()
}

pub fn configuration(main: &str, http: &str) -> String {
    format!(
        "pid nginx.pid;\nerror_log error.log notice;\n{main}\nevents {{ }}\n\
         http {{\naccess_log access.log;\nclient_body_temp_path temp;\nproxy_temp_path temp;\n{http}\n}}\n"
    )
}

pub fn as_nobody(command: &mut Command) -> &mut Command {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A running nginx; it is ended with the test.
pub struct Running {
    pub place: Place,
}

impl Running {
    pub fn master(&self) -> i32 {
        eventually("a pid file", || self.place.read("nginx.pid").trim().parse().ok())
    }

    pub fn workers(&self) -> Vec<i32> {
        children(self.master())
    }

    pub fn worker(&self) -> i32 {
        match self.workers()[..] {
            [worker] => worker,
            ref workers => panic!("not one worker: {workers:?}"),
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.place.port)
    }

    /// The answer to a request on a new connection.
    pub fn answer(&self) -> String {
        self.client().get("/")
    }

    pub fn signal(&self, signal: i32) {
        kill(self.master(), signal);
    }

    /// Reloads, and waits until the worker serves the new configuration.
    pub fn reload(&self) {
        let done = |log: &str| log.matches("serves the new configuration").count();
        let before = done(&self.place.log());
        self.signal(libc::SIGHUP);
        eventually("the reload", || (done(&self.place.log()) > before).then_some(()));
    }

    /// Ends it, and waits until all its processes are gone.
    pub fn end(&self, signal: i32) {
        let processes = [vec![self.master()], self.workers()].concat();
        self.signal(signal);
        wait_for_end(&processes);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for name in ["nginx.pid", "nginx.pid.oldbin"] {
            if let Ok(master) = self.place.read(name).trim().parse() {
                let processes = [vec![master], children(master)].concat();
                kill(master, libc::SIGTERM);
                if !std::thread::panicking() {
                    wait_for_end(&processes);
                }
            }
        }
    }
}

pub fn wait_for_end(processes: &[i32]) {
    eventually("the end of its processes", || processes.iter().all(|pid| !is_alive(*pid)).then_some(()));
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: takes two numbers.
    unsafe { libc::kill(pid, signal) };
}

/// Whether a process runs; one that ended and was not asked for yet does not.
pub fn is_alive(pid: i32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

/// A line of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(|line| line.trim().to_owned())
}

/// The names of all files that a process has open.
pub fn open_files(pid: i32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let names = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
}

/// The processes that a process started and that still run.
pub fn children(parent: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).filter(|pid| is_alive(*pid)).collect()
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
