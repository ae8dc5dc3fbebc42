//! An entry's file: opened, read and checked before anything of it is believed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::header::{Header, KEY, SIZE, Unreadable};
use crate::http::{Body, FileRange, FileStat, Recent, read_range, stat_file};
use crate::log::Level;

/// Files up to this size are read at once and sent together with the head; above it the body goes out by sendfile.
const SMALL: u64 = 32 << 10;

/// What a file is to be the entry of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// The whole key.
    pub(crate) key: &'a [u8],
    /// Its CRC-32.
    pub(crate) crc32: u32,
    /// Where the body begins, as far as that is known.
    pub(crate) body_at: usize,
    /// Where it begins at the latest.
    pub(crate) longest: usize,
}

/// An open entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What stands at its start.
    pub(crate) header: Header,
    /// What the system said of the file when it was opened.
    pub(crate) stat: Stat,
    /// Where not all of it was read.
    file: Option<Rc<OwnedFd>>,
    /// What was read of it: the head at least.
    bytes: Bytes,
}

/// How many bytes of small entries a thread keeps: paths, contents and this much for each beside.
const MOST: usize = 8 << 20;
const BESIDE: usize = 512;

/// Small entries that a thread has read lately, by path: one `stat` stands for `open`, `fstat`, `pread` and `close`,
/// for as long as the system says of a file what it said then.
pub(crate) struct Lately(Recent<Box<[u8]>, Rc<(FileStat, Entry)>>);

impl Default for Lately {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Lately {
    fn recall(&self, place: Place<'_>) -> Option<Entry> {
        let path = place.path.as_os_str().as_bytes();
        let kept = self.0.get(path)?;
        if stat_file(path).ok() != Some(kept.0) {
            self.0.remove(path);
            return None;
        }
        let entry = &kept.1;
        let is_it = usize::from(entry.header.head_at) == Header::head_at(place.key.len())
            && entry.bytes[SIZE + KEY.len()..].starts_with(place.key);
        is_it.then(|| entry.clone())
    }

    fn keep(&self, place: Place<'_>, entry: &Entry) {
        let stat = FileStat::new(&entry.stat);
        if entry.file.is_none() && stat.is_settled() {
            let path = place.path.as_os_str().as_bytes();
            self.0.insert(path.into(), Rc::new((stat, entry.clone())), path.len() + entry.bytes.len() + BESIDE);
        }
    }
}

/// Why there is no entry.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There is no file.
    Absent,
    /// A call failed.
    System(&'static str, io::Error),
    /// The file is something else, or damaged: how grave that is, and what nginx says of it behind its name.
    Damaged(Level, &'static str),
}

const SHORT: Fault = Fault::Damaged(Level::Crit, "is too small");
const COLLISION: Fault = Fault::Damaged(Level::Crit, "has md5 collision");

impl Entry {
    /// Opens an entry, or recalls it.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find(place: Place<'_>, lately: &Lately) -> Result<Self, Fault> {
        if let Some(entry) = lately.recall(place) {
            return Ok(entry);
        }
        let entry = Self::open(place)?;
        lately.keep(place, &entry);
        Ok(entry)
    }

    fn open(place: Place<'_>) -> Result<Self, Fault> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(place.path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => Fault::Absent,
            errno => Fault::System("open()", errno.into()),
        })?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| Fault::System("fstat()", errno.into()))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let wanted = if size <= SMALL { size } else { place.body_at as u64 };
        let mut bytes = read(&file, usize::try_from(wanted).unwrap_or(0))?;
        let header = check(&bytes, place)?;
        let body_at = usize::from(header.body_at);
        if body_at > place.longest {
            return Err(Fault::Damaged(Level::Crit, "has too long header"));
        }
        if bytes.len() < body_at {
            bytes = read(&file, body_at)?;
        }
        if bytes.len() < body_at || header.head_at > header.body_at {
            return Err(SHORT);
        }
        let file = (bytes.len() as u64 != size).then(|| Rc::new(file));
        Ok(Self { header, stat, file, bytes: bytes.into() })
    }

    /// The upstream's head, as it came.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[usize::from(self.header.head_at)..usize::from(self.header.body_at)]
    }

    /// How long the body is, in bytes.
    pub(crate) fn body_length(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0).saturating_sub(self.header.body_at.into())
    }

    /// The body.
    pub(crate) fn body(&self) -> Body {
        let (start, end) = (u64::from(self.header.body_at), u64::from(self.header.body_at) + self.body_length());
        match &self.file {
            None => Body::Bytes(self.bytes.slice(usize::from(self.header.body_at)..)),
            Some(file) => Body::File(FileRange { file: file.clone(), start, end }),
        }
    }

    /// Writes another structure at the start of the file, unless another entry stands there by now.
    ///
    /// # Errors
    /// The call that failed.
    pub(crate) fn rewrite(&self, path: &Path, header: &Header) -> Result<(), Fault> {
        let file = match rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Fault::System("open()", errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| Fault::System("fstat()", errno.into()))?;
        if (stat.st_ino, stat.st_size) != (self.stat.st_ino, self.stat.st_size) {
            return Ok(());
        }
        let now = Header::decode(&read(&file, SIZE)?);
        let is_same = |now: &Header| {
            (now.last_modified, now.crc32, now.head_at, now.body_at)
                == (header.last_modified, header.crc32, header.head_at, header.body_at)
        };
        if now.as_ref().is_ok_and(is_same) {
            // One call: nobody sees half of it, whatever happens to us.
            let written = rustix::io::pwrite(&file, &header.encode(), 0);
            written.map_err(|errno| Fault::System("pwrite()", errno.into()))?;
        }
        Ok(())
    }
}

