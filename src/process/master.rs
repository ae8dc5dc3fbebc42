//! The master process: reads, binds and opens with all rights, keeps one worker running, and serves nobody itself.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::channel::Channel;
use super::fork::{Fork, Launch, fork};
use super::running::Running;
use super::signals::{self, Ended, How, Received, Signal, Signals};
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
    children: Vec<Child>,
    phase: Phase,
    /// Whether a worker is to be started when the loop comes round.
    wanted: Start,
    /// The program and its arguments, for a new binary.
    program: Vec<OsString>,
    /// Whether we run in the background, or took sockets over from a nginx that does.
    daemonized: bool,
    /// The process that started us: another nginx where we took over its sockets.
    parent: Option<Pid>,
    /// The new binary that we started.
    new_binary: Option<Pid>,
    /// WINCH came: no workers until HUP, or until the new binary is gone.
    no_workers: bool,
    /// The parent that waits for the first worker to serve.
    launch: Option<Launch>,
    /// Who waits for the end of a reload.
    tickets: Vec<Ticket>,
}

/// What a master is born with.
pub struct Birth {
    /// The configuration in force.
    pub running: Running,
    /// The program and its arguments.
    pub program: Vec<OsString>,
    /// Whether we run in the background, or took sockets over from a nginx that does.
    pub daemonized: bool,
    /// The process that started us.
    pub parent: Option<Pid>,
    /// The parent that waits for us.
    pub launch: Launch,
}

struct Child {
    pid: Pid,
    role: Role,
    /// It was told to end.
    exiting: bool,
    /// It is started again when it ends by itself.
    respawn: bool,
    /// The others are told to end as soon as it serves.
    replaces: bool,
}

enum Role {
    /// With its line, until that breaks.
    Worker(Option<Channel>),
    NewBinary,
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

impl Child {
    fn name(&self) -> &'static str {
        match self.role {
            Role::Worker(_) => "worker process",
            Role::NewBinary => "new binary process",
        }
    }

    fn is_worker(&self) -> bool {
        matches!(self.role, Role::Worker(_))
    }

    fn channel(&self) -> Option<&Channel> {
        match &self.role {
            Role::Worker(channel) => channel.as_ref(),
            Role::NewBinary => None,
        }
    }
}

