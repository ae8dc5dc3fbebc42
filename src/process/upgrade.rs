//! A new binary takes over: <https://nginx.org/en/docs/control.html#upgrade>.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

use super::fork::{Fork, execute, fork};
use super::privileges::environment;
use super::signals;
use super::sockets::Listening;
use crate::http::ProcessConf;
use crate::log::{ErrorLog, Level};

/// What nginx says to USR2 while an upgrade is under way.
pub const REFUSED: &str = "the changing binary signal is ignored: \
    you should shutdown or terminate before either old or new binary's process";

/// Where the old master's number stands during an upgrade.
pub fn old_pid(conf: &ProcessConf) -> PathBuf {
    let mut name = conf.pid.clone().into_os_string();
    name.push(".oldbin");
    name.into()
}

/// Starts the new binary with our sockets, and moves the pid file out of its way.
///
/// # Safety
/// The process has one thread.
pub unsafe fn start(conf: &ProcessConf, program: &[OsString], sockets: &[Listening], log: &ErrorLog) -> Option<Pid> {
    let binary = binary(program)?;
    let (pid, old) = (&conf.pid, old_pid(conf));
    if let Err(error) = std::fs::rename(pid, &old) {
        let what = format!("rename() {} to {} failed", pid.display(), old.display());
        let when = format!("before executing new binary process \"{}\"", binary.display());
        log.say_error(Level::Alert, &error, format_args!("{what} {when}"));
        return None;
    }
    let env = variables(conf, sockets);
    // SAFETY: the caller has one thread.
    match unsafe { fork() } {
        Ok(Fork::Child) => std::process::exit(become_binary(&binary, program, &env, sockets, log)),
        Ok(Fork::Parent(child)) => {
            log.say(Level::Notice, format_args!("start new binary process {}", child.as_raw_pid()));
            Some(child)
        }
        Err(error) => {
            log.say_error(Level::Alert, &error, "fork() failed while spawning \"new binary process\"");
            rename_back(conf, &binary, "an attempt to execute", "", log);
            None
        }
    }
}

/// Takes the pid file's name back when the new binary has ended.
pub fn take_pid_back(conf: &ProcessConf, program: &[OsString], log: &ErrorLog) {
    let binary = binary(program).unwrap_or_default();
    rename_back(conf, &binary, "the", " exited", log);
}

fn rename_back(conf: &ProcessConf, binary: &Path, before: &str, behind: &str, log: &ErrorLog) {
    let (pid, old) = (&conf.pid, old_pid(conf));
    if let Err(error) = std::fs::rename(&old, pid) {
        let what = format!("rename() {} back to {} failed", old.display(), pid.display());
        let when = format!("after {before} new binary process \"{}\"{behind}", binary.display());
        log.say_error(Level::Alert, &error, format_args!("{what} {when}"));
    }
}

/// In the child: leaves our sockets open, lets signals through, and becomes the binary.
fn become_binary(binary: &Path, program: &[OsString], env: &[OsString], sockets: &[Listening], log: &ErrorLog) -> i32 {
    for fd in descriptors(sockets) {
        if let Err(errno) = fcntl_setfd(fd, FdFlags::empty()) {
            log.say_error(Level::Alert, &errno.into(), format_args!("fcntl() #{} failed", fd.as_raw_fd()));
        }
    }
    if let Err(error) = signals::release() {
        log.say_error(Level::Alert, &error, "sigprocmask() failed");
    }
    let Err(error) = execute(binary, program, env);
    let what = format_args!("execve() failed while executing new binary process \"{}\"", binary.display());
    log.say_error(Level::Alert, &error, what);
    1
}

/// The binary to start: what we were started as. nginx fails where that was a plain name; we look it up as a shell does.
fn binary(program: &[OsString]) -> Option<PathBuf> {
    let name = Path::new(program.first()?);
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return Some(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.or_else(|| std::env::current_exe().ok())
}

fn variables(conf: &ProcessConf, sockets: &[Listening]) -> Vec<OsString> {
    let numbers: String = descriptors(sockets).map(|fd| format!("{};", fd.as_raw_fd())).collect();
    let given = environment(&conf.env).into_iter().map(|(name, value)| {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        variable
    });
    let layout = std::env::var("RNGINX_LAYOUT").ok().map(|name| format!("RNGINX_LAYOUT={name}").into());
    // nginx writes its title over its environment: it leaves itself the room.
    given
        .chain(layout)
        .chain([format!("NGINX={numbers}").into(), format!("SPARE={}", "X".repeat(300)).into()])
        .collect()
}

fn descriptors(sockets: &[Listening]) -> impl Iterator<Item = &OwnedFd> {
    sockets.iter().flat_map(|socket| &socket.fds).map(|fd| &**fd)
}
