//! The processes that a master has started: its worker, workers that end, a new binary.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::Pid;

use super::channel::Channel;
use super::fork::{Fork, fork};
use super::signals::{self, Ended, How, Signal};
use super::worker::order;
use crate::http::share_counts;
use crate::log::{ErrorLog, Level};

/// One of them.
pub struct Child {
    /// Its number.
    pub pid: Pid,
    /// What it is for.
    pub role: Role,
    /// It was told to end.
    pub exiting: bool,
    /// It is started again when it ends by itself.
    pub respawn: bool,
    /// The others are told to end as soon as it serves.
    pub replaces: bool,
}

/// What a child is for.
pub enum Role {
    /// With its line, until that breaks.
    Worker(Option<Channel>),
    /// The master of a new binary.
    NewBinary,
}

impl Child {
    /// What nginx calls it.
    pub fn name(&self) -> &'static str {
        match self.role {
            Role::Worker(_) => "worker process",
            Role::NewBinary => "new binary process",
        }
    }

    /// Whether it serves.
    pub fn is_worker(&self) -> bool {
        matches!(self.role, Role::Worker(_))
    }

    /// The line to a worker.
    pub fn channel(&self) -> Option<&Channel> {
        match &self.role {
            Role::Worker(channel) => channel.as_ref(),
            Role::NewBinary => None,
        }
    }

    /// A worker; it is started again when it dies.
    pub fn worker(pid: Pid, channel: Channel, replaces: bool) -> Self {
        Self { pid, role: Role::Worker(Some(channel)), exiting: false, respawn: true, replaces }
    }

    /// The master of a new binary.
    pub fn new_binary(pid: Pid) -> Self {
        Self { pid, role: Role::NewBinary, exiting: false, respawn: false, replaces: false }
    }
}

/// All of them, in the order in which they were started.
#[derive(Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Adds one that was started.
    pub fn add(&mut self, child: Child) {
        self.0.push(child);
    }

    /// Takes out one that ended.
    pub fn remove(&mut self, pid: Pid) -> Option<Child> {
        let at = self.0.iter().position(|child| child.pid == pid)?;
        Some(self.0.remove(at))
    }

    /// The one of a number.
    pub fn find(&mut self, pid: Pid) -> Option<&mut Child> {
        self.0.iter_mut().find(|child| child.pid == pid)
    }

    /// Whether any worker runs.
    pub fn has_workers(&self) -> bool {
        self.0.iter().any(Child::is_worker)
    }

    /// The newest worker that was not told to end: it serves, or soon will. None where others serve beside it that are not
    /// told to end when it does.
    pub fn serving(&self) -> Option<&Child> {
        let mut workers = self.0.iter().rev().filter(|child| child.respawn && !child.exiting);
        let newest = workers.next()?;
        (newest.replaces || workers.next().is_none()).then_some(newest)
    }

    /// All, each with the descriptor of its line.
    pub fn lines(&self) -> impl Iterator<Item = (Pid, Option<BorrowedFd<'_>>)> {
        self.0.iter().map(|child| (child.pid, child.channel().map(AsFd::as_fd)))
    }

    /// Gives the workers open logs in the place of those that they have. Where the line is broken they open them
    /// themselves.
    pub fn reopen(&self, paths: &[u8], fds: &[BorrowedFd<'_>], log: &ErrorLog) {
        for child in &self.0 {
            if let Some(Err(error)) = child.channel().map(|channel| channel.send(order::REOPEN, paths, fds)) {
                log.say_error(Level::Alert, &error, "sendmsg() to the worker process failed");
                kill(child.pid, Signal::Usr1, log);
            }
        }
    }

    /// Tells workers to end, by their lines or else by a signal; those that were told to end when their requests are
    /// answered are not told again.
    pub fn tell(&mut self, signal: Signal, except: Option<Pid>, log: &ErrorLog) {
        let kind = match signal {
            Signal::Quit => Some(order::QUIT),
            Signal::Term => Some(order::TERMINATE),
            _ => None,
        };
        let told = |child: &&mut Child| {
            child.is_worker() && Some(child.pid) != except && !(child.exiting && signal == Signal::Quit)
        };
        let mut deaf = Vec::new();
        for child in self.0.iter_mut().filter(told) {
            child.exiting = true;
            let send = |kind| child.channel().is_some_and(|channel| channel.send(kind, b"", &[]).is_ok());
            if !kind.is_some_and(send) {
                deaf.push(child.pid);
            }
        }
        for pid in deaf {
            kill(pid, signal, log);
        }
    }
}

fn kill(pid: Pid, signal: Signal, log: &ErrorLog) {
    let pid = pid.as_raw_pid();
    if let Err(error) = signals::send(pid, signal) {
        log.say_error(Level::Alert, &error, format_args!("kill({pid}, {}) failed", signal.number()));
    }
}

/// Says how a child ended.
pub fn mourn(ended: Ended, child: Option<&Child>, log: &ErrorLog) {
    let name = child.map_or("unknown process", Child::name);
    let pid = ended.pid.as_raw_pid();
    match ended.how {
        How::Signal(signal, core) => {
            let core = if core { " (core dumped)" } else { "" };
            log.say(Level::Alert, format_args!("{name} {pid} exited on signal {signal}{core}"));
        }
        How::Code(code) => log.say(Level::Notice, format_args!("{name} {pid} exited with code {code}")),
    }
    if ended.how == How::Code(2) && child.is_some_and(|child| child.respawn) {
        let what = "exited with fatal code 2 and cannot be respawned";
        log.say(Level::Alert, format_args!("{name} {pid} {what}"));
    }
}

/// Forks, with a line between the two; says which call failed.
///
/// # Safety
/// The process has one thread.
pub unsafe fn spawn() -> Result<(Fork, Channel), (&'static str, io::Error)> {
    share_counts();
    let (here, there) = Channel::pair().map_err(|error| ("socketpair", error))?;
    // SAFETY: the caller has one thread.
    let fork = unsafe { fork() }.map_err(|error| ("fork", error))?;
    let end = if matches!(fork, Fork::Child) { there } else { here };
    Ok((fork, end))
}
