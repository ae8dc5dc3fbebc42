//! Writes an answer to a file of its own while it goes to the client, and puts that in the place of the entry at the
//! end: nobody ever sees half an entry.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::{Caching, Freshness, Status, any_is_true};
use crate::cache::{ETAG, Header, KEY};
use crate::h1::response::UpstreamHead;
use crate::http::{HeaderId, Lifetime, Request, TempFile, TempFileError, date};
use crate::log::Level;
use crate::upstream::Conf;

/// An answer on its way into the cache.
pub(in crate::upstream) struct Saver {
    r: Rc<Request>,
    caching: Rc<Caching>,
    conf: std::sync::Arc<Conf>,
    /// What stands before the body and was not written yet.
    start: Vec<u8>,
    body_at: u16,
    file: Option<TempFile>,
}

/// Why an answer could not be written.
enum WriteFault {
    Create(TempFileError),
    Write(io::Error),
}

impl Caching {
    /// Reads what a head says about keeping its answer, one that is refused as well: nginx believes its headers too.
    pub(in crate::upstream) fn take_head(&self, head: &UpstreamHead, conf: &Conf) {
        self.forbidden.set(self.judge(&head.headers, &conf.ignored));
        let is_whole = matches!(head.status, 200 | 206);
        let last_modified = head.headers.get(HeaderId::LastModified).filter(|_| is_whole).and_then(date::parse_http);
        let etag = head.headers.get(HeaderId::ETag).filter(|etag| is_whole && etag.len() <= ETAG);
        *self.validators.borrow_mut() = (last_modified, etag.unwrap_or_default().to_vec());
    }

    /// The answer is the one that counts: it is not kept where it says so.
    pub(in crate::upstream) fn settle_head(&self) {
        if self.forbidden.get() {
            self.cacheable.set(false);
        }
    }

    /// An `error_page` answers instead of the upstream: its status may be kept.
    pub(in crate::upstream) fn intercepted(&self, status: u16) {
        if self.cacheable.get() {
            let valid = self.valid_until(status);
            if valid != 0 {
                self.remember(status, valid);
            }
        }
        self.free();
    }

    fn valid_until(&self, status: u16) -> i64 {
        match (self.freshness.get().valid, self.conf.valid_for(status)) {
            (0, 0) => 0,
            (0, seconds) => date::now().saturating_add(seconds),
            (valid, _) => valid,
        }
    }

    /// Begins to write an answer; `None` where it is not to be kept, which ends the dealings with the cache.
    pub(in crate::upstream) fn save(
        self: &Rc<Self>,
        r: &Rc<Request>,
        conf: &std::sync::Arc<Conf>,
        status: u16,
        head_bytes: &[u8],
    ) -> Option<Box<Saver>> {
        let start = self.begin_saving(r, status, head_bytes);
        if start.is_none() {
            self.cacheable.set(false);
            self.free();
        }
        let start = start?;
        let body_at = u16::try_from(start.len()).ok()?;
        let (r, caching, conf) = (r.clone(), self.clone(), conf.clone());
        Some(Box::new(Saver { r, caching, conf, start, body_at, file: None }))
    }

    /// Everything before the body.
    fn begin_saving(&self, r: &Request, status: u16, head_bytes: &[u8]) -> Option<Vec<u8>> {
        if any_is_true(&self.conf.no_cache, r) {
            return None;
        }
        if self.status.get() == Status::Bypass && self.node.get().is_none() {
            let asked = self.cache.ask(self.current.get(), None, self.conf.min_uses, &r.cycle().error_log);
            self.node.set(Some(asked.ok()?.0));
        }
        let valid = self.valid_until(status);
        if !self.cacheable.get() || valid == 0 {
            return None;
        }
        self.freshness.set(Freshness { valid, ..self.freshness.get() });
        let header = self.header(r, head_bytes.len())?;
        self.choose_key(r, &header)?;
        Some([&header.encode()[..], KEY, &self.key, b"\n", head_bytes].concat())
    }

