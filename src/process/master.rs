//! The master process: reads, binds and opens with all rights, keeps one worker running, and serves nobody itself.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::channel::Channel;
use super::children::{Child, Children, Role, mourn, spawn};
use super::fork::{Fork, Launch};
use super::notify::{self, Watchdog};
use super::running::Running;
use super::signals::{self, How, Received, Signal, Signals};
use super::sockets::Listening;
use super::ticket::{Outcome, Ticket};
use super::wait::wait;
use super::worker::{self, answer, order};
use super::{pid, sockets, title, upgrade};
use crate::http::ProcessConf;
use crate::log::{ErrorLog, Level};

/// How long the first TERM may take, and from when on it is a KILL.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LAST_DELAY: Duration = Duration::from_millis(1000);

/// The master.
pub struct Master {
    running: Running,
    signals: Signals,
    children: Children,
    phase: Phase,
    /// Whether a worker is to be started when the loop comes round.
    wanted: Start,
    /// The program and its arguments, for a new binary.
    program: Vec<OsString>,
    origin: Origin,
    /// The new binary that we started.
    new_binary: Option<Pid>,
    /// WINCH came: no workers until HUP, or until the new binary is gone.
    no_workers: bool,
    /// The parent that waits for the first worker to serve.
    launch: Option<Launch>,
    /// Who waits for the end of a reload.
    tickets: Vec<Ticket>,
    /// Whether a reload has begun and not ended.
    reloads: bool,
    watchdog: Watchdog,
}

/// Where a master comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The nginx that started us and whose sockets we took over.
    pub older: Option<Pid>,
    /// Whether we run in the background, or took sockets over from a nginx that does.
    pub daemonized: bool,
    /// Whether a service manager opened our sockets.
    pub activated: bool,
}

/// What a master is born with.
pub struct Birth {
    /// The configuration in force.
    pub running: Running,
    /// The program and its arguments.
    pub program: Vec<OsString>,
    /// Where we come from.
    pub origin: Origin,
    /// The parent that waits for us.
    pub launch: Launch,
}

enum Phase {
    Running,
    Quitting,
    Terminating { delay: Duration, again: Instant },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    No,
    /// In the place of one that died.
    Again,
    /// The first one, or the first after a while without.
    First,
    /// One that takes over from those that run.
    Instead,
}

impl Master {
    /// A master with its signals held.
    pub fn new(birth: Birth, signals: Signals) -> Self {
        Self {
            running: birth.running,
            signals,
            children: Children::default(),
            phase: Phase::Running,
            wanted: Start::First,
            program: birth.program,
            origin: birth.origin,
            new_binary: None,
            no_workers: false,
            launch: Some(birth.launch),
            tickets: Vec::new(),
            reloads: false,
            watchdog: Watchdog::new(),
        }
    }

    /// Runs until it is told to end, and returns its exit code; in a worker, the worker's.
    ///
    /// # Safety
    /// The process has one thread.
    pub unsafe fn run(mut self) -> i32 {
        title::set(&self.title());
        loop {
            // SAFETY: the caller has one thread, and a master never starts another.
            if let Some(channel) = unsafe { self.start_worker() } {
                // SAFETY: a forked process has one thread.
                return unsafe { worker::run(self.into_seed(channel)) };
            }
            self.wait();
            if !matches!(self.phase, Phase::Running) && !self.children.has_workers() {
                return self.exit();
            }
        }
    }

    fn title(&self) -> String {
        let arguments = self.program.iter().map(|word| word.to_string_lossy());
        arguments.fold("nginx: master process".to_owned(), |title, word| title + " " + &word)
    }

    fn log(&self) -> &Arc<ErrorLog> {
        self.running.log()
    }

    fn conf(&self) -> &ProcessConf {
        &self.running.cycle.process
    }

    /// Starts a worker where one is wanted; `Some` in the worker.
    ///
    /// # Safety
    /// The process has one thread.
    unsafe fn start_worker(&mut self) -> Option<Channel> {
        let wanted = std::mem::replace(&mut self.wanted, Start::No);
        if wanted == Start::No || !matches!(self.phase, Phase::Running) {
            return None;
        }
        if wanted != Start::Again {
            self.log().say(Level::Notice, "start worker processes");
        }
        // SAFETY: the caller has one thread.
        match unsafe { spawn() } {
            Ok((Fork::Child, channel)) => return Some(channel),
            Ok((Fork::Parent(pid), channel)) => {
                self.log().say(Level::Notice, format_args!("start worker process {}", pid.as_raw_pid()));
                self.children.add(Child::worker(pid, channel, wanted == Start::Instead));
            }
            Err((call, error)) => {
                let what = format_args!("{call}() failed while spawning \"worker process\"");
                self.log().say_error(Level::Alert, &error, what);
                self.launched();
            }
        }
        None
    }

    /// What a worker is made of; what is the master's alone is closed.
    fn into_seed(self, channel: Channel) -> worker::Seed {
        let Running { setup, cycle, sockets, logs, bundle } = self.running;
        let serial = bundle.serial;
        worker::Seed { setup, cycle, sockets, logs, serial, channel, signals: self.signals }
    }

