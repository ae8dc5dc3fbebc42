//! `master_process off`: master and worker in one process, for development.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::notify::{self, Watchdog};
use super::running::Running;
use super::signals::{Signal, Signals};
use super::sockets::listen_sockets;
use super::ticket::{Outcome, Ticket};
use super::wait::wait;
use super::{pid, privileges, sockets};
use crate::log::Level;
use crate::server::Fleet;

/// Serves until it is told to end; gives the exit code.
///
/// # Safety
/// The process has one thread.
pub unsafe fn run(mut running: Running, signals: Signals, launched: impl FnOnce()) -> i32 {
    // SAFETY: the caller has one thread.
    unsafe { privileges::set_environment(&running.cycle.process.env) };
    let start =
        listen_sockets(running.sockets.clone()).and_then(|sockets| Fleet::start(Arc::clone(&running.cycle), sockets));
    let fleet = match start {
        Ok(fleet) => fleet,
        Err(error) => {
            running.log().say_error(Level::Alert, &error, "could not start the threads of the process");
            return 2;
        }
    };
    launched();
    notify::ready(running.log());
    serve(&mut running, &signals, &fleet);
    let log = Arc::clone(running.log());
    fleet.join();
    pid::remove(&running.cycle.process.pid, &log);
    log.say(Level::Notice, "exit");
    sockets::close(running.sockets, |_| false, &log);
    0
}

fn serve(running: &mut Running, signals: &Signals, fleet: &Fleet) {
    let mut watchdog = Watchdog::new();
    loop {
        let log = Arc::clone(running.log());
        let ready = wait(&[Some(fleet.done_fd()), Some(signals.as_fd())], watchdog.tick(&log));
        while let Some(received) = signals.next() {
            running.log().say(Level::Notice, received.notice(action(received.signal)));
            match received.signal {
                Signal::Quit | Signal::Term | Signal::Int => {
                    notify::stopping(&log);
                    fleet.stop();
                }
                Signal::Hup => {
                    let ticket = received.sender.zip(received.number);
                    notify::reloading(&log);
                    let outcome = reload(running, fleet);
                    notify::ready(&log);
                    if let Some(ticket) = ticket.and_then(|(sender, number)| Ticket::open(sender, number)) {
                        ticket.tell(outcome);
                    }
                }
                Signal::Usr1 => running.reopen_logs(),
                _ => {}
            }
        }
        if ready[0] {
            return;
        }
    }
}

fn action(signal: Signal) -> Option<&'static str> {
    match signal {
        Signal::Quit => Some("shutting down"),
        Signal::Term | Signal::Int => Some("exiting"),
        Signal::Hup => Some("reconfiguring"),
        Signal::Usr1 => Some("reopening logs"),
        _ => None,
    }
}

fn reload(running: &mut Running, fleet: &Fleet) -> Outcome {
    if running.reload().is_err() {
        return Outcome::Refused;
    }
    let sockets = listen_sockets(running.sockets.clone());
    match sockets.and_then(|sockets| fleet.replace(&running.cycle, &sockets)) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let what = "could not put the new configuration in force";
            running.log().say_error(Level::Alert, &error, what);
            Outcome::Refused
        }
    }
}
