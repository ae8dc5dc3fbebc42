//! The line between master and worker: small packets, with descriptors and long texts beside them.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Descriptors a packet can carry; the kernel's limit is 253.
const MOST_FDS: usize = 200;

/// Marks a packet whose descriptors belong to the message that follows.
const MORE: u8 = 0;

/// Room for the control message of [`MOST_FDS`] descriptors.
const CONTROL: usize = rustix::cmsg_space!(ScmRights(MOST_FDS));

/// One end of the line.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
    /// Descriptors that came before the message they belong to.
    early: Vec<OwnedFd>,
}

/// What came through the line.
#[derive(Debug)]
pub struct Message {
    /// What it is; never zero.
    pub kind: u8,
    /// Its text, of any length.
    pub text: Vec<u8>,
    /// Its descriptors, in the order in which they were sent.
    pub fds: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends of a new line. Neither ever waits: sending into a full line and receiving from an empty one fail with
    /// [`io::ErrorKind::WouldBlock`].
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let end = |fd| Self { fd, early: Vec::new() };
        Ok((end(one), end(other)))
    }

    /// Sends a message with a text and descriptors; the receiver gets its own copies of the latter.
    pub fn send(&self, kind: u8, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = text_file(text)?;
        let mut all = vec![text.as_fd()];
        all.extend_from_slice(fds);
        let (last, before) = match all.chunks(MOST_FDS).collect::<Vec<_>>().split_last() {
            Some((last, before)) => (*last, before.to_vec()),
            None => return Ok(()),
        };
        for chunk in before {
            self.packet(&[MORE], chunk)?;
        }
        self.packet(&[kind], last)
    }

    /// Sends a few bytes without descriptors.
    pub fn send_short(&self, bytes: &[u8]) -> io::Result<()> {
        self.packet(bytes, &[])
    }

    fn packet(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message of [`Self::send`]; `None` when the other end is gone.
    pub fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            let mut kind = [MORE];
            let mut space = [MaybeUninit::uninit(); CONTROL];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = recvmsg(&self.fd, &mut [IoSliceMut::new(&mut kind)], &mut control, flags)?;
            if got.bytes == 0 {
                return Ok(None);
            }
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    self.early.extend(fds);
                }
            }
            if kind[0] != MORE {
                return self.whole(kind[0]).map(Some);
            }
        }
    }

    fn whole(&mut self, kind: u8) -> io::Result<Message> {
        let mut fds = std::mem::take(&mut self.early);
        if fds.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut text = Vec::new();
        let mut file = File::from(fds.remove(0));
        file.rewind()?;
        file.read_to_end(&mut text)?;
        Ok(Message { kind, text, fds })
    }

    /// The next bytes of [`Self::send_short`], at most as many as `buffer` takes; `None` when the other end is gone.
    /// Descriptors are refused: what a worker sends is not trusted with ours.
    pub fn receive_short<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let (got, _) = rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty())?;
        Ok((got != 0).then(|| &buffer[..got]))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn text_file(text: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("rnginx", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_text_and_descriptors() {
        let (here, mut there) = Channel::pair().unwrap();
        let text = vec![b'x'; 3 << 20];
        let files: Vec<File> = (0..450).map(|_| tempfile::tempfile().unwrap()).collect();
        writeln!(&files[449], "last").unwrap();
        here.send(7, &text, &files.iter().map(AsFd::as_fd).collect::<Vec<_>>()).unwrap();
        here.send(8, b"", &[]).unwrap();

        let message = there.receive().unwrap().unwrap();
        assert_eq!((message.kind, message.text.len(), message.fds.len()), (7, text.len(), 450));
        let mut last = File::from(message.fds.into_iter().next_back().unwrap());
        let mut read = String::new();
        last.rewind().unwrap();
        last.read_to_string(&mut read).unwrap();
        assert_eq!(read, "last\n");

        let message = there.receive().unwrap().unwrap();
        assert_eq!((message.kind, message.text.as_slice(), message.fds.len()), (8, &b""[..], 0));
        assert_eq!(there.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert!(there.receive().unwrap().is_none());
    }

    #[test]
    fn short_bytes_go_the_other_way() {
        let (here, there) = Channel::pair().unwrap();
        there.send_short(b"\x01abc").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(here.receive_short(&mut buffer).unwrap(), Some(&b"\x01abc"[..]));
        assert_eq!(here.receive_short(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
