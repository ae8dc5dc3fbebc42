//! The server under test as a process: started, signalled, waited for, never left behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::place::Place;
use super::wire::{PATIENCE, poll, poll_for};

/// How long connections may take to end by themselves.
const GRACE: Duration = Duration::from_secs(1);

/// How a case wants its server started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More for `-g`.
    pub globals: String,
    /// Set for the process.
    pub env: Vec<(String, String)>,
}

pub struct Server {
    child: Child,
    pid_file: PathBuf,
    stderr: PathBuf,
    daemon: bool,
}

impl Server {
    /// Starts the server and waits until it has written its pid file, which nginx does when its sockets listen.
    ///
    /// # Errors
    /// What it printed and its exit code, if it ended instead.
    pub fn start(binary: &Path, place: &Place, conf: &str, options: &Options) -> Result<Server, String> {
        let globals = globals(conf, &options.globals);
        let daemon = [conf, &globals].iter().any(|text| text.contains("daemon on;"));
        let mut server = Server {
            child: spawn(binary, place, &globals, options).map_err(|e| e.to_string())?,
            pid_file: place.join(pid_path(conf)),
            stderr: place.join("stderr.txt"),
            daemon,
        };
        let started = poll(|| match server.pid() {
            Some(pid) => Some(Ok(pid)),
            None => server.ended_early().map(Err),
        });
        match started {
            Some(Ok(_)) => Ok(server),
            Some(Err(code)) => Err(format!("{}~ exit {code}\n", server.printed())),
            None => Err(format!("{}~ wrote no pid file\n", server.printed())),
        }
    }

    fn ended_early(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        (!self.daemon || !status.success()).then(|| code(status))
    }

    /// The master's process id.
    pub fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        let line = text.strip_suffix('\n')?;
        Pid::from_raw(line.parse().ok()?)
    }

    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.pid().ok_or("no pid file")?;
        kill_process(pid, signal).map_err(|e| e.to_string())
    }

    /// What it has printed on standard error so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits for the end of the process and gives its exit code.
    pub fn wait(&mut self, patience: Duration) -> Option<String> {
        if self.daemon {
            let pid_file = &self.pid_file;
            return poll_for(patience, || (!pid_file.exists()).then(|| "gone".to_owned()));
        }
        poll_for(patience, || self.child.try_wait().ok().flatten()).map(code)
    }

    /// QUIT, so that requests whose connections are just closing get into the log; TERM for what does not end then,
    /// KILL for what does not listen. True if KILL was not needed.
    pub fn stop(&mut self) -> bool {
        let ended = !self.daemon && matches!(self.child.try_wait(), Ok(Some(_)));
        if ended || self.ends_on(Signal::QUIT, GRACE) || self.ends_on(Signal::TERM, PATIENCE) {
            return true;
        }
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        false
    }

    fn ends_on(&mut self, signal: Signal, patience: Duration) -> bool {
        self.signal(signal).is_ok() && self.wait(patience).is_some()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the binary once with more arguments and waits for it.
pub fn run(binary: &Path, place: &Place, arguments: &[String], options: &Options) -> io::Result<Output> {
    command(binary, place, options).args(arguments).output()
}

fn command(binary: &Path, place: &Place, options: &Options) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["-p", &format!("{}/", place.path().display())])
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("RNGINX_LAYOUT", "source")
        .envs(options.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null());
    command
}

fn spawn(binary: &Path, place: &Place, globals: &str, options: &Options) -> io::Result<Child> {
    command(binary, place, options)
        .args(["-g", globals])
        .stdout(Stdio::null())
        .stderr(File::create(place.join("stderr.txt"))?)
        .process_group(0)
        .spawn()
}

/// `-g` for this configuration: what the harness needs, unless the case says it itself.
fn globals(conf: &str, more: &str) -> String {
    let sets = |name: &str| says(conf, name) || says(more, name);
    let mut out = more.trim().to_owned();
    if !sets("daemon") {
        out.push_str(" daemon off;");
    }
    if !sets("pid") {
        out.push_str(" pid nginx.pid;");
    }
    // The worker must read the folder, which belongs to whoever runs the tests.
    if rustix::process::geteuid().is_root() && !sets("user") {
        out.push_str(" user root;");
    }
    out
}

fn says(conf: &str, name: &str) -> bool {
    let first = |line: &str| line.split_whitespace().next() == Some(name);
    conf.split(['\n', ';']).any(first)
}

/// Where the configuration puts the pid file.
fn pid_path(conf: &str) -> &str {
    conf.lines()
        .find_map(|line| line.trim().strip_prefix("pid "))
        .map_or("nginx.pid", |path| path.trim_end_matches(';').trim())
}

fn code(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}