    fn wait(&mut self) {
        let log = Arc::clone(self.log());
        let patience = match self.phase {
            Phase::Terminating { again, .. } => Some(again.saturating_duration_since(Instant::now())),
            _ => self.watchdog.tick(&log),
        };
        let (pids, lines): (Vec<_>, Vec<_>) = self.children.lines().unzip();
        let fds: Vec<_> = [Some(self.signals.as_fd())].into_iter().chain(lines).collect();
        let ready = wait(&fds, patience);
        let heard: Vec<Pid> =
            pids.into_iter().zip(&ready[1..]).filter(|(_, ready)| **ready).map(|(pid, _)| pid).collect();
        for child in heard {
            self.hear(child);
        }
        while let Some(received) = self.signals.next() {
            self.receive(received);
        }
        if let Phase::Terminating { again, .. } = self.phase
            && again <= Instant::now()
        {
            self.terminate();
        }
    }

    /// Reads what a worker answers.
    fn hear(&mut self, pid: Pid) {
        let mut buffer = [0; 16];
        loop {
            let Some(child) = self.children.find(pid) else { return };
            let Some(channel) = child.channel() else { return };
            match channel.receive_short(&mut buffer) {
                Ok(Some([answer::READY, ..])) => self.worker_serves(pid),
                Ok(Some([answer::DONE, ..])) => {
                    let what = format_args!("worker process {} serves the new configuration", pid.as_raw_pid());
                    self.log().say(Level::Notice, what);
                    self.tell(Outcome::Done);
                }
                Ok(Some([answer::FAILED, ..])) if !child.exiting => self.replace_worker(),
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(None) | Err(_) => child.role = Role::Worker(None),
            }
        }
    }

    /// Tells who waits for the end of a reload.
    fn tell(&mut self, outcome: Outcome) {
        if !matches!(outcome, Outcome::Unknown) && std::mem::take(&mut self.reloads) {
            notify::ready(self.log());
        }
        self.tickets.drain(..).for_each(|ticket| ticket.tell(outcome));
    }

    fn worker_serves(&mut self, pid: Pid) {
        self.launched();
        self.tell(Outcome::Done);
        let child = self.children.find(pid);
        if child.is_some_and(|child| std::mem::take(&mut child.replaces)) {
            self.tell_workers(Signal::Quit, Some(pid));
        }
    }

    /// Lets the parent go that waits for us.
    fn launched(&mut self) {
        if let Some(launch) = self.launch.take() {
            launch.succeed();
            notify::ready(self.log());
        }
    }

