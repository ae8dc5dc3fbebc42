//! One encrypted connection: bytes of the socket in and out, with no memory held while it is idle.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Poll, ready};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadEarlyData, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};

/// The most that is read from the socket at once, in bytes.
const READ: usize = 64 << 10;

/// The most plain text that is encrypted at once, in bytes. Of it a slow client holds one portion.
const WRITE: usize = 64 << 10;

/// The most that may wait for the rest of its message, in bytes: no message of a handshake is longer.
const LONGEST: usize = 80 << 10;

/// The largest record's plain text (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

thread_local! {
    /// What was just read, and what is just being sent.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST + READ]);
    static OUTPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; WRITE + (4 << 10)]);
    /// A piece of a file.
    static PIECE: RefCell<Vec<u8>> = RefCell::new(vec![0; WRITE]);
    /// The head of an answer with the beginning of its body, which leave in one record.
    static JOINED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(RECORD));
}

/// Which end of a connection it is.
pub trait Side {
    /// rustls's name for the end.
    type Data;
    /// Looks at what came in.
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    /// Takes data that came before the handshake was done.
    fn early(early: ReadEarlyData<'_, '_, Self::Data>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;
    /// What is known of the connection.
    fn state(&self) -> &CommonState;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn early(mut early: ReadEarlyData<'_, '_, Self::Data>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        while let Some(record) = early.next_record() {
            sink(record?.payload);
        }
        Ok(())
    }

    fn state(&self) -> &CommonState {
        self
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn early(_early: ReadEarlyData<'_, '_, Self::Data>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        Ok(())
    }

    fn state(&self) -> &CommonState {
        self
    }
}

/// An encrypted connection. The socket is the caller's: reading and writing are handed in.
pub struct Channel<S> {
    side: S,
    /// Bytes of the socket that are not a whole message yet.
    incoming: Vec<u8>,
    /// Plain text that nobody has asked for yet.
    plain: Vec<u8>,
    /// Bytes that the socket has not taken yet.
    outgoing: Vec<u8>,
    /// How much plain text was encrypted of which the caller has not been told; it offers it again until it is.
    ahead: usize,
    /// Nothing more comes.
    ended: bool,
    /// What was wrong behind bytes that went to the caller before.
    failed: Option<io::Error>,
}

impl<S: Side> Channel<S> {
    /// A connection before its first byte.
    pub fn new(side: S) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            ahead: 0,
            ended: false,
            failed: None,
        }
    }

    /// What is known of the connection.
    pub fn state(&self) -> &CommonState {
        self.side.state()
    }

    /// Which end it is, with what rustls knows of that.
    pub fn side(&self) -> &S {
        &self.side
    }

    /// Whether decrypted bytes wait.
    pub fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Bytes that the socket has not taken yet.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// Takes bytes that were read from the socket already, before all others.
    ///
    /// # Errors
    /// What is wrong with them; an alert for the other end may wait to be sent.
    pub fn take_in(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let mut plain = std::mem::take(&mut self.plain);
        let used = self.drive(bytes, &mut |more| plain.extend_from_slice(more));
        self.plain = plain;
        self.incoming.extend_from_slice(&bytes[used?..]);
        Ok(())
    }

