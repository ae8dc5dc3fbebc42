//! How `-s reload` learns what became of it: the signal carries the number of a pipe of the sender, and the master,
//! when it knows, writes there.
//!
//! A nginx that gets the signal sees a plain SIGHUP. A sender that is not ours leaves no number. The system makes one of
//! signals of a kind that wait together, so the master says at once that it has heard, and who is not heard calls again.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::signals::{self, Signal};
use super::wait::wait;

/// How long a reload may take: ports that others hold are tried for 2.5 seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a sender calls again that was not heard.
const AGAIN: Duration = Duration::from_millis(300);

/// What the master writes: that it has heard, and how the reload ended.
const HEARD: u8 = b'.';
const DONE: u8 = b'+';
const REFUSED: u8 = b'-';

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new configuration is in force.
    Done,
    /// The old one is.
    Refused,
    /// The master ended.
    Gone,
    /// The master has not said in time.
    Silent,
    /// It is not known: the master is none that would say.
    Unknown,
}

/// The right to be told, held by the master.
#[derive(Debug)]
pub struct Ticket(File);

impl Ticket {
    /// The ticket that a signal brought: descriptor `number` of process `sender`, which must be a pipe.
    pub fn open(sender: i32, number: i32) -> Option<Self> {
        let path = format!("/proc/{sender}/fd/{number}");
        let pipe = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
        let mut ticket = pipe.metadata().ok()?.file_type().is_fifo().then_some(Self(pipe))?;
        ticket.0.write_all(&[HEARD]).ok()?;
        Some(ticket)
    }

    /// Says what became of the reload; a sender that is gone misses nothing.
    pub fn tell(mut self, outcome: Outcome) {
        let _ = self.0.write_all(&[if outcome == Outcome::Done { DONE } else { REFUSED }]);
    }
}

/// Sends a reload to a master and waits for what becomes of it.
pub fn reload(master: i32) -> io::Result<Outcome> {
    let (answer, ours) = io::pipe()?;
    let life = Pid::from_raw(master).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let tells = is_one_of_us(master);
    let call = || signals::send_number(master, Signal::Hup, ours.as_raw_fd());
    call()?;
    // A master that has ended meanwhile is seen to have.
    Ok(if tells { listen(&answer, life.as_ref(), PATIENCE, || drop(call())) } else { Outcome::Unknown })
}

fn listen(answer: &PipeReader, life: Option<&OwnedFd>, patience: Duration, call_again: impl Fn()) -> Outcome {
    let (until, mut heard) = (Instant::now() + patience, false);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let ready =
            wait(&[Some(answer.as_fd()), life.map(AsFd::as_fd)], Some(if heard { left } else { left.min(AGAIN) }));
        let mut byte = [0];
        match ready[..] {
            [true, _] if rustix::io::read(answer, &mut byte) == Ok(1) => match byte[0] {
                HEARD => heard = true,
                DONE => return Outcome::Done,
                _ => return Outcome::Refused,
            },
            [_, true] => return Outcome::Gone,
            _ if left.is_zero() => return Outcome::Silent,
            _ if !heard => call_again(),
            _ => {}
        }
    }
}

/// Whether a process runs the same program as we do, perhaps an older one: nginx would not answer.
fn is_one_of_us(master: i32) -> bool {
    let name = |pid: &str| {
        let image = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = image.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
        Some(name)
    };
    let ours = name("self");
    ours.is_some() && ours == name(&master.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_pipe_of_the_sender() {
        let (answer, ours) = io::pipe().unwrap();
        let here = i32::try_from(std::process::id()).unwrap();
        Ticket::open(here, ours.as_raw_fd()).unwrap().tell(Outcome::Done);
        assert_eq!(listen(&answer, None, PATIENCE, || panic!("it was heard")), Outcome::Done);
        Ticket::open(here, ours.as_raw_fd()).unwrap().tell(Outcome::Refused);
        assert_eq!(listen(&answer, None, PATIENCE, || panic!("it was heard")), Outcome::Refused);
        assert_eq!(listen(&answer, None, Duration::from_millis(1), || ()), Outcome::Silent);
        let file = tempfile::tempfile().unwrap();
        assert!(Ticket::open(here, file.as_raw_fd()).is_none());
        assert!(Ticket::open(here, 9999).is_none());
    }
}