impl Master {
    /// A master with its signals held.
    pub fn new(birth: Birth, signals: Signals) -> Self {
        Self {
            running: birth.running,
            signals,
            children: Vec::new(),
            phase: Phase::Running,
            wanted: Start::First,
            program: birth.program,
            daemonized: birth.daemonized,
            parent: birth.parent,
            new_binary: None,
            no_workers: false,
            launch: Some(birth.launch),
            tickets: Vec::new(),
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
            if !matches!(self.phase, Phase::Running) && !self.children.iter().any(Child::is_worker) {
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
                let (role, replaces) = (Role::Worker(Some(channel)), wanted == Start::Instead);
                self.children.push(Child { pid, role, exiting: false, respawn: true, replaces });
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
        let patience = match self.phase {
            Phase::Terminating { again, .. } => Some(again.saturating_duration_since(Instant::now())),
            _ => None,
        };
        let channels = self.children.iter().map(|child| child.channel().map(AsFd::as_fd));
        let fds: Vec<Option<BorrowedFd<'_>>> = [Some(self.signals.as_fd())].into_iter().chain(channels).collect();
        let ready = wait(&fds, patience);
        let heard: Vec<Pid> =
            self.children.iter().zip(&ready[1..]).filter(|(_, ready)| **ready).map(|(child, _)| child.pid).collect();
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
            let Some(child) = self.children.iter_mut().find(|child| child.pid == pid) else { return };
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
        self.tickets.drain(..).for_each(|ticket| ticket.tell(outcome));
    }

    fn worker_serves(&mut self, pid: Pid) {
        self.launched();
        self.tell(Outcome::Done);
        let child = self.children.iter_mut().find(|child| child.pid == pid);
        if child.is_some_and(|child| std::mem::take(&mut child.replaces)) {
            self.tell_workers(Signal::Quit, Some(pid));
        }
    }

    /// Lets the parent go that waits for us.
    fn launched(&mut self) {
        if let Some(launch) = self.launch.take() {
            launch.succeed();
        }
    }

    fn receive(&mut self, received: Received) {
        let refused = received.signal == Signal::Usr2 && self.upgrades_already();
        let action = match received.signal {
            Signal::Quit => Some("shutting down"),
            Signal::Term | Signal::Int => Some("exiting"),
            Signal::Winch if self.daemonized => Some("stop accepting connections"),
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
                self.reconfigure();
            }
            Signal::Usr1 => self.reopen(),
            Signal::Usr2 => self.change_binary(),
            Signal::Winch if self.daemonized => self.stop_accepting(),
            Signal::Winch | Signal::Kill => {}
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = signals::reap() {
            let child = self.children.iter().position(|child| child.pid == ended.pid);
            let child = child.map(|at| self.children.swap_remove(at));
            self.mourn(ended, child.as_ref());
            match child {
                Some(Child { role: Role::NewBinary, .. }) => self.new_binary_ended(),
                Some(child) => self.worker_ended(&child, ended.how),
                None => {}
            }
        }
    }

    fn mourn(&self, ended: Ended, child: Option<&Child>) {
        let name = child.map_or("unknown process", Child::name);
        let pid = ended.pid.as_raw_pid();
        match ended.how {
            How::Signal(signal, core) => {
                let core = if core { " (core dumped)" } else { "" };
                self.log().say(Level::Alert, format_args!("{name} {pid} exited on signal {signal}{core}"));
            }
            How::Code(code) => self.log().say(Level::Notice, format_args!("{name} {pid} exited with code {code}")),
        }
        if ended.how == How::Code(2) && child.is_some_and(|child| child.respawn) {
            let what = "exited with fatal code 2 and cannot be respawned";
            self.log().say(Level::Alert, format_args!("{name} {pid} {what}"));
        }
    }

    fn worker_ended(&mut self, child: &Child, how: How) {
        // nginx's parent does not wait at all: one that ends at once must not hold ours for ever.
        self.launched();
        if how == How::Code(2) {
            self.tell(Outcome::Refused);
        } else if child.respawn && !child.exiting && self.wanted == Start::No {
            self.wanted = Start::Again;
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
        let Some(worker) = self.children.iter().find(|child| child.respawn && !child.exiting) else { return false };
        let Some(channel) = worker.channel() else { return false };
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
        for child in &self.children {
            if let Some(Err(error)) = child.channel().map(|channel| channel.send(order::REOPEN, &text, &fds)) {
                self.log().say_error(Level::Alert, &error, "sendmsg() to the worker process failed");
                self.kill(child.pid, Signal::Usr1);
            }
        }
    }

    fn quit(&mut self) {
        if let Phase::Running = self.phase {
            self.phase = Phase::Quitting;
        }
        self.tell_workers(Signal::Quit, None);
        self.close_sockets();
    }

    fn terminate_now(&mut self) {
        if !matches!(self.phase, Phase::Terminating { .. }) {
            self.phase = Phase::Terminating { delay: FIRST_DELAY, again: Instant::now() };
            self.terminate();
        }
    }

    /// Tells the workers to end at once, and when they do not, tells them again and at last does not ask.
    fn terminate(&mut self) {
        let Phase::Terminating { delay, .. } = self.phase else { return };
        self.phase = Phase::Terminating { delay: delay * 2, again: Instant::now() + delay };
        self.tell_workers(if delay > LAST_DELAY { Signal::Kill } else { Signal::Term }, None);
    }

    fn stop_accepting(&mut self) {
        self.no_workers = true;
        self.tell_workers(Signal::Quit, None);
    }

    fn tell_workers(&mut self, signal: Signal, except: Option<Pid>) {
        let kind = match signal {
            Signal::Quit => Some(order::QUIT),
            Signal::Term => Some(order::TERMINATE),
            _ => None,
        };
        let told = |child: &&mut Child| {
            child.is_worker() && Some(child.pid) != except && !(child.exiting && signal == Signal::Quit)
        };
        let mut deaf = Vec::new();
        for child in self.children.iter_mut().filter(told) {
            child.exiting = true;
            let send = |kind| child.channel().is_some_and(|channel| channel.send(kind, b"", &[]).is_ok());
            if !kind.is_some_and(send) {
                deaf.push(child.pid);
            }
        }
        for pid in deaf {
            self.kill(pid, signal);
        }
    }

    fn kill(&self, pid: Pid, signal: Signal) {
        let pid = pid.as_raw_pid();
        if let Err(error) = signals::send(pid, signal) {
            self.log().say_error(Level::Alert, &error, format_args!("kill({pid}, {}) failed", signal.number()));
        }
    }

    /// nginx's rule: not while the other binary's master runs.
    fn upgrades_already(&self) -> bool {
        self.new_binary.is_some() || rustix::process::getppid() == self.parent
    }

    fn change_binary(&mut self) {
        self.log().say(Level::Notice, "changing binary");
        // SAFETY: a master has one thread.
        let started = unsafe { upgrade::start(self.conf(), &self.program, &self.running.sockets, self.log()) };
        if let Some(pid) = started {
            self.new_binary = Some(pid);
            self.children.push(Child { pid, role: Role::NewBinary, exiting: false, respawn: false, replaces: false });
        }
    }

    fn close_sockets(&mut self) {
        let sockets = std::mem::take(&mut self.running.sockets);
        let theirs = rustix::process::getppid() == self.parent;
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

/// Forks, with a line between the two; says which call failed.
///
/// # Safety
/// The process has one thread.
unsafe fn spawn() -> Result<(Fork, Channel), (&'static str, io::Error)> {
    let (here, there) = Channel::pair().map_err(|error| ("socketpair", error))?;
    // SAFETY: the caller has one thread.
    let fork = unsafe { fork() }.map_err(|error| ("fork", error))?;
    let end = if matches!(fork, Fork::Child) { there } else { here };
    Ok((fork, end))
}

/// Whether a running worker can become one of the new configuration: what it took on at its birth must be the same.
fn swaps(old: &ProcessConf, new: &ProcessConf) -> bool {
    old.user == new.user
        && old.worker_processes == new.worker_processes
        && old.worker_rlimit_nofile == new.worker_rlimit_nofile
        && old.worker_rlimit_core == new.worker_rlimit_core
        && old.worker_priority == new.worker_priority
        && old.working_directory == new.working_directory
        && old.env == new.env
}
