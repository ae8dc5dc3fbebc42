//! Buffers for bytes in flight, taken from the thread's store and given back when the last piece of them is dropped.

use std::cell::RefCell;

use bytes::Bytes;

/// Size of a buffer in bytes.
pub(crate) const BUFFER: usize = 64 << 10;

/// How many free buffers a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static STORE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`BUFFER`] bytes, sometimes more, filled from its start.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// Takes an empty one from the store.
    pub(crate) fn take() -> Self {
        let kept = STORE.with_borrow_mut(Vec::pop);
        Self { bytes: kept.unwrap_or_else(|| vec![0; BUFFER].into()), filled: 0 }
    }

    /// Takes an empty one with room for at least so many bytes.
    pub(crate) fn with_room(size: usize) -> Self {
        if size <= BUFFER { Self::take() } else { Self { bytes: vec![0; size].into(), filled: 0 } }
    }

    /// One without memory.
    pub(crate) fn none() -> Self {
        Self { bytes: Box::default(), filled: 0 }
    }

    /// Has room for at least so many bytes, if it had no memory.
    pub(crate) fn ensure(&mut self, size: usize) {
        if self.bytes.is_empty() {
            *self = Self::with_room(size);
        }
    }

    /// Gives the memory back while nothing is in it: who only waits needs none, and the next one finds it warm.
    pub(crate) fn release(&mut self) {
        if self.filled == 0 {
            *self = Self::none();
        }
    }

    /// How many bytes are in it.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Whether there is no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    /// Room for at most so many bytes behind what is in it.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        let room = &mut self.bytes[self.filled..];
        let most = most.min(room.len());
        &mut room[..most]
    }

    /// Counts bytes that were written into [`Self::room`].
    pub(crate) fn fill(&mut self, count: usize) {
        self.filled += count;
        debug_assert!(self.filled <= self.bytes.len());
    }

    /// What is in it, to be changed in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }

    /// Drops the first bytes.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.cut_out(0, count);
    }

    /// Drops the bytes from `start` to `end`.
    pub(crate) fn cut_out(&mut self, start: usize, end: usize) {
        self.bytes.copy_within(end..self.filled, start);
        self.filled -= end - start;
    }

    /// Drops what is behind the first bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.filled = self.filled.min(length);
    }

    /// Makes shared bytes of what is in it.
    pub(crate) fn freeze(self) -> Bytes {
        if self.filled == 0 { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // While the thread ends there is no store any more.
        let _ = STORE.try_with(|store| {
            let mut store = store.borrow_mut();
            if store.len() < KEPT && bytes.len() == BUFFER {
                store.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_memory_only_while_there_is_something_in_it() {
        let mut buffer = Buffer::none();
        assert!(buffer.room(1).is_empty());
        buffer.ensure(10);
        let place = buffer.bytes.as_ptr();
        buffer.release();
        assert_eq!(Buffer::take().bytes.as_ptr(), place);
        buffer.ensure(10);
        buffer.room(1).copy_from_slice(b"x");
        buffer.fill(1);
        buffer.release();
        assert_eq!(&buffer[..], b"x");
    }

    #[test]
    fn comes_back_when_the_last_piece_is_dropped() {
        let mut buffer = Buffer::take();
        let place = buffer.bytes.as_ptr();
        buffer.room(13).copy_from_slice(b"head and body");
        buffer.fill(13);
        let bytes = buffer.freeze();
        let body = bytes.slice(9..);
        drop(bytes);
        assert_ne!(Buffer::take().bytes.as_ptr(), place);
        assert_eq!(body, &b"body"[..]);
        drop(body);
        let again = Buffer::take();
        assert_eq!((again.bytes.as_ptr(), again.len()), (place, 0));
    }
}
