//! A request's body that was read whole: in memory, or in a temporary file.
//!
//! nginx writes what does not fit `client_body_buffer_size` to a file. Bodies of moderate size are kept in memory
//! instead where nobody can tell: the file is made when its name is asked for, and where its making is logged.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;

use super::{BodyError, BodyInFile, Chunk, FileRange, Lifetime, Request, TempFile, TempFileError, Version};
use crate::log::{Level, Line};

/// The largest body that stays in memory beyond its buffer, in bytes.
const MOST_IN_MEMORY: u64 = 2 << 20;

/// How much all such bodies of a thread may take together, in bytes.
const BUDGET: u64 = 32 << 20;

/// Bytes of bodies that a thread keeps in memory beyond their buffers.
#[derive(Default)]
struct Budget(Cell<u64>);

/// A part of the budget, given back when dropped.
#[derive(Default)]
struct Reserved(Option<(Rc<Budget>, u64)>);

impl Reserved {
    fn grow(&mut self, r: &Request, bytes: u64) -> bool {
        let (budget, mine) = self.0.get_or_insert_with(|| (r.local.state.get(), 0));
        let all = budget.0.get() + bytes;
        if all > BUDGET {
            return false;
        }
        budget.0.set(all);
        *mine += bytes;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((budget, mine)) = &self.0 {
            budget.0.set(budget.0.get() - mine);
        }
    }
}

/// A body that was read whole.
pub struct StoredBody {
    length: u64,
    /// nginx would have it in a file.
    beyond_buffer: bool,
    place: RefCell<Place>,
    _reserved: Reserved,
}

enum Place {
    Memory(Vec<Bytes>),
    File(TempFile),
}

impl StoredBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The body in pieces, to be sent.
    pub fn chunks(&self) -> Vec<Chunk> {
        match &*self.place.borrow() {
            Place::Memory(pieces) => pieces.iter().cloned().map(Chunk::Bytes).collect(),
            Place::File(file) if file.length == 0 => Vec::new(),
            Place::File(file) => {
                vec![Chunk::File(FileRange { file: file.file.clone(), start: 0, end: file.length })]
            }
        }
    }

    /// Appends `$request_body`; `false` where nginx has the body in a file.
    pub fn append_to(&self, out: &mut Vec<u8>) -> bool {
        match &*self.place.borrow() {
            Place::Memory(pieces) if !self.beyond_buffer && self.length > 0 => {
                pieces.iter().for_each(|piece| out.extend_from_slice(piece));
                true
            }
            _ => false,
        }
    }

    /// `$request_body_file`: the path of the file that the body is in, or that nginx would have put it in.
    pub fn file_path(&self, r: &Request) -> Option<PathBuf> {
        let mut place = self.place.borrow_mut();
        if let Place::Memory(pieces) = &*place
            && self.beyond_buffer
        {
            *place = Place::File(move_to_file(r, pieces, Lifetime::Nameless).ok()?);
        }
        match &*place {
            Place::File(file) => Some(file.path.clone()),
            Place::Memory(_) => None,
        }
    }
}

/// Pieces smaller than this are copied together: each may hold a large buffer. Bytes.
const SMALL: usize = 32 << 10;

/// A body that is being read.
pub(super) struct Storing {
    memory: Vec<Bytes>,
    /// Small pieces that came last.
    tail: Vec<u8>,
    file: Option<TempFile>,
    length: u64,
    declared: Option<u64>,
    /// What HTTP/2 keeps in memory in any case, in bytes.
    preread: u64,
    /// nginx has it in the buffer of its head.
    beside_head: bool,
    reserved: Reserved,
}

impl Storing {
    /// Nothing of a body whose length the client may have said, and of which so many bytes stay in memory, however small
    /// the buffer is. `beside_head` says that nginx would keep it in the buffer of its head.
    pub(super) fn new(declared: Option<u64>, preread: u64, beside_head: bool) -> Self {
        let reserved = Reserved::default();
        Self { memory: Vec::new(), tail: Vec::new(), file: None, length: 0, declared, preread, beside_head, reserved }
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, r: &Request, bytes: Bytes) -> Result<(), BodyError> {
        self.length += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            return append(r, file, &bytes);
        }
        let latest = bytes.len() as u64;
        self.keep(bytes);
        if self.is_beyond_buffer(r) && self.needs_file(r, latest) {
            self.spill(r)?;
        }
        Ok(())
    }

    fn keep(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.end_tail();
        self.memory.push(bytes);
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.memory.push(std::mem::take(&mut self.tail).into());
        }
    }

    /// Whether nginx would have written to a file by now. A body that is a little longer than the buffer gets a
    /// buffer of its own length, but not in HTTP/2.
    fn is_beyond_buffer(&self, r: &Request) -> bool {
        let buffer = r.location().core.client_body_buffer_size as u64;
        match self.declared {
            _ if self.beside_head => false,
            Some(declared) if r.head.version != Version::HTTP_2 => {
                declared >= buffer + buffer / 4 && self.length >= buffer
            }
            _ => self.length > buffer.max(self.preread),
        }
    }

    fn needs_file(&mut self, r: &Request, latest: u64) -> bool {
        r.logs(Level::Warn)
            || r.location().core.client_body_in_file_only != BodyInFile::Off
            || self.declared.unwrap_or(self.length).max(self.length) > MOST_IN_MEMORY
            || !self.reserved.grow(r, latest)
    }

    fn spill(&mut self, r: &Request) -> Result<(), BodyError> {
        self.end_tail();
        let in_file_only = r.location().core.client_body_in_file_only;
        let file = move_to_file(r, &self.memory, in_file_only.lifetime())?;
        let level = if in_file_only == BodyInFile::Off { Level::Warn } else { Level::Notice };
        r.log(level, format_args!("a client request body is buffered to a temporary file {file}"));
        self.memory.clear();
        self.reserved = Reserved::default();
        self.file = Some(file);
        Ok(())
    }

    /// Ends the reading. Where `client_body_in_file_only` is on, a body that was announced is in a file now.
    pub(super) fn finish(mut self, r: &Request, announced: bool) -> Result<StoredBody, BodyError> {
        let in_file_only = r.location().core.client_body_in_file_only;
        if announced && self.file.is_none() && in_file_only != BodyInFile::Off {
            if self.length > 0 {
                self.spill(r)?;
            } else {
                self.file = Some(move_to_file(r, &[], in_file_only.lifetime())?);
            }
        }
        self.end_tail();
        let beyond_buffer = self.file.is_some() || self.is_beyond_buffer(r);
        let place = match self.file {
            Some(file) => Place::File(file),
            None => Place::Memory(self.memory),
        };
        Ok(StoredBody { length: self.length, beyond_buffer, place: RefCell::new(place), _reserved: self.reserved })
    }
}

fn move_to_file(r: &Request, pieces: &[Bytes], lifetime: Lifetime) -> Result<TempFile, BodyError> {
    let created = TempFile::create(&r.location().core.client_body_temp_path, lifetime);
    let mut file = created.map_err(|error: TempFileError| {
        r.log_with(Level::Crit, |line: &mut Line| error.write(line));
        BodyError::Storage
    })?;
    pieces.iter().try_for_each(|piece| append(r, &mut file, piece))?;
    Ok(file)
}

fn append(r: &Request, file: &mut TempFile, bytes: &[u8]) -> Result<(), BodyError> {
    file.append(bytes).map_err(|error: io::Error| {
        r.log_error(Level::Crit, &error, format_args!("pwrite() \"{file}\" failed"));
        BodyError::Storage
    })
}
