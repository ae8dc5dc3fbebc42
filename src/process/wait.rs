//! Waiting for any of several descriptors.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until a descriptor can be read or its other end is gone, or the time is up; says which. What is not there is
/// never ready.
pub fn wait(fds: &[Option<BorrowedFd<'_>>], patience: Option<Duration>) -> Vec<bool> {
    let mut polled: Vec<_> = fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    // Interrupted or not: whoever waits looks again.
    let _ = poll(&mut polled, patience.as_ref());
    let mut results = polled.iter().map(|fd| !fd.revents().is_empty());
    fds.iter().map(|fd| fd.is_some() && results.next() == Some(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn says_which_is_ready() {
        let (quiet, _quiet_end) = std::io::pipe().unwrap();
        let (closed, closed_end) = std::io::pipe().unwrap();
        drop(closed_end);
        let fds = [Some(quiet.as_fd()), None, Some(closed.as_fd())];
        assert_eq!(wait(&fds, None), [false, false, true]);
        assert_eq!(wait(&fds[..2], Some(Duration::from_millis(1))), [false, false]);
    }
}