    fn receive(&mut self, received: Received) {
        let refused = received.signal == Signal::Usr2 && self.upgrades_already();
        let action = match received.signal {
            Signal::Quit => Some("shutting down"),
            Signal::Term | Signal::Int => Some("exiting"),
            Signal::Winch if self.origin.daemonized => Some("stop accepting connections"),
            Signal::Hup => Some("reconfiguring"),
            Signal::Usr1 => Some("reopening logs"),
            Signal::Usr2 if refused => Some("ignoring"),
            Signal::Usr2 => Some("changing binary"),
            Signal::Winch | Signal::Chld | Signal::Kill => None,
        };
        self.log().say(Level::Notice, received.notice(action));
        if refused {
            self.log().say(Level::Crit, upgrade::REFUSED);
            return;
        }
        match received.signal {
            Signal::Chld => self.reap(),
            Signal::Term | Signal::Int => self.terminate_now(),
            Signal::Quit => self.quit(),
            _ if !matches!(self.phase, Phase::Running) => {}
            Signal::Hup => {
                let ticket = received.sender.zip(received.number);
                self.tickets.extend(ticket.and_then(|(sender, number)| Ticket::open(sender, number)));
                self.reloads = true;
                notify::reloading(self.log());
                self.reconfigure();
            }
            Signal::Usr1 => self.reopen(),
            Signal::Usr2 => self.change_binary(),
            Signal::Winch if self.origin.daemonized => self.stop_accepting(),
            Signal::Winch | Signal::Kill => {}
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = signals::reap() {
            let child = self.children.remove(ended.pid);
            mourn(ended, child.as_ref(), self.log());
            match child {
                Some(Child { role: Role::NewBinary, .. }) => self.new_binary_ended(),
                Some(child) => self.worker_ended(&child, ended.how),
                None => {}
            }
        }
    }

    fn worker_ended(&mut self, child: &Child, how: How) {
        // nginx's parent does not wait at all: one that ends at once must not hold ours for ever.
        self.launched();
        if how == How::Code(2) {
            self.tell(Outcome::Refused);
        } else if child.respawn && !child.exiting && self.wanted == Start::No {
            self.wanted = if child.replaces { Start::Instead } else { Start::Again };
        }
    }

    fn new_binary_ended(&mut self) {
        upgrade::take_pid_back(self.conf(), &self.program, self.log());
        self.new_binary = None;
        if std::mem::take(&mut self.no_workers) {
            self.wanted = Start::First;
        }
    }

    fn reconfigure(&mut self) {
        if self.new_binary.is_some() {
            self.no_workers = false;
            self.wanted = Start::First;
            return;
        }
        let before = self.conf().clone();
        if self.running.reload().is_err() {
            self.tell(Outcome::Refused);
            return;
        }
        if self.no_workers || !swaps(&before, self.conf()) || !self.hand_over() {
            self.no_workers = false;
            self.wanted = Start::Instead;
        }
    }

    /// Sends the configuration to the worker that runs; says whether there was one that took it.
    fn hand_over(&mut self) -> bool {
        let Some(channel) = self.children.serving().and_then(Child::channel) else { return false };
        let Running { sockets, logs, bundle, .. } = &mut self.running;
        let fds = bundle.carry(sockets, logs);
        let sent = channel.send(order::REPLACE, &bundle.encode(), &fds);
        if let Err(error) = &sent {
            self.log().say_error(Level::Alert, error, "sendmsg() to the worker process failed");
        }
        sent.is_ok()
    }

    /// Starts a worker with the configuration that the running one could not put in force.
    fn replace_worker(&mut self) {
        self.log().say(Level::Warn, "the worker process could not change its configuration, starting another");
        self.wanted = Start::Instead;
    }

    fn reopen(&mut self) {
        self.running.reopen_logs();
        let open = self.running.logs.files().filter_map(|file| Some((file.path(), file.descriptor()?)));
        let (paths, fds): (Vec<_>, Vec<_>) = open.unzip();
        let text = paths.iter().fold(Vec::new(), |mut text, path| {
            text.push(0);
            text.extend(crate::paths::bytes(path));
            text
        });
        self.children.reopen(&text, &fds, self.log());
    }

    fn quit(&mut self) {
        if let Phase::Running = self.phase {
            self.phase = Phase::Quitting;
            self.say_stopping();
        }
        self.tell_workers(Signal::Quit, None);
        self.close_sockets();
    }

    /// The service ends with us, unless another binary goes on with it.
    fn say_stopping(&self) {
        if self.new_binary.is_none() && !self.older_runs() {
            notify::stopping(self.log());
        }
    }

    fn terminate_now(&mut self) {
        if !matches!(self.phase, Phase::Terminating { .. }) {
            self.phase = Phase::Terminating { delay: FIRST_DELAY, again: Instant::now() };
            self.say_stopping();
            self.terminate();
        }
    }

    /// Tells the workers to end at once, and when they do not, tells them again and at last does not ask.
    fn terminate(&mut self) {
        let Phase::Terminating { delay, .. } = self.phase else { return };
        self.phase = Phase::Terminating { delay: delay * 2, again: Instant::now() + delay };
        self.tell_workers(if delay > LAST_DELAY { Signal::Kill } else { Signal::Term }, None);
    }

    fn tell_workers(&mut self, signal: Signal, except: Option<Pid>) {
        let log = Arc::clone(self.log());
        self.children.tell(signal, except, &log);
    }

    fn stop_accepting(&mut self) {
        self.no_workers = true;
        self.tell_workers(Signal::Quit, None);
    }

    /// Whether the nginx whose sockets we took over still runs.
    fn older_runs(&self) -> bool {
        self.origin.older.is_some() && rustix::process::getppid() == self.origin.older
    }

    /// nginx's rule: not while the other binary's master runs.
    fn upgrades_already(&self) -> bool {
        self.new_binary.is_some() || self.older_runs()
    }

    fn change_binary(&mut self) {
        self.log().say(Level::Notice, "changing binary");
        // SAFETY: a master has one thread.
        let started = unsafe { upgrade::start(self.conf(), &self.program, &self.running.sockets, self.log()) };
        if let Some(pid) = started {
            self.new_binary = Some(pid);
            self.children.add(Child::new_binary(pid));
        }
    }

    fn close_sockets(&mut self) {
        let sockets = std::mem::take(&mut self.running.sockets);
        let theirs = self.older_runs() || self.origin.activated;
        let keep = |socket: &Listening| self.new_binary.is_some() || (socket.inherited && theirs);
        sockets::close(sockets, keep, self.log());
    }

    fn exit(mut self) -> i32 {
        pid::remove(&self.pid_file(), self.log());
        self.log().say(Level::Notice, "exit");
        self.close_sockets();
        0
    }

    fn pid_file(&self) -> PathBuf {
        if self.new_binary.is_some() { upgrade::old_pid(self.conf()) } else { self.conf().pid.clone() }
    }
}

/// Whether a running worker can become one of the new configuration: what it took on at its birth must be the same.
fn swaps(old: &ProcessConf, new: &ProcessConf) -> bool {
    old.user == new.user
        && old.worker_processes == new.worker_processes
        && old.worker_cpus == new.worker_cpus
        && old.worker_rlimit_nofile == new.worker_rlimit_nofile
        && old.worker_rlimit_core == new.worker_rlimit_core
        && old.worker_priority == new.worker_priority
        && old.working_directory == new.working_directory
        && old.env == new.env
}
