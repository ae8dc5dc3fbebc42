//! What a service manager hands us and is told: systemd's `sd_listen_fds(3)`, `sd_notify(3)` and `sd_watchdog_enabled(3)`.
//! Everything here does nothing where no service manager asked for it.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::log::{ErrorLog, Level};

/// Variables by which a service manager reaches us; a new binary needs them too.
pub const VARIABLES: [&str; 2] = ["NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// Sockets that a service manager opened for us, named as nginx names what it inherits: `3;4;`. `None` without any.
pub fn sockets(log: &ErrorLog) -> Option<String> {
    let numbers = sd_notify::listen_fds().map_err(|error| {
        log.say(Level::Warn, format_args!("sockets from the service manager are not taken: {error}"));
    });
    let list: String = numbers.ok()?.map(|number| format!("{number};")).collect();
    (!list.is_empty()).then_some(list)
}

/// We serve. A binary that took over says that it is the service now.
pub fn ready(log: &ErrorLog) {
    tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())], log);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading(log: &ErrorLog) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now], log),
        Err(error) => log.say_error(Level::Alert, &error, "clock_gettime() failed"),
    }
}

/// We are about to end.
pub fn stopping(log: &ErrorLog) {
    tell(&[NotifyState::Stopping], log);
}

fn tell(states: &[NotifyState<'_>], log: &ErrorLog) {
    if let Err(error) = sd_notify::notify(states) {
        log.say_error(Level::Alert, &error, "the service manager could not be told");
    }
}

/// Signs of life for `WatchdogSec=`, twice as often as they are asked for.
#[derive(Debug)]
pub struct Watchdog(Option<(Duration, Instant)>);

impl Watchdog {
    /// As the service manager asks; never without.
    pub fn new() -> Self {
        Self(sd_notify::watchdog_enabled().map(|limit| (limit / 2, Instant::now())))
    }

    /// Gives a sign of life when it is time for one, and says how long the next one may wait.
    pub fn tick(&mut self, log: &ErrorLog) -> Option<Duration> {
        let (every, next) = self.0.as_mut()?;
        let now = Instant::now();
        if *next <= now {
            tell(&[NotifyState::Watchdog], log);
            *next = now + *every;
        }
        Some(next.saturating_duration_since(now))
    }
}
