//! The worker process: its main thread waits for orders, its other threads serve.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bundle;
use super::channel::{Channel, Message};
use super::config::{Setup, from_bundle};
use super::logs::{self, Logs};
use super::signals::{Signal, Signals};
use super::sockets::{Listening, listen_sockets};
use super::wait::wait;
use super::{privileges, running, title};
use crate::http::Cycle;
use crate::log::{ErrorLog, Level, trace};
use crate::server::{Fleet, ListenSocket};

/// Orders of the master to its worker: the kinds of their messages.
pub mod order {
    /// End when all requests are answered.
    pub const QUIT: u8 = 1;
    /// End now.
    pub const TERMINATE: u8 = 2;
    /// Put these descriptors in the place of open logs.
    pub const REOPEN: u8 = 3;
    /// Put this configuration in force.
    pub const REPLACE: u8 = 4;
}

/// Answers of the worker: the first byte, before the number of a bundle.
pub mod answer {
    /// The worker serves.
    pub const READY: u8 = 3;
    /// The new configuration is in force.
    pub const DONE: u8 = 1;
    /// It cannot be in force here.
    pub const FAILED: u8 = 2;
}

/// nginx's exit code for a worker that must not be started again.
const FATAL: i32 = 2;

/// What a worker is born with.
pub struct Seed {
    /// What the program was started with.
    pub setup: Rc<Setup>,
    /// The configuration in force.
    pub cycle: Arc<Cycle>,
    /// Its sockets.
    pub sockets: Vec<Listening>,
    /// Its logs.
    pub logs: Logs,
    /// The number of its bundle.
    pub serial: u64,
    /// The line to the master.
    pub channel: Channel,
    /// Our signals.
    pub signals: Signals,
}

struct Worker {
    setup: Rc<Setup>,
    cycle: Arc<Cycle>,
    logs: Logs,
    /// `None` when the master is gone: its worker serves on.
    channel: Option<Channel>,
    signals: Signals,
    fleet: Fleet,
    ending: Ending,
}

enum Ending {
    No,
    /// Requests are being answered; with `worker_shutdown_timeout`, until then.
    Quitting(Option<Instant>),
    Terminating,
}

/// Runs a worker until it ends; gives its exit code.
///
/// # Safety
/// The process has one thread.
pub unsafe fn run(seed: Seed) -> i32 {
    title::set("nginx: worker process");
    let log = Arc::clone(&seed.cycle.error_log);
    // SAFETY: the caller has one thread.
    if unsafe { privileges::become_worker(&seed.cycle.process, &log) }.is_err() {
        return FATAL;
    }
    trace::switch(debugs(&seed.cycle), &log);
    tell_of_panics(&log);
    let start = listen_sockets(seed.sockets).and_then(|sockets| Fleet::start(Arc::clone(&seed.cycle), sockets));
    let fleet = match start {
        Ok(fleet) => fleet,
        Err(error) => {
            log.say_error(Level::Alert, &error, "could not start the threads of the worker process");
            return FATAL;
        }
    };
    let Seed { setup, cycle, logs, channel, signals, serial, .. } = seed;
    let mut worker = Worker { setup, cycle, logs, channel: Some(channel), signals, fleet, ending: Ending::No };
    worker.reply(answer::READY, serial);
    worker.serve();
    worker.end();
    0
}

impl Worker {
    fn log(&self) -> &Arc<ErrorLog> {
        &self.cycle.error_log
    }