    fn header(&self, r: &Request, head_length: usize) -> Option<Header> {
        let Freshness { valid, updating, error } = self.freshness.get();
        let (last_modified, etag) = self.validators.borrow().clone();
        let vary = self.vary.borrow().clone();
        let variant = if vary.is_empty() { [0; 16] } else { self.variant(r, &vary).0 };
        Some(Header {
            valid,
            updating,
            error,
            last_modified: last_modified.unwrap_or(-1),
            date: date::now(),
            crc32: self.crc32,
            head_at: u16::try_from(self.head_at()).ok()?,
            body_at: u16::try_from(self.head_at() + head_length).ok()?,
            etag,
            vary,
            variant,
        })
    }

    /// A variant goes under its own key. Where the answer varies otherwise than the entry under the main key said, it
    /// goes there.
    fn choose_key(&self, r: &Request, header: &Header) -> Option<()> {
        if !self.is_variant.get() || (!header.vary.is_empty() && header.variant == self.current.get().0) {
            return Some(());
        }
        if let Some(node) = self.node.take() {
            self.cache.let_go(node, true);
        }
        self.current.set(self.main);
        let asked = self.cache.ask(self.main, None, self.conf.min_uses, &r.cycle().error_log);
        self.node.set(Some(asked.ok()?.0));
        Some(())
    }
}

impl Saver {
    /// Writes the next bytes of the body; `false` where that failed and nothing will be kept.
    pub(in crate::upstream) fn append(&mut self, bytes: &[u8]) -> bool {
        match self.write(bytes) {
            Ok(()) => true,
            Err(WriteFault::Create(error)) => {
                self.r.log_with(Level::Crit, |line| error.write(line));
                false
            }
            Err(WriteFault::Write(error)) => {
                let path = self.file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
                self.r.log_error(Level::Crit, &error, format_args!("pwrite() \"{path}\" failed"));
                false
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteFault> {
        if self.file.is_none() {
            self.file = Some(self.create().map_err(WriteFault::Create)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.start.is_empty() {
            return file.append(bytes).map_err(WriteFault::Write);
        }
        self.start.extend_from_slice(bytes);
        let start = std::mem::take(&mut self.start);
        file.append(&start).map_err(WriteFault::Write)
    }

    fn create(&self) -> Result<TempFile, TempFileError> {
        let cache = &self.caching.cache;
        if cache.settings.use_temp_path {
            return TempFile::create(&self.conf.temp_path, Lifetime::WhileUsed);
        }
        TempFile::create_beside(cache.place(), &cache.path(self.caching.current.get()))
    }

    /// This is the rest of the body.
    pub(in crate::upstream) fn finish(mut self, rest: &[u8]) {
        if self.append(rest) {
            self.commit();
        }
    }

    /// The file, and how long it is; `None` before something was written.
    pub(in crate::upstream) fn file(&self) -> Option<(Rc<OwnedFd>, u64)> {
        self.file.as_ref().map(|file| (file.file.clone(), file.length))
    }

    /// The answer is whole: its file becomes the entry.
    pub(in crate::upstream) fn commit(mut self) {
        if (!self.start.is_empty() || self.file.is_none()) && !self.append(&[]) {
            return;
        }
        let Some(mut file) = self.file.take() else { return };
        let caching = &self.caching;
        let target = caching.cache.path(caching.current.get());
        let stat = match file.rename(caching.cache.place(), &target) {
            Ok(()) => rustix::fs::fstat(&*file.file).ok(),
            Err(error) => {
                self.r.log_with(Level::Crit, |line| error.write(line));
                None
            }
        };
        caching.fetching.set(None);
        if let Some(node) = caching.node.take() {
            caching.cache.replaced(node, self.body_at, stat.as_ref());
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // After a commit there is nothing left to free.
        self.caching.free();
    }
}
