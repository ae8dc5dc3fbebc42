//! What the master hands its worker on a reload: everything it read and opened with rights that the worker lacks.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::channel::Message;
use super::logs::Logs;
use super::sockets::Listening;
use crate::paths;

/// What the system answered, or the number of its error.
pub type Answer<T> = Result<T, i32>;

/// A configuration's parts, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Counts the master's configurations: the worker's answer names it.
    pub serial: u64,
    /// Whether the master is root.
    pub superuser: bool,
    /// Texts of files.
    pub files: Vec<(PathBuf, Answer<Vec<u8>>)>,
    /// Names in folders.
    pub folders: Vec<(PathBuf, Answer<Vec<OsString>>)>,
    /// Whether there is something of a name.
    pub there: Vec<(PathBuf, bool)>,
    /// Hosts by name, and their addresses; none where there is no such host.
    pub hosts: Vec<(Vec<u8>, Vec<IpAddr>)>,
    /// Addresses, and how many sockets each has.
    pub sockets: Vec<(String, usize)>,
    /// Logs by name.
    pub logs: Vec<PathBuf>,
}

/// A bundle that came through the line, with its descriptors.
#[derive(Debug)]
pub struct Received {
    /// What it says.
    pub bundle: Bundle,
    /// Sockets of each address of [`Bundle::sockets`].
    pub sockets: Vec<Vec<OwnedFd>>,
    /// Descriptors of [`Bundle::logs`].
    pub logs: Vec<OwnedFd>,
}

/// A bundle that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the bundle is damaged")]
pub struct Damaged;

impl Bundle {
    /// Names sockets and logs, and gives their descriptors in the order in which a message carries them.
    pub fn carry<'a>(&mut self, sockets: &'a [Listening], logs: &'a Logs) -> Vec<BorrowedFd<'a>> {
        self.sockets = sockets.iter().map(|socket| (socket.spec.text.clone(), socket.fds.len())).collect();
        let open: Vec<_> = logs.files().filter_map(|file| Some((file.path(), file.descriptor()?))).collect();
        self.logs = open.iter().map(|(path, _)| path.to_path_buf()).collect();
        let sockets = sockets.iter().flat_map(|socket| &socket.fds).map(AsFd::as_fd);
        sockets.chain(open.into_iter().map(|(_, fd)| fd)).collect()
    }

    /// Its bytes: lists, each with its length, of numbers and of byte strings, each with its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        out.number(self.serial);
        out.number(u64::from(self.superuser));
        out.list(&self.files, |out, (path, text)| {
            out.path(path);
            out.answer(text, |out, text| out.bytes(text));
        });
        out.list(&self.folders, |out, (path, names)| {
            out.path(path);
            out.answer(names, |out, names| out.list(names, |out, name| out.bytes(name.as_bytes())));
        });
        out.list(&self.there, |out, (path, there)| {
            out.path(path);
            out.number(u64::from(*there));
        });
        out.list(&self.hosts, |out, (name, addresses)| {
            out.bytes(name);
            out.list(addresses, |out, address| out.bytes(address.to_string().as_bytes()));
        });
        out.list(&self.sockets, |out, (text, count)| {
            out.bytes(text.as_bytes());
            out.number(*count as u64);
        });
        out.list(&self.logs, |out, path| out.path(path));
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut input = Reader(bytes);
        Ok(Self {
            serial: input.number()?,
            superuser: input.number()? != 0,
            files: input.list(|input| Ok((input.path()?, input.answer(|input| Ok(input.bytes()?.to_vec()))?)))?,
            folders: input.list(|input| {
                let name = |input: &mut Reader<'_>| Ok(OsString::from_vec(input.bytes()?.to_vec()));
                Ok((input.path()?, input.answer(|input| input.list(name))?))
            })?,
            there: input.list(|input| Ok((input.path()?, input.number()? != 0)))?,
            hosts: input.list(|input| Ok((input.bytes()?.to_vec(), input.list(Reader::address)?)))?,
            sockets: input.list(|input| {
                let text = String::from_utf8_lossy(input.bytes()?).into_owned();
                Ok((text, usize::try_from(input.number()?).map_err(|_| Damaged)?))
            })?,
            logs: input.list(Reader::path)?,
        })
    }
}

impl Received {
    /// Reads a message.
    pub fn new(message: Message) -> Result<Self, Damaged> {
        let bundle = Bundle::decode(&message.text)?;
        let mut fds = message.fds.into_iter();
        let mut take = |count: &usize| {
            let taken: Vec<_> = fds.by_ref().take(*count).collect();
            (taken.len() == *count).then_some(taken).ok_or(Damaged)
        };
        let sockets = bundle.sockets.iter().map(|(_, count)| take(count)).collect::<Result<_, _>>()?;
        let logs = take(&bundle.logs.len())?;
        Ok(Self { bundle, sockets, logs })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(paths::bytes(path));
    }

    fn answer<T>(&mut self, answer: &Answer<T>, write: impl Fn(&mut Self, &T)) {
        self.number(answer.as_ref().err().map_or(0, |errno| u64::from(errno.unsigned_abs())));
        if let Ok(value) = answer {
            write(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let bytes = self.take(8)?.try_into().map_err(|_| Damaged)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'b [u8], Damaged> {
        let len = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        self.take(len)
    }

    fn path(&mut self) -> Result<PathBuf, Damaged> {
        self.bytes().map(paths::from_bytes)
    }

    fn address(&mut self) -> Result<IpAddr, Damaged> {
        std::str::from_utf8(self.bytes()?).ok().and_then(|text| text.parse().ok()).ok_or(Damaged)
    }

    fn answer<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Answer<T>, Damaged> {
        match i32::try_from(self.number()?).map_err(|_| Damaged)? {
            0 => read(self).map(Ok),
            errno => Ok(Err(errno)),
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Vec<T>, Damaged> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        Bundle {
            serial: 3,
            files: vec![("a.conf".into(), Ok(b"events {}".to_vec())), ("b.conf".into(), Err(2))],
            superuser: true,
            folders: vec![("/a".into(), Ok(vec!["a.conf".into(), "b.conf".into()])), ("/b".into(), Err(13))],
            there: vec![("/a".into(), true), ("/c".into(), false)],
            hosts: vec![(b"a.example".to_vec(), vec!["::1".parse().unwrap()]), (b"b.example".to_vec(), Vec::new())],
            sockets: vec![("0.0.0.0:80".into(), 2)],
            logs: vec!["/var/log/e.log".into()],
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        assert_eq!(Bundle::decode(&bundle().encode()).unwrap(), bundle());
    }

    #[test]
    fn a_cut_bundle_is_refused() {
        let whole = bundle().encode();
        for len in 0..whole.len() {
            assert!(Bundle::decode(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn every_descriptor_must_be_there() {
        let fd = || OwnedFd::from(tempfile::tempfile().unwrap());
        let message = |count| Message { kind: 1, text: bundle().encode(), fds: (0..count).map(|_| fd()).collect() };
        assert!(Received::new(message(2)).is_err());
        let received = Received::new(message(3)).unwrap();
        assert_eq!((received.sockets[0].len(), received.logs.len()), (2, 1));
    }
}
