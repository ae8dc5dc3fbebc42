//! The limits of a request head, and nginx's buffers that they come from.

use crate::http::uri::Slashes;

/// What a server's directives say about reading a request head.
///
/// The server may change once the `Host` field is known: the lines after it are read by the new server's rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// `client_header_buffer_size`, in bytes. Only the first server of a connection has a say.
    pub(crate) header_buffer: usize,
    /// `large_client_header_buffers`: how many, and the size of each in bytes.
    pub(crate) large_buffers: usize,
    pub(crate) large_buffer: usize,
    /// `merge_slashes`.
    pub(crate) slashes: Slashes,
    /// `underscores_in_headers`.
    pub(crate) underscores: bool,
    /// `ignore_invalid_headers`.
    pub(crate) ignore_invalid: bool,
}

impl Default for HeadLimits {
    /// nginx's defaults.
    fn default() -> HeadLimits {
        HeadLimits {
            header_buffer: 1024,
            large_buffers: 4,
            large_buffer: 8192,
            slashes: Slashes::Merge,
            underscores: false,
            ignore_invalid: true,
        }
    }
}

/// nginx would have no buffer left for the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Where nginx's buffers would end, reckoned in the bytes read so far.
///
/// nginx reads a head into one small buffer, then into large ones; a line that does not end in its buffer is
/// moved to the next one whole. We read as much as there is, but refuse at the same byte as nginx.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffers {
    /// The end of the current buffer.
    end: usize,
    /// The size of the current buffer.
    size: usize,
    /// Large buffers in use.
    busy: usize,
}

impl Buffers {
    pub(super) fn new(limits: &HeadLimits) -> Buffers {
        Buffers { end: limits.header_buffer, size: limits.header_buffer, busy: 0 }
    }

    /// The next request's first bytes follow in the same buffer: `consumed` bytes of it are gone.
    pub(super) fn pipelined(self, consumed: usize) -> Buffers {
        Buffers { end: self.end.saturating_sub(consumed), busy: self.busy.min(1), ..self }
    }

    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The first `blank` bytes are empty lines before a request: they fill the buffer over and over.
    #[inline]
    pub(super) fn pass_blank(&mut self, blank: usize) {
        while self.end <= blank {
            self.end += self.size.max(1);
        }
    }

    /// The same, and these bytes are forgotten.
    pub(super) fn forget(&mut self, blank: usize) {
        self.pass_blank(blank);
        self.end -= blank;
    }

    /// A line that began at `start` is not complete after `reach` bytes.
    #[inline]
    pub(super) fn hold(&mut self, start: usize, reach: usize, limits: &HeadLimits) -> Result<(), Full> {
        while self.end <= reach {
            if start < self.end && self.end - start >= limits.large_buffer {
                return Err(Full);
            }
            self.next(start, limits)?;
        }
        Ok(())
    }

    /// A large buffer for a line that began at `start`.
    #[cold]
    fn next(&mut self, start: usize, limits: &HeadLimits) -> Result<(), Full> {
        if self.busy >= limits.large_buffers {
            return Err(Full);
        }
        *self = Buffers { end: start + limits.large_buffer, size: limits.large_buffer, busy: self.busy + 1 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_a_line_to_a_large_buffer() {
        let limits = HeadLimits::default();
        let mut buffers = Buffers::new(&limits);
        assert_eq!(buffers.hold(10, 1023, &limits), Ok(()));
        assert_eq!((buffers.end(), buffers.busy), (1024, 0));
        assert_eq!(buffers.hold(10, 1024, &limits), Ok(()));
        assert_eq!((buffers.end(), buffers.busy), (8202, 1));
        assert_eq!(buffers.hold(10, 8201, &limits), Ok(()));
        assert_eq!(buffers.hold(10, 8202, &limits), Err(Full));
    }

    #[test]
    fn runs_out_of_buffers() {
        let limits = HeadLimits { large_buffers: 1, ..HeadLimits::default() };
        let mut buffers = Buffers::new(&limits);
        assert_eq!(buffers.hold(1024, 1024, &limits), Ok(()));
        assert_eq!(buffers.hold(5000, 9216, &limits), Err(Full));
    }

    #[test]
    fn forgets_empty_lines() {
        let mut buffers = Buffers::new(&HeadLimits::default());
        buffers.forget(1000);
        assert_eq!(buffers.end(), 24);
        buffers.forget(24);
        assert_eq!(buffers.end(), 1024);
        buffers.forget(4096);
        assert_eq!(buffers.end(), 1024);
    }
}
