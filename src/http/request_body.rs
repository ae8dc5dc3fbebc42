//! The body of a request: read when somebody wants it, kept in memory or in a file.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::{BodyError, BodySource, Request};
use crate::log::Level;

/// A request's body.
#[derive(Clone)]
pub struct RequestBody(Rc<Inner>);

struct Inner {
    source: Option<Rc<dyn BodySource>>,
    length: Option<u64>,
    finished: Cell<bool>,
    received: Cell<u64>,
    stored: RefCell<Option<Rc<StoredBody>>>,
}

/// A body that was read whole.
#[derive(Debug, Default)]
pub struct StoredBody {
    /// What stayed in memory, the last bytes of the body where there is a file.
    pub memory: Vec<Bytes>,
    /// What did not fit.
    pub file: Option<TempFile>,
    /// Its length in bytes.
    pub length: u64,
}

/// A temporary file, removed when nobody needs it.
#[derive(Debug)]
pub struct TempFile {
    /// The open file, positioned nowhere in particular.
    pub file: Rc<OwnedFd>,
    /// Its path.
    pub path: std::path::PathBuf,
    /// Bytes in it.
    pub length: u64,
    /// Whether it is left behind.
    pub keep: bool,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl RequestBody {
    /// No body.
    pub fn none() -> Self {
        Self::from_parts(None, Some(0))
    }

    /// A body that a connection will yield; the length in bytes where it is known.
    pub fn new(source: Rc<dyn BodySource>, length: Option<u64>) -> Self {
        Self::from_parts(Some(source), length)
    }

    fn from_parts(source: Option<Rc<dyn BodySource>>, length: Option<u64>) -> Self {
        Self(Rc::new(Inner {
            finished: Cell::new(source.is_none()),
            source,
            length,
            received: Cell::new(0),
            stored: RefCell::default(),
        }))
    }

    /// The same body, for a subrequest.
    pub(super) fn share(&self) -> Self {
        self.clone()
    }

    /// Whether the request has a body at all.
    pub fn exists(&self) -> bool {
        self.0.source.is_some()
    }

    /// Its length in bytes, where the client said it.
    pub fn declared_length(&self) -> Option<u64> {
        self.0.length
    }

    /// Its length in bytes, where the client said it or all was read.
    pub fn length(&self) -> Option<u64> {
        self.0.length.or_else(|| self.stored().map(|stored| stored.length))
    }

    /// Whether nothing of it is left to read.
    pub fn is_finished(&self) -> bool {
        self.0.finished.get()
    }

    /// Bytes of content received so far.
    pub fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// The body, if it was read whole.
    pub fn stored(&self) -> Option<Rc<StoredBody>> {
        self.0.stored.borrow().clone()
    }

    /// The next bytes as they come, `None` at the end.
    ///
    /// # Errors
    /// What went wrong with the client or its framing; a body longer than `client_max_body_size`.
    pub async fn next(&self, r: &Request) -> Result<Option<Bytes>, BodyError> {
        let Some(source) = self.0.source.as_ref().filter(|_| !self.is_finished()) else { return Ok(None) };
        source.set_timeout(r.location().core.client_body_timeout);
        let Some(bytes) = std::future::poll_fn(|cx| source.poll_read(cx)).await? else {
            self.0.finished.set(true);
            return Ok(None);
        };
        let received = self.received() + bytes.len() as u64;
        self.0.received.set(received);
        let limit = r.location().core.client_max_body_size;
        if limit != 0 && received > limit {
            r.log(Level::Error, format_args!("client intended to send too large chunked body: {received} bytes"));
            return Err(BodyError::TooLarge);
        }
        Ok(Some(bytes))
    }

    /// The next bytes, whatever `client_max_body_size` says: to be dropped.
    ///
    /// # Errors
    /// What went wrong with the client or its framing.
    pub async fn next_unlimited(&self, timeout: Duration) -> Result<Option<Bytes>, BodyError> {
        let Some(source) = self.0.source.as_ref().filter(|_| !self.is_finished()) else { return Ok(None) };
        source.set_timeout(timeout);
        let bytes = std::future::poll_fn(|cx| source.poll_read(cx)).await?;
        if bytes.is_none() {
            self.0.finished.set(true);
        }
        Ok(bytes)
    }

    /// Reads the whole body; what does not fit `client_body_buffer_size` goes to a temporary file.
    ///
    /// # Errors
    /// As [`Self::next`], and [`BodyError::Storage`].
    pub async fn read(&self, r: &Request) -> Result<Rc<StoredBody>, BodyError> {
        if let Some(stored) = self.stored() {
            return Ok(stored);
        }
        let mut stored = StoredBody::default();
        while let Some(bytes) = self.next(r).await? {
            stored.length += bytes.len() as u64;
            stored.memory.push(bytes);
        }
        let stored = Rc::new(stored);
        *self.0.stored.borrow_mut() = Some(stored.clone());
        Ok(stored)
    }
}
