//! From the command line to a running nginx: test it, signal it, or become it.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use super::config::{Compiled, Setup};
use super::fork::{self, Launch};
use super::logs::{self, Logs};
use super::master::{Birth, Master, Origin};
use super::running::{Candidate, Purpose, Refused, Running};
use super::signals::{self, Order, Signals};
use super::sockets::{self, Listening};
use super::ticket::{self, Outcome};
use super::{notify, pid, single, title};
use crate::diag::Severity;
use crate::load::NOT_RUN;
use crate::log::{ErrorLog, Level, console};

/// The exit code of a program that could not start.
const FAILED: i32 = 1;

/// What the program was called with.
#[derive(Debug)]
pub struct Call {
    /// Where files stand, and `-g`.
    pub setup: Setup,
    /// The program and its arguments.
    pub program: Vec<OsString>,
    /// nginx's name and version, for the log.
    pub version: &'static str,
    /// The log until the configuration's own is open.
    pub early: Arc<ErrorLog>,
}

/// Says what there is to say about a configuration, on stderr and in a log.
pub type Say<'s> = &'s dyn Fn(&Compiled, &ErrorLog);

/// Reads the configuration, and opens what it needs: all that `-t` does. `between` runs when it is fine by itself and
/// nothing is open yet.
pub fn test(call: &Call, say: Say<'_>, between: impl Fn()) -> Result<Compiled, Refused> {
    let none = Logs::default();
    let setup = Rc::new(call.setup.clone());
    let (candidate, mut compiled) = Candidate::read(&setup, &none);
    let split = compiled.diagnostics.partition_point(|one| one.stage() == 0 && one.code != NOT_RUN);
    let mut late = compiled.diagnostics.split_off(split);
    say(&compiled, &call.early);
    let is_fine = compiled.diagnostics.iter().all(|one| one.severity != Severity::Error);
    if is_fine && late.iter().all(|one| one.code != NOT_RUN) {
        between();
    }
    std::mem::swap(&mut compiled.diagnostics, &mut late);
    if !compiled.diagnostics.is_empty() {
        say(&compiled, &call.early);
    }
    std::mem::swap(&mut compiled.diagnostics, &mut late);
    compiled.diagnostics.append(&mut late);
    let candidate = candidate.ok_or(Refused)?;
    pid::test(&candidate.cycle().process.pid, &call.early).map_err(|_| Refused)?;
    candidate.open(&[], Purpose::Test, &call.early)?.warn_of_limit();
    Ok(compiled)
}

/// Sends a signal to the nginx of the pid file that the configuration names; gives the exit code.
pub fn signal(call: &Call, order: Order, say: Say<'_>) -> i32 {
    let none = Logs::default();
    let setup = Rc::new(call.setup.clone());
    let (candidate, compiled) = Candidate::read(&setup, &none);
    say(&compiled, &call.early);
    let Some(candidate) = candidate else { return FAILED };
    let log = &call.early;
    log.say(Level::Notice, "signal process started");
    let Some(pid) = pid::read(&candidate.cycle().process.pid, log) else { return FAILED };
    let signal = order.signal();
    let sent = match order {
        Order::Reload => ticket::reload(pid),
        _ => signals::send(pid, signal).map(|()| Outcome::Unknown),
    };
    match sent {
        Ok(Outcome::Done | Outcome::Unknown) => 0,
        Ok(Outcome::Refused) => {
            log.say(Level::Emerg, "the new configuration could not be put in force, the error log says why");
            FAILED
        }
        Ok(Outcome::Gone) => {
            log.say(Level::Alert, format_args!("process {pid} ended before the new configuration was in force"));
            FAILED
        }
        Ok(Outcome::Silent) => {
            let seconds = ticket::PATIENCE.as_secs();
            let what = format_args!("process {pid} has not said within {seconds} seconds what became of the reload");
            log.say(Level::Alert, what);
            FAILED
        }
        Err(error) => {
            log.say_error(Level::Alert, &error, format_args!("kill({pid}, {}) failed", signal.number()));
            FAILED
        }
    }
}

/// Becomes a running nginx; returns when that ends, with its exit code.
///
/// # Safety
/// The process has one thread.
pub unsafe fn serve(call: Call, say: Say<'_>) -> i32 {
    // SAFETY: the caller has one thread.
    unsafe { signals::die_of_faults() };
    let upgraded = std::env::var("NGINX").ok();
    let older = upgraded.as_ref().and_then(|_| rustix::process::getppid());
    let daemonized = upgraded.is_some();
    let activated = if daemonized { None } else { notify::sockets(&call.early) };
    let origin = Origin { older, daemonized, activated: activated.is_some() };
    let variable = upgraded.or(activated);
    let inherited = variable.map(|variable| sockets::inherit(&variable, &call.early));
    let Ok(running) = open(&call, say, inherited.unwrap_or_default()) else { return FAILED };
    report(&running, call.version);
    // SAFETY: the caller has one thread.
    match unsafe { launch(running, call, origin) } {
        Ok(code) => code,
        Err(Refused) => FAILED,
    }
}

fn open(call: &Call, say: Say<'_>, inherited: Vec<Listening>) -> Result<Running, Refused> {
    let none = Logs::default();
    let setup = Rc::new(call.setup.clone());
    let (candidate, compiled) = Candidate::read(&setup, &none);
    say(&compiled, &call.early);
    candidate.ok_or(Refused)?.open(&inherited, Purpose::Serve, &call.early)
}

/// nginx's first lines in its log.
fn report(running: &Running, version: &str) {
    let log = running.log();
    log.say(Level::Notice, "using the \"epoll\" event method");
    running.warn_of_limit();
    log.say(Level::Notice, version);
    let system = rustix::system::uname();
    let (name, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
    log.say(Level::Notice, format_args!("OS: {name} {release}"));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let number = |limit: Option<u64>| limit.map_or(i64::MAX.to_string(), |limit| limit.to_string());
    let (current, maximum) = (number(limit.current), number(limit.maximum));
    log.say(Level::Notice, format_args!("getrlimit(RLIMIT_NOFILE): {current}:{maximum}"));
}

/// # Safety
/// The process has one thread.
unsafe fn launch(running: Running, call: Call, origin: Origin) -> Result<i32, Refused> {
    let log = Arc::clone(running.log());
    let conf = &running.cycle.process;
    let (background, with_master) = (conf.daemon && !origin.daemonized, conf.master_process);
    let launch = if background {
        // SAFETY: the caller has one thread.
        let daemon = unsafe { fork::daemonize() };
        daemon.map_err(|error| {
            log.say_error(Level::Emerg, &error, "daemon() failed");
            Refused
        })?
    } else {
        Launch::foreground()
    };
    let signals = Signals::hold().map_err(|error| {
        log.say_error(Level::Emerg, &error, "signalfd() failed");
        Refused
    })?;
    pid::write(&conf.pid, &log).map_err(|_| Refused)?;
    logs::redirect_stderr(&log);
    console::echo(false);
    drop(call.early);
    // SAFETY: the caller has one thread, and arguments and environment were copied.
    unsafe { title::prepare() };
    let origin = Origin { daemonized: background || origin.daemonized, ..origin };
    if with_master {
        let birth = Birth { running, program: call.program, origin, launch };
        // SAFETY: the caller has one thread.
        Ok(unsafe { Master::new(birth, signals).run() })
    } else {
        // SAFETY: the caller has one thread.
        Ok(unsafe { single::run(running, signals, || launch.succeed()) })
    }
}
