//! A configuration in force: its cycle, and the sockets and logs that are open for it.

use std::rc::Rc;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::bundle::Bundle;
use super::config::{Compiled, Setup, from_disk, temporary_folders};
use super::logs::{self, Logs, Wanted};
use super::sockets::{self, Listening, Plan};
use super::{folders, lost, pid};
use crate::http::{Cycle, ProcessConf};
use crate::load::{level, sentence};
use crate::log::{ErrorLog, Level, refresh_zone};

/// A configuration in force.
pub struct Running {
    /// What the program was started with.
    pub setup: Rc<Setup>,
    /// The compiled configuration.
    pub cycle: Arc<Cycle>,
    /// Its sockets, in the order of the cycle's `listens`.
    pub sockets: Vec<Listening>,
    /// Its logs.
    pub logs: Logs,
    /// What a worker needs to compile it too.
    pub bundle: Bundle,
}

/// A configuration that is fine by itself; whether its files, folders and ports are is not known yet.
pub struct Candidate<'r> {
    setup: Rc<Setup>,
    cycle: Arc<Cycle>,
    wanted: Wanted<'r>,
    bundle: Bundle,
}

/// Why a configuration did not come into force; the error log has the words.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used")]
pub struct Refused;

/// What a configuration is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To see whether it could be: `-t`.
    Test,
    /// To serve.
    Serve,
}

impl<'r> Candidate<'r> {
    /// Reads the configuration; `running` are the logs that are open already.
    pub fn read(setup: &Rc<Setup>, running: &'r Logs) -> (Option<Self>, Compiled) {
        refresh_zone();
        let (compiled, wanted, bundle) = from_disk(setup, running);
        let cycle = compiled.cycle.clone();
        let candidate = cycle.map(|cycle| Self { setup: Rc::clone(setup), cycle, wanted, bundle });
        (candidate, compiled)
    }

    /// Its cycle.
    pub fn cycle(&self) -> &Arc<Cycle> {
        &self.cycle
    }

    /// Opens what it needs, in nginx's order. `old` are sockets that are open already; `log` takes complaints until its
    /// own log is open.
    pub fn open(self, old: &[Listening], purpose: Purpose, log: &ErrorLog) -> Result<Running, Refused> {
        let conf = &self.cycle.process;
        folders::make(&temporary_folders(&self.cycle), conf.user.as_ref(), log).map_err(|_| Refused)?;
        let logs = self.wanted.open(log).map_err(|_| Refused)?;
        let log = &self.cycle.error_log;
        let specs: Vec<_> = self.cycle.listens.iter().map(|listen| listen.spec.clone()).collect();
        let plan = Plan { threads: conf.worker_processes, testing: purpose == Purpose::Test, log };
        let sockets = sockets::open(&specs, old, plan).map_err(|_| Refused)?;
        if purpose == Purpose::Serve {
            sockets::configure(&sockets, old, log);
        }
        Ok(Running { setup: self.setup, cycle: self.cycle, sockets, logs, bundle: self.bundle })
    }
}

impl Running {
    /// Its error log.
    pub fn log(&self) -> &Arc<ErrorLog> {
        &self.cycle.error_log
    }

    /// Reads the configuration again and puts it in force in this process. Where that fails the old one stays, and its
    /// log says why.
    pub fn reload(&mut self) -> Result<(), Refused> {
        let log = Arc::clone(self.log());
        log.say(Level::Notice, "reconfiguring");
        let (candidate, compiled) = Candidate::read(&self.setup, &self.logs);
        say(&compiled, &log);
        let candidate = candidate.ok_or(Refused)?;
        let (old_pid, new_pid) = (&self.cycle.process.pid, &candidate.cycle.process.pid);
        if old_pid != new_pid {
            pid::write(new_pid, &log).map_err(|_| Refused)?;
            pid::remove(old_pid, &log);
        }
        let serial = self.bundle.serial + 1;
        let mut new = candidate.open(&self.sockets, Purpose::Serve, &log)?;
        new.bundle.serial = serial;
        logs::redirect_stderr(new.log());
        lost::say(&self.cycle, &new.cycle, new.log());
        sockets::remove_unused(&self.sockets, &new.sockets, new.log());
        new.warn_of_limit();
        *self = new;
        Ok(())
    }

    /// Says where the system lets us open fewer files than there may be connections.
    pub fn warn_of_limit(&self) {
        let ProcessConf { worker_connections, worker_rlimit_nofile, .. } = self.cycle.process;
        let connections = worker_connections as u64;
        let system = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if connections > system && worker_rlimit_nofile.is_none_or(|limit| connections > limit) {
            let limit = worker_rlimit_nofile.unwrap_or(system);
            let what = format_args!("{connections} worker_connections exceed open file resource limit: {limit}");
            self.log().say(Level::Warn, what);
        }
    }

    /// Opens the logs again for USR1.
    pub fn reopen_logs(&self) {
        self.log().say(Level::Notice, "reopening logs");
        self.logs.reopen(self.cycle.process.user.as_ref().map(|user| user.uid), self.log());
    }
}

/// Says in the error log what there is to say about a configuration.
pub fn say(compiled: &Compiled, log: &ErrorLog) {
    for diagnostic in &compiled.diagnostics {
        log.say(level(diagnostic), sentence(&compiled.loaded.sources, diagnostic));
    }
}