    /// Waits for orders until all threads have ended.
    fn serve(&mut self) {
        loop {
            let channel = self.channel.as_ref().map(AsFd::as_fd);
            let ready = wait(&[Some(self.fleet.done_fd()), Some(self.signals.as_fd()), channel], self.patience());
            if ready[0] {
                return;
            }
            while let Some(received) = self.signals.next() {
                let action = self.obey(received.signal);
                self.log().say(Level::Notice, received.notice(action));
                self.begin_to_end(received.signal);
            }
            if ready[2] {
                self.listen();
            }
            if let Ending::Quitting(Some(until)) = self.ending
                && until <= Instant::now()
            {
                self.ending = Ending::Quitting(None);
                self.fleet.stop();
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        match self.ending {
            Ending::Quitting(Some(until)) => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// What nginx says that it does about a signal.
    fn obey(&self, signal: Signal) -> Option<&'static str> {
        match signal {
            Signal::Quit | Signal::Winch => Some("shutting down"),
            Signal::Term | Signal::Int => Some("exiting"),
            Signal::Usr1 => Some("reopening logs"),
            Signal::Hup | Signal::Usr2 => Some("ignoring"),
            Signal::Chld | Signal::Kill => None,
        }
    }

    fn begin_to_end(&mut self, signal: Signal) {
        match signal {
            Signal::Quit | Signal::Winch => self.quit(),
            Signal::Term | Signal::Int => self.terminate(),
            Signal::Usr1 => {
                self.log().say(Level::Notice, "reopening logs");
                self.logs.reopen(None, &self.cycle.error_log);
            }
            _ => {}
        }
    }

    fn listen(&mut self) {
        while let Some(channel) = &mut self.channel {
            match channel.receive() {
                Ok(Some(message)) => self.order(message),
                Ok(None) => self.channel = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.log().say_error(Level::Alert, &error, "recvmsg() from the master process failed");
                    self.channel = None;
                }
            }
        }
    }

    fn order(&mut self, message: Message) {
        match message.kind {
            order::QUIT => self.quit(),
            order::TERMINATE => self.terminate(),
            order::REOPEN => self.reopen(message),
            order::REPLACE => self.replace(message),
            _ => {}
        }
    }

    fn quit(&mut self) {
        if !matches!(self.ending, Ending::No) {
            return;
        }
        self.log().say(Level::Notice, "gracefully shutting down");
        title::set("nginx: worker process is shutting down");
        let timeout = self.cycle.process.worker_shutdown_timeout;
        self.ending = Ending::Quitting(timeout.map(|timeout| Instant::now() + timeout));
        self.fleet.drain();
    }

    fn terminate(&mut self) {
        self.ending = Ending::Terminating;
        self.fleet.stop();
    }

    fn end(self) {
        let log = Arc::clone(self.log());
        log.say(Level::Notice, "exiting");
        self.fleet.join();
        log.say(Level::Notice, "exit");
    }

    /// The text of the message is the logs' paths, each behind a NUL; its descriptors are the logs.
    fn reopen(&mut self, message: Message) {
        self.log().say(Level::Notice, "reopening logs");
        let paths = message.text.split(|byte| *byte == 0).skip(1).map(crate::paths::from_bytes);
        for (path, fd) in paths.zip(message.fds) {
            self.take_log(path, fd);
        }
        logs::redirect_stderr(self.log());
    }

    fn take_log(&mut self, path: PathBuf, fd: OwnedFd) {
        if let Err(error) = self.logs.receive(&path, fd) {
            let what = format_args!("dup3() \"{}\" failed", path.display());
            self.log().say_error(Level::Emerg, &error, what);
        }
    }

    fn replace(&mut self, message: Message) {
        let Ok(received) = bundle::Received::new(message) else {
            self.log().say(Level::Alert, bundle::Damaged);
            return;
        };
        let serial = received.bundle.serial;
        let result = self.put_in_force(received);
        self.reply(if result.is_some() { answer::DONE } else { answer::FAILED }, serial);
    }

    /// Compiles what the master has found to be fine, and serves by it; `None` where it is not fine here.
    fn put_in_force(&mut self, received: bundle::Received) -> Option<()> {
        for (path, fd) in received.bundle.logs.iter().zip(received.logs) {
            self.take_log(path.clone(), fd);
        }
        crate::log::refresh_zone();
        let compiled = from_bundle(&self.setup, &received.bundle, &self.logs);
        if compiled.cycle.is_none() {
            running::say(&compiled, self.log());
        }
        let cycle = compiled.cycle?;
        let sockets = sockets_for(&cycle, &received.bundle.sockets, received.sockets)?;
        if let Err(error) = self.fleet.replace(&cycle, &sockets) {
            self.log().say_error(Level::Alert, &error, "could not put the new configuration in force");
            return None;
        }
        trace::switch(debugs(&cycle), &cycle.error_log);
        tell_of_panics(&cycle.error_log);
        self.cycle = cycle;
        self.logs.forget_unused();
        logs::redirect_stderr(self.log());
        Some(())
    }

    /// Tells the master; it does not miss an answer that is lost.
    fn reply(&self, answer: u8, serial: u64) {
        if let Some(channel) = &self.channel {
            let mut bytes = vec![answer];
            bytes.extend(serial.to_le_bytes());
            if let Err(error) = channel.send_short(&bytes) {
                self.log().say_error(Level::Alert, &error, "sendmsg() to the master process failed");
            }
        }
    }
}

/// A fault of ours ends the connection that it happens on, and is told as an alert.
pub(super) fn tell_of_panics(log: &Arc<ErrorLog>) {
    let log = Arc::clone(log);
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload();
        let message =
            said.downcast_ref::<&str>().copied().or_else(|| said.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = format_args!(
            "a connection broke off at {place}: {}",
            message.unwrap_or_default().lines().next().unwrap_or_default()
        );
        log.say(Level::Alert, what);
    }));
}

/// Joins what the cycle wants to listen on with the sockets that came for it.
fn sockets_for(cycle: &Cycle, named: &[(String, usize)], sockets: Vec<Vec<OwnedFd>>) -> Option<Vec<ListenSocket>> {
    let mut named: Vec<_> = named.iter().map(|(text, _)| text).zip(sockets).collect();
    let socket = |listen: &crate::http::Listen| {
        let at = named.iter().position(|(text, _)| **text == listen.spec.text)?;
        Some(ListenSocket { spec: listen.spec.clone(), fds: named.swap_remove(at).1 })
    };
    cycle.listens.iter().map(socket).collect()
}

/// Whether any log of the configuration takes debug lines.
fn debugs(cycle: &Cycle) -> bool {
    let logs = cycle.locations.iter().map(|location| &location.core.error_log).chain([&cycle.error_log]);
    logs.into_iter().any(|log| log.debugs(crate::log::DebugMask::ALL))
}
