//! Making processes: the two forks of a starting nginx, and the way into a new binary.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

/// Which side of a fork we are on.
#[derive(Debug)]
pub enum Fork {
    /// The process that forked, with the child's number.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Splits the process in two.
///
/// # Safety
/// The process has one thread: another thread's locks would stay locked in the child for ever.
pub unsafe fn fork() -> io::Result<Fork> {
    // SAFETY: the caller has one thread, so the child's memory is whole.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Pid::from_raw(pid).map(Fork::Parent).ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD)),
    }
}

/// The child's side of a daemon's start: what it says last decides how the parent ends.
#[derive(Debug)]
pub struct Launch {
    parent: Option<OwnedFd>,
}

impl Launch {
    /// No parent waits.
    pub fn foreground() -> Self {
        Self { parent: None }
    }

    /// Tells the waiting parent that the daemon runs; one that is never told ends with code 1.
    pub fn succeed(self) {
        if let Some(parent) = self.parent {
            // The parent may have been killed: then nobody waits.
            let _ = rustix::io::write(&parent, b"\0");
        }
    }
}

/// Goes on in the background: in a session of its own, with `/dev/null` for input and output, and no umask.
///
/// Returns in the child only. The parent waits for [`Launch::succeed`] and ends with code 0, so that whoever started us
/// finds the pid file written and the ports open.
///
/// # Safety
/// The process has one thread.
pub unsafe fn daemonize() -> io::Result<Launch> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: the caller has one thread.
    match unsafe { fork() }? {
        Fork::Parent(_) => {
            drop(write);
            std::process::exit(wait_for(&read));
        }
        Fork::Child => drop(read),
    }
    rustix::process::setsid()?;
    rustix::process::umask(Mode::empty());
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(Launch { parent: Some(write) })
}

fn wait_for(daemon: &OwnedFd) -> i32 {
    let mut byte = [0];
    loop {
        match rustix::io::read(daemon, &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1) => return 0,
            _ => return 1,
        }
    }
}

/// Becomes another program; returns only where that fails.
pub fn execute(program: &Path, args: &[OsString], env: &[OsString]) -> io::Result<Infallible> {
    let program = c_string(program.as_os_str().to_owned())?;
    let args = args.iter().cloned().map(c_string).collect::<io::Result<Vec<_>>>()?;
    let env = env.iter().cloned().map(c_string).collect::<io::Result<Vec<_>>>()?;
    let (argv, envp) = (pointers(&args), pointers(&env));
    // SAFETY: all three are NUL-terminated, the arrays by a null pointer, and live until the call returns.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Err(io::Error::last_os_error())
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