fn read(file: &OwnedFd, length: usize) -> Result<Vec<u8>, Fault> {
    read_range(file, 0, length).map_err(|error| Fault::System("pread()", error))
}

fn check(bytes: &[u8], place: Place<'_>) -> Result<Header, Fault> {
    let head_at = Header::head_at(place.key.len());
    if bytes.len() < head_at {
        return Err(SHORT);
    }
    let header = Header::decode(bytes).map_err(|fault| match fault {
        Unreadable::TooShort => SHORT,
        Unreadable::Version => Fault::Damaged(Level::Info, "version mismatch"),
        Unreadable::Vary => Fault::Damaged(Level::Crit, "has incorrect vary length"),
    })?;
    let key_at = SIZE + KEY.len();
    let same_key = bytes[key_at..].starts_with(place.key);
    if header.crc32 != place.crc32 || usize::from(header.head_at) != head_at || !same_key {
        return Err(COLLISION);
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::http::crc32::Crc32;

    const ANSWER_KEY: &[u8] = b"http://localhost/";

    fn entry(head: &[u8], body: &[u8]) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let head_at = Header::head_at(ANSWER_KEY.len());
        let header = Header {
            crc32: Crc32::of(ANSWER_KEY),
            head_at: head_at as u16,
            body_at: (head_at + head.len()) as u16,
            last_modified: -1,
            ..Header::default()
        };
        let bytes = [&header.encode()[..], KEY, ANSWER_KEY, b"\n", head, body].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry");
        std::fs::write(&path, &bytes).unwrap();
        (folder, path, bytes)
    }

    fn place(path: &Path) -> Place<'_> {
        Place { path, key: ANSWER_KEY, crc32: Crc32::of(ANSWER_KEY), body_at: 4096, longest: 4096 }
    }

    fn complaint(path: &Path) -> &'static str {
        match Entry::open(place(path)) {
            Err(Fault::Damaged(_, sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_what_was_kept() {
        let (_folder, path, _) = entry(b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        let entry = Entry::open(place(&path)).unwrap();
        assert_eq!(entry.head(), b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(matches!(entry.body(), Body::Bytes(bytes) if bytes == b"body"[..]));
    }

    #[test]
    fn recalls_an_entry_until_its_file_is_another_one() {
        let (_folder, path, bytes) = entry(b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        let lately = Lately::default();
        let opened = Entry::open(place(&path)).unwrap();
        lately.0.insert(path.as_os_str().as_bytes().into(), Rc::new((FileStat::new(&opened.stat), opened)), 1);
        assert!(lately.recall(place(&path)).is_some());
        let other_key = Place { key: b"http://localhost.", ..place(&path) };
        assert!(lately.recall(other_key).is_none());
        std::fs::write(&path, [&bytes[..], b" and more"].concat()).unwrap();
        assert!(lately.recall(place(&path)).is_none());
        let found = Entry::find(place(&path), &lately).unwrap();
        assert_eq!(found.body_length(), 13);
        assert!(lately.recall(place(&path)).is_none(), "what changed just now may change again");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Entry::find(place(&path), &lately), Err(Fault::Absent)));
    }

    #[test]
    fn sends_large_bodies_from_the_file() {
        let (_folder, path, bytes) = entry(&b"h: v\r\n".repeat(200), &[b'x'; 100_000]);
        let short = Place { body_at: 500, ..place(&path) };
        let entry = Entry::open(short).unwrap();
        assert_eq!(entry.head().len(), 1200);
        assert!(matches!(entry.body(), Body::File(range) if range.len() == 100_000 && range.end == bytes.len() as u64));
    }

    #[test]
    fn believes_nothing_that_is_damaged() {
        let (_folder, path, bytes) = entry(b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        assert!(matches!(Entry::open(place(Path::new("/nowhere/at/all"))), Err(Fault::Absent)));
        std::fs::write(&path, &bytes[..300]).unwrap();
        assert_eq!(complaint(&path), "is too small");
        std::fs::write(&path, &bytes[..SIZE + KEY.len() + ANSWER_KEY.len() + 5]).unwrap();
        assert_eq!(complaint(&path), "is too small");
        let mut other = bytes.clone();
        other[SIZE + KEY.len()] = b'x';
        std::fs::write(&path, &other).unwrap();
        assert_eq!(complaint(&path), "has md5 collision");
        other[0] = 3;
        std::fs::write(&path, &other).unwrap();
        assert_eq!(complaint(&path), "version mismatch");
        let (_folder, path, _) = entry(&[b'h'; 5000], b"body");
        assert_eq!(complaint(&path), "has too long header");
    }

    #[test]
    fn a_new_structure_is_written_where_the_entry_is_the_same() {
        let (_folder, path, _) = entry(b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        let old = Entry::open(place(&path)).unwrap();
        let renewed = Header { valid: 77, ..old.header.clone() };
        old.rewrite(&path, &renewed).unwrap();
        let again = Entry::open(place(&path)).unwrap();
        assert_eq!(again.header, renewed);
        assert!(matches!(again.body(), Body::Bytes(bytes) if bytes == b"body"[..]));
        let (_folder, other, _) = entry(b"HTTP/1.1 200 OK\r\n\r\n", b"other");
        old.rewrite(&other, &renewed).unwrap();
        assert_eq!(Entry::open(place(&other)).unwrap().header.valid, 0);
    }
}
