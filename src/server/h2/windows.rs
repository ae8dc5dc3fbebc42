//! How much clients may send of bodies. RFC 9113, section 5.2. nginx's way: of a body that is read whole all may come at once,
//! of others as much as there is room for.

use std::cell::RefCell;
use std::collections::HashMap;

/// The most that a window can be, in bytes (RFC 9113, section 6.9.1).
pub(super) const MOST: u32 = (1 << 31) - 1;

/// The windows of a connection's streams.
#[derive(Default)]
pub(super) struct Windows {
    open: RefCell<HashMap<u32, Window>>,
    /// Streams of which more may come, and how much, in bytes: the client is to be told.
    grants: RefCell<Vec<(u32, u32)>>,
}

struct Window {
    /// How much may be on its way or wait to be read.
    size: u32,
    /// What the client may still send.
    left: u32,
    /// What has come and was not read.
    unread: u32,
}

impl Windows {
    /// A body begins, of which so much may come before anybody wants it.
    pub(super) fn open(&self, stream: u32, size: u32) {
        self.open.borrow_mut().insert(stream, Window { size, left: size, unread: 0 });
    }

    /// Whether more may come.
    pub(super) fn is_open(&self, stream: u32) -> bool {
        self.open.borrow().contains_key(&stream)
    }

    /// No more comes.
    pub(super) fn close(&self, stream: u32) {
        self.open.borrow_mut().remove(&stream);
    }

    /// A frame of so many bytes comes.
    ///
    /// # Errors
    /// How much the client might have sent, if that is less.
    pub(super) fn spend(&self, stream: u32, length: usize) -> Result<(), u32> {
        let mut open = self.open.borrow_mut();
        let Some(window) = open.get_mut(&stream) else { return Ok(()) };
        let left = u32::try_from(length).ok().and_then(|length| window.left.checked_sub(length));
        window.left = left.ok_or(window.left)?;
        Ok(())
    }

    /// So many bytes of it are content that somebody may read.
    pub(super) fn bring(&self, stream: u32, content: usize) {
        if let Some(window) = self.open.borrow_mut().get_mut(&stream) {
            window.unread = window.unread.saturating_add(u32::try_from(content).unwrap_or(MOST));
        }
    }

    /// So much was read; whether the client is to be told something.
    pub(super) fn read(&self, stream: u32, content: usize) -> bool {
        self.change(stream, |window| {
            window.unread = window.unread.saturating_sub(u32::try_from(content).unwrap_or(MOST));
        })
    }

    /// There is room for so many bytes at once; whether the client is to be told something.
    pub(super) fn make_room(&self, stream: u32, room: u64) -> bool {
        self.change(stream, |window| window.size = window.size.max(u32::try_from(room).unwrap_or(MOST).min(MOST)))
    }

    fn change(&self, stream: u32, change: impl FnOnce(&mut Window)) -> bool {
        let mut open = self.open.borrow_mut();
        let Some(window) = open.get_mut(&stream) else { return false };
        change(window);
        let more = window.size.saturating_sub(window.unread).saturating_sub(window.left);
        // Small pieces are not worth a word each.
        if more == 0 || more < window.size / 2 {
            return false;
        }
        window.left += more;
        self.grants.borrow_mut().push((stream, more));
        true
    }

    /// What the client is to be told.
    pub(super) fn take_grants(&self) -> Vec<(u32, u32)> {
        let mut grants = self.grants.borrow_mut();
        if grants.is_empty() { Vec::new() } else { std::mem::take(&mut *grants) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_room_as_it_is_made() {
        let windows = Windows::default();
        windows.open(1, 1000);
        assert_eq!((windows.spend(1, 900), windows.spend(1, 101)), (Ok(()), Err(100)));
        // Padding of 100 bytes is nobody's to read.
        windows.bring(1, 800);
        assert!(!windows.read(1, 300) && windows.read(1, 300));
        assert_eq!(windows.take_grants(), [(1, 700)]);
        assert_eq!((windows.spend(1, 800), windows.take_grants()), (Ok(()), Vec::new()));
    }

    #[test]
    fn gives_all_there_is_for_what_is_read_whole() {
        let windows = Windows::default();
        windows.open(3, 0);
        assert!(windows.make_room(3, 16) && !windows.make_room(3, 16) && windows.make_room(3, u64::MAX));
        assert_eq!(windows.take_grants(), [(3, 16), (3, MOST - 16)]);
        windows.close(3);
        assert!(!windows.make_room(3, u64::MAX) && windows.spend(3, 1).is_ok());
    }
}