    /// Goes on with the handshake; ready when it is done and all of it is sent, or when there is something to read
    /// already: early data (RFC 8446, section 2.3).
    ///
    /// # Errors
    /// The socket's; `InvalidData` with rustls's error inside; `UnexpectedEof` where the other end left.
    pub fn poll_handshake(
        &mut self,
        read: &mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
        write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        // A client begins by itself.
        self.take_in(&mut []).map_err(invalid)?;
        loop {
            ready!(self.poll_flush(write))?;
            if !self.state().is_handshaking() || self.has_plain() {
                return Poll::Ready(Ok(()));
            }
            let mut plain = std::mem::take(&mut self.plain);
            let more = self.read_on(read, &mut |bytes| plain.extend_from_slice(bytes));
            self.plain = plain;
            match more {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => {
                    // The alert goes out if it can.
                    let _ = self.poll_flush(write);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads plain text into a buffer; 0 bytes at the end of the stream.
    ///
    /// # Errors
    /// As [`Self::poll_handshake`].
    pub fn poll_read(
        &mut self,
        buffer: &mut [u8],
        read: &mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.plain.is_empty() {
                let count = self.plain.len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.plain[..count]);
                self.plain.drain(..count);
                if self.plain.is_empty() {
                    self.plain = Vec::new();
                }
                return Poll::Ready(Ok(count));
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            if self.ended || buffer.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let (mut filled, mut rest) = (0, Vec::new());
            let more = self.read_on(read, &mut |bytes| {
                let fits = bytes.len().min(buffer.len() - filled);
                buffer[filled..filled + fits].copy_from_slice(&bytes[..fits]);
                filled += fits;
                rest.extend_from_slice(&bytes[fits..]);
            });
            self.plain = rest;
            if filled > 0 {
                if let Poll::Ready(Err(error)) = more {
                    self.failed = Some(error);
                }
                return Poll::Ready(Ok(filled));
            }
            if !ready!(more)? {
                return Poll::Ready(Ok(0));
            }
        }
    }

    /// Ready when nothing more comes. What comes meanwhile is kept; of more than `most` bytes the rest stays in the socket.
    pub fn poll_ended(&mut self, most: usize, read: &mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>) -> Poll<()> {
        while !self.ended {
            if self.plain.len() > most {
                return Poll::Pending;
            }
            let mut plain = std::mem::take(&mut self.plain);
            let more = self.read_on(read, &mut |bytes| plain.extend_from_slice(bytes));
            self.plain = plain;
            match ready!(more) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Reads once from the socket and gives away what that is in plain text; `false` at its end.
    fn read_on(
        &mut self,
        read: &mut dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<bool>> {
        INPUT.with_borrow_mut(|input| {
            let kept = self.incoming.len();
            if kept > LONGEST {
                return Poll::Ready(Err(invalid(Error::General("a message that is too long".into()))));
            }
            let new = ready!(read(&mut input[kept..kept + READ]))?;
            if new == 0 {
                self.ended = true;
                return Poll::Ready(Ok(false));
            }
            let incoming = std::mem::take(&mut self.incoming);
            input[..kept].copy_from_slice(&incoming);
            let used = self.drive(&mut input[..kept + new], sink).map_err(invalid)?;
            self.incoming.extend_from_slice(&input[used..kept + new]);
            Poll::Ready(Ok(true))
        })
    }

    /// Looks at what came in, message by message; tells how many bytes are dealt with.
    fn drive(&mut self, bytes: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let status = self.side.process(&mut bytes[used..]);
            let goes_on = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        sink(record?.payload);
                    }
                    true
                }
                Ok(ConnectionState::ReadEarlyData(early)) => {
                    S::early(early, sink)?;
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    self.collect_alert();
                    return Err(error);
                }
            };
            used += status.discard;
            if !goes_on {
                return Ok(used);
            }
        }
    }

    /// What an error leaves for the other end.
    fn collect_alert(&mut self) {
        loop {
            match self.side.process(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                _ => return,
            }
        }
    }

    /// Where there is no certificate that the client takes, the alert is OpenSSL's: `handshake_failure` instead of rustls's
    /// `access_denied` (RFC 8446, 6.2).
    pub fn refuse_as_openssl(&mut self) {
        const ACCESS_DENIED: [u8; 2] = [2, 49];
        if let [21, 3, _, 0, 2, alert @ ..] = &mut self.outgoing[..]
            && *alert == ACCESS_DENIED
        {
            alert[1] = 40;
        }
    }

    /// Sends what was encrypted already.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_flush(&mut self, write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let sent = ready!(write(&self.outgoing))?;
            self.outgoing.drain(..sent);
        }
        if self.outgoing.capacity() > 0 {
            self.outgoing = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// How much of what is offered was sent already; the caller was not told as long as the socket had not taken it.
    /// `None`: nothing was.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_settled(
        &mut self,
        offered: usize,
        write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<Option<usize>>> {
        ready!(self.poll_flush(write))?;
        let told = self.ahead.min(offered);
        self.ahead -= told;
        Poll::Ready(Ok((told > 0).then_some(told)))
    }

    /// Sends some of two pieces of plain text. What was not taken must be offered again, and nothing else.
    ///
    /// # Errors
    /// The socket's; `InvalidData` where rustls can encrypt no more.
    pub fn poll_write(
        &mut self,
        first: &[u8],
        second: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let offered = first.len() + second.len();
        loop {
            if let Some(told) = ready!(self.poll_settled(offered, write))? {
                return Poll::Ready(Ok(told));
            }
            let sent = OUTPUT.with_borrow_mut(|output| {
                let (taken, length) = self.encrypt(first, second, output).map_err(invalid)?;
                let sent = match write(&output[..length]) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => 0,
                };
                if sent < length {
                    self.outgoing.extend_from_slice(&output[sent..length]);
                    self.ahead = taken;
                    return io::Result::Ok(None);
                }
                Ok(Some(taken))
            })?;
            if let Some(taken) = sent {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Sends some bytes of a file. What was encrypted and not taken yet is not read again.
    ///
    /// # Errors
    /// As [`Self::poll_write`], and the file's.
    pub fn poll_send_file(
        &mut self,
        file: &OwnedFd,
        offset: u64,
        count: usize,
        write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(told) = ready!(self.poll_settled(count, write))? {
            return Poll::Ready(Ok(told));
        }
        PIECE.with_borrow_mut(|piece| {
            let read = rustix::io::pread(file, &mut piece[..count.min(WRITE)], offset).map_err(io::Error::from)?;
            if read == 0 { Poll::Ready(Ok(0)) } else { self.poll_write(&piece[..read], &[], write) }
        })
    }

    /// Encrypts a portion; tells how much plain text it took, and how many bytes it made of it.
    fn encrypt(&mut self, first: &[u8], second: &[u8], output: &mut Vec<u8>) -> Result<(usize, usize), Error> {
        let first = &first[..first.len().min(WRITE)];
        let second = &second[..second.len().min(WRITE - first.len())];
        if first.is_empty() || second.is_empty() || first.len() >= RECORD {
            let length = self.encrypt_piece(first, output, 0)?;
            return Ok((first.len() + second.len(), self.encrypt_piece(second, output, length)?));
        }
        JOINED.with_borrow_mut(|joined| {
            let (begin, rest) = second.split_at(second.len().min(RECORD - first.len()));
            joined.clear();
            joined.extend_from_slice(first);
            joined.extend_from_slice(begin);
            let length = self.encrypt_piece(joined, output, 0)?;
            Ok((joined.len() + rest.len(), self.encrypt_piece(rest, output, length)?))
        })
    }

    /// Encrypts plain text behind what is in the buffer; tells where that ends then.
    fn encrypt_piece(&mut self, plain: &[u8], output: &mut Vec<u8>, at: usize) -> Result<usize, Error> {
        if plain.is_empty() {
            return Ok(at);
        }
        self.with_traffic(|traffic| {
            loop {
                match traffic.encrypt(plain, &mut output[at..]) {
                    Ok(length) => return Ok(at + length),
                    Err(EncryptError::InsufficientSize(missing)) => output.resize(at + missing.required_size, 0),
                    Err(error @ EncryptError::EncryptExhausted) => return Err(Error::General(error.to_string())),
                }
            }
        })?
    }

    /// The state in which data may be sent.
    fn with_traffic<T>(&mut self, act: impl FnOnce(&mut WriteTraffic<'_, S::Data>) -> T) -> Result<T, Error> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let acted = loop {
            let status = self.side.process(&mut incoming);
            match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => break Ok(act(&mut traffic)),
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(_) => break Err(Error::HandshakeNotComplete),
                Err(error) => break Err(error),
            }
        };
        self.incoming = incoming;
        acted
    }

    /// Tells the other end that no more comes, if it takes that at once.
    pub fn close(&mut self, write: &mut dyn FnMut(&[u8]) -> Poll<io::Result<usize>>) {
        if self.ahead > 0 || !matches!(self.poll_flush(write), Poll::Ready(Ok(()))) {
            return;
        }
        let mut alert = [0; 128];
        if let Ok(Ok(length)) = self.with_traffic(|traffic| traffic.queue_close_notify(&mut alert)) {
            // Whoever has gone already need not be told.
            let _ = write(&alert[..length]);
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) {
    let at = outgoing.len();
    if let Err(EncodeError::InsufficientSize(missing)) = data.encode(&mut []) {
        outgoing.resize(at + missing.required_size, 0);
        let encoded = data.encode(&mut outgoing[at..]).unwrap_or(0);
        outgoing.truncate(at + encoded);
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
