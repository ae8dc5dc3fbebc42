//! Signals as a descriptor to wait on, and the words that nginx has for them.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// Lets the process end with the signals that tell of faults. The standard library's handler waits for the fault to come
/// again, which it does not where somebody has sent the signal.
///
/// # Safety
/// The process has one thread.
pub unsafe fn die_of_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action calls nothing of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What `-s` asks of a running nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// End now.
    Stop,
    /// End when all requests are answered.
    Quit,
    /// Open the logs again.
    Reopen,
    /// Read the configuration again.
    Reload,
}

impl Order {
    /// The order that a word names.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"stop" => Self::Stop,
            b"quit" => Self::Quit,
            b"reopen" => Self::Reopen,
            b"reload" => Self::Reload,
            _ => return None,
        })
    }

    /// The signal that carries it.
    pub fn signal(self) -> Signal {
        match self {
            Self::Stop => Signal::Term,
            Self::Quit => Signal::Quit,
            Self::Reopen => Signal::Usr1,
            Self::Reload => Signal::Hup,
        }
    }
}

/// The signals that master and worker act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// Read the configuration again.
    Hup = libc::SIGHUP,
    /// End now.
    Int = libc::SIGINT,
    /// End when all requests are answered.
    Quit = libc::SIGQUIT,
    /// Open the logs again.
    Usr1 = libc::SIGUSR1,
    /// Start a new binary.
    Usr2 = libc::SIGUSR2,
    /// End now.
    Term = libc::SIGTERM,
    /// A child ended.
    Chld = libc::SIGCHLD,
    /// Let the workers end, and stay.
    Winch = libc::SIGWINCH,
    /// End at once; never received.
    Kill = libc::SIGKILL,
}

impl Signal {
    const HANDLED: [Self; 8] =
        [Self::Hup, Self::Int, Self::Quit, Self::Usr1, Self::Usr2, Self::Term, Self::Chld, Self::Winch];

    /// Its number.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Its name, such as `SIGHUP`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Term => "SIGTERM",
            Self::Chld => "SIGCHLD",
            Self::Winch => "SIGWINCH",
            Self::Kill => "SIGKILL",
        }
    }
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// The process that sent it, where one did.
    pub sender: Option<i32>,
    /// A number that it sent along.
    pub number: Option<i32>,
}

impl Received {
    /// nginx's notice; `action` is what we are going to do, such as `reconfiguring`.
    pub fn notice(&self, action: Option<&str>) -> String {
        let mut text = format!("signal {} ({}) received", self.signal.number(), self.signal.name());
        if let Some(sender) = self.sender {
            text += &format!(" from {sender}");
        }
        if let Some(action) = action {
            text += ", ";
            text += action;
        }
        text
    }
}

/// The signals of this process, held back from their default effects and read one by one.
///
/// Threads started later hold them back too. A child process inherits that: see [`release`].
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Holds the signals back and opens the descriptor. SIGPIPE is ignored for good, as nginx ignores it.
    pub fn hold() -> io::Result<Self> {
        let set = handled();
        // SAFETY: `set` is a signal set that outlives both calls; blocking signals and ignoring one touch no memory.
        let fd = unsafe {
            check(libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        match fd {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the call returned a new descriptor that nobody else owns.
            fd => Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
        }
    }

    /// The next signal that waits; `None` when none does.
    pub fn next(&self) -> Option<Received> {
        // SAFETY: the kernel's record of a signal is plain numbers, for which all bits zero are valid.
        let mut record: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        let size = mem::size_of_val(&record);
        // SAFETY: the buffer is `record`, writable and of the length given.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut record).cast(), size) };
        if usize::try_from(read) != Ok(size) {
            return None;
        }
        let signal = Signal::HANDLED.into_iter().find(|signal| signal.number() as u32 == record.ssi_signo)?;
        let sender = i32::try_from(record.ssi_pid).ok().filter(|pid| *pid != 0);
        let number = (record.ssi_code == libc::SI_QUEUE).then_some(record.ssi_int);
        Some(Received { signal, sender, number })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets all signals through again: for a child that will be another program.
pub fn release() -> io::Result<()> {
    // SAFETY: the set is initialised before it is used, and changing the mask touches no memory of ours.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut none);
        check(libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()))
    }
}

/// Sends a signal.
pub fn send(pid: i32, signal: Signal) -> io::Result<()> {
    // SAFETY: `kill` takes two numbers.
    match unsafe { libc::kill(pid, signal.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal with a number along.
pub fn send_number(pid: i32, signal: Signal, number: i32) -> io::Result<()> {
    // The kernel's union of a number and a pointer, and the number is what comes first in it on little-endian machines;
    // on others it is the pointer's upper half.
    let shift = if cfg!(target_endian = "big") { usize::BITS - i32::BITS } else { 0 };
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut((number as u32 as usize) << shift) };
    // SAFETY: takes numbers; the receiver does not follow the pointer, which is none.
    match unsafe { libc::sigqueue(pid, signal.number(), value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A child that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which.
    pub pid: Pid,
    /// How.
    pub how: How,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with an exit code.
    Code(i32),
    /// By a signal, and whether it left a core.
    Signal(i32, bool),
}

/// The next child that ended and was not asked for yet.
pub fn reap() -> Option<Ended> {
    use rustix::process::{WaitOptions, wait};
    let (pid, status) = wait(WaitOptions::NOHANG).ok()??;
    let how = match status.terminating_signal() {
        Some(signal) => How::Signal(signal, libc::WCOREDUMP(status.as_raw())),
        None => How::Code(status.exit_status().unwrap_or_default()),
    };
    Some(Ended { pid, how })
}

fn handled() -> libc::sigset_t {
    // SAFETY: the set is initialised before signals are added to it, and all numbers are real signals.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in Signal::HANDLED {
            libc::sigaddset(&mut set, signal.number());
        }
        set
    }
}

fn check(errno: i32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_nginx_notices() {
        let received = Received { signal: Signal::Hup, sender: Some(12), number: None };
        assert_eq!(received.notice(Some("reconfiguring")), "signal 1 (SIGHUP) received from 12, reconfiguring");
        let received = Received { signal: Signal::Chld, sender: None, number: None };
        assert_eq!(received.notice(None), "signal 17 (SIGCHLD) received");
    }

    #[test]
    fn orders_are_carried_by_nginx_signals() {
        let number = |name| Order::from_name(name).unwrap().signal().number();
        assert_eq!([number(b"stop"), number(b"quit"), number(b"reopen"), number(b"reload")], [15, 3, 10, 1]);
        assert_eq!(Order::from_name(b"start"), None);
    }
}
