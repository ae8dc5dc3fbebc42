//! What a worker gives up and takes on before it serves: limits, user, folder, environment.

use std::ffi::{CString, OsString};
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::notify;
use crate::http::{EnvVar, ProcessConf, User};
use crate::log::{ErrorLog, Level};

/// A worker that cannot become what it should: it ends with code 2 and is not started again.
#[derive(Debug, thiserror::Error)]
#[error("the worker cannot run as configured")]
pub struct Fatal;

/// Makes this process a worker as configured, in nginx's order. What is only a pity is logged.
///
/// # Safety
/// The process has one thread: user and environment belong to all threads.
pub unsafe fn become_worker(conf: &ProcessConf, log: &ErrorLog) -> Result<(), Fatal> {
    // SAFETY: the caller has one thread.
    unsafe { set_environment(&conf.env) };
    set_priority(conf.worker_priority, log);
    set_limit(Resource::Nofile, "RLIMIT_NOFILE", conf.worker_rlimit_nofile, log);
    set_limit(Resource::Core, "RLIMIT_CORE", conf.worker_rlimit_core, log);
    if let Some(user) = &conf.user
        && rustix::process::geteuid().is_root()
    {
        become_user(user, conf.transparent, log)?;
    }
    // A process that changed its user leaves no core otherwise.
    if let Err(errno) = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable) {
        log.say_error(Level::Alert, &errno.into(), "prctl(PR_SET_DUMPABLE) failed");
    }
    if let Some(folder) = &conf.working_directory
        && let Err(errno) = rustix::process::chdir(folder)
    {
        log.say_error(Level::Alert, &errno.into(), format_args!("chdir(\"{}\") failed", folder.display()));
        return Err(Fatal);
    }
    Ok(())
}

fn set_priority(priority: i32, log: &ErrorLog) {
    if priority != 0
        && let Err(errno) = rustix::process::setpriority_process(None, priority)
    {
        log.say_error(Level::Alert, &errno.into(), format_args!("setpriority({priority}) failed"));
    }
}

fn set_limit(resource: Resource, name: &str, limit: Option<u64>, log: &ErrorLog) {
    if let Some(limit) = limit
        && let Err(errno) = rustix::process::setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
    {
        log.say_error(Level::Alert, &errno.into(), format_args!("setrlimit({name}, {limit}) failed"));
    }
}

fn become_user(user: &User, transparent: bool, log: &ErrorLog) -> Result<(), Fatal> {
    // SAFETY: takes a number. The call changes all threads.
    if unsafe { libc::setgid(user.gid) } == -1 {
        return Err(fatal(log, format_args!("setgid({}) failed", user.gid)));
    }
    let name = CString::new(user.name.as_bytes()).map_err(|_| Fatal)?;
    // SAFETY: `name` is NUL-terminated and lives until the call returns.
    if unsafe { libc::initgroups(name.as_ptr(), user.gid) } == -1 {
        let error = io::Error::last_os_error();
        log.say_error(Level::Emerg, &error, format_args!("initgroups({}, {}) failed", user.name, user.gid));
    }
    if transparent && let Err(errno) = rustix::thread::set_keep_capabilities(true) {
        log.say_error(Level::Emerg, &errno.into(), "prctl(PR_SET_KEEPCAPS, 1) failed");
        return Err(Fatal);
    }
    // SAFETY: takes a number. The call changes all threads.
    if unsafe { libc::setuid(user.uid) } == -1 {
        return Err(fatal(log, format_args!("setuid({}) failed", user.uid)));
    }
    if transparent { keep_raw_sockets(log) } else { Ok(()) }
}

/// Gives up all rights but that to speak from addresses that are not ours.
fn keep_raw_sockets(log: &ErrorLog) -> Result<(), Fatal> {
    let kept = CapabilitySet::NET_RAW;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(|errno| {
        log.say_error(Level::Emerg, &errno.into(), "capset() failed");
        Fatal
    })
}

fn fatal(log: &ErrorLog, what: std::fmt::Arguments<'_>) -> Fatal {
    log.say_error(Level::Emerg, &io::Error::last_os_error(), what);
    Fatal
}

/// The variables that a worker, and a new binary, are given: those that `env` names, `TZ`, and how a service manager
/// is reached.
pub fn environment(conf: &[EnvVar]) -> Vec<(OsString, OsString)> {
    let zone = EnvVar { name: "TZ".into(), value: None };
    let zone = (!conf.iter().any(|var| var.name == "TZ")).then_some(&zone);
    let given = |var: &EnvVar| {
        let value = var.value.as_ref().map(OsString::from).or_else(|| std::env::var_os(&var.name))?;
        Some((OsString::from(&var.name), value))
    };
    let service = notify::VARIABLES.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    conf.iter().chain(zone).filter_map(given).chain(service).collect()
}

/// Leaves only [`environment`].
///
/// # Safety
/// The process has one thread.
pub unsafe fn set_environment(conf: &[EnvVar]) {
    let kept = environment(conf);
    for (name, _) in std::env::vars_os() {
        // SAFETY: one thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in kept {
        // SAFETY: one thread.
        unsafe { std::env::set_var(name, value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_variables_are_kept() {
        let conf = [
            EnvVar { name: "PATH".into(), value: None },
            EnvVar { name: "A".into(), value: Some("1".into()) },
            EnvVar { name: "RNGINX_NOT_THERE".into(), value: None },
        ];
        let names: Vec<_> = environment(&conf).into_iter().map(|(name, _)| name).filter(|name| name != "TZ").collect();
        assert_eq!(names, ["PATH", "A"]);
    }
}
