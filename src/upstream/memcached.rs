//! A memcached answer: a line about the value, the value, and a line behind it.

use bytes::Bytes;

use super::buffer::Buffer;
use super::decode::Taken;
use super::head::{HeadRead, Refused, Say};
use crate::h1::response::UpstreamHead;
use crate::http::headers::parse_length;
use crate::log::Level;

/// What is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The key as it was sent.
    pub(crate) key: Bytes,
    /// `memcached_gzip_flag`
    pub(crate) gzip_flag: u64,
}

impl Lookup {
    /// Reads the first line.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        limit: usize,
        head: &mut UpstreamHead,
        say: Say<'_>,
    ) -> Result<HeadRead, Refused> {
        let window = &bytes[..bytes.len().min(limit)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            if window.len() == limit {
                say(Level::Error, b"upstream sent too big header");
                return Err(Refused);
            }
            return Ok(HeadRead::Partial);
        };
        let line = window[..end].strip_suffix(b"\r");
        match line.map_or(Err(&b"memcached sent invalid response: \""[..]), |line| self.take(line, head)) {
            Ok(()) => {
                if head.status == 404 {
                    say(Level::Info, &[b"key: \"", &self.key[..], b"\" was not found by memcached"].concat());
                }
                Ok(HeadRead::Done(end + 1))
            }
            Err(sentence) => {
                // Of a line without CR nginx shows all, of others what stands before it.
                let line = line.unwrap_or(&window[..end]);
                let behind: &[&[u8]] = match sentence {
                    b"memcached sent invalid response: \"" => &[line, b"\""],
                    _ => &[line, b"\" for key \"", &self.key, b"\""],
                };
                say(Level::Error, &[sentence, &behind.concat()].concat());
                Err(Refused)
            }
        }
    }

    /// Takes what the line says; `Err` with the beginning of a sentence about it.
    fn take(&self, line: &[u8], head: &mut UpstreamHead) -> Result<(), &'static [u8]> {
        const INVALID: &[u8] = b"memcached sent invalid response: \"";
        if line == b"END" {
            (head.status, head.content_length) = (404, Some(0));
            return Ok(());
        }
        let rest = line.strip_prefix(b"VALUE ").ok_or(INVALID)?;
        let rest = rest.strip_prefix(&self.key[..]).ok_or(&b"memcached sent invalid key in response \""[..])?;
        let rest = rest.strip_prefix(b" ").ok_or(INVALID)?;
        let space = memchr::memchr(b' ', rest).ok_or(INVALID)?;
        if self.gzip_flag != 0 {
            let flags = parse_length(&rest[..space]).ok_or(&b"memcached sent invalid flags in response \""[..])?;
            if flags & self.gzip_flag != 0 {
                head.headers.push(b"Content-Encoding", b"gzip");
            }
        }
        let length = parse_length(&rest[space + 1..]).ok_or(&b"memcached sent invalid length in response \""[..])?;
        (head.status, head.content_length) = (200, Some(length));
        Ok(())
    }
}

/// The line behind a value, with the end of the value's own.
const TRAILER: &[u8] = b"\r\nEND\r\n";

/// Reads a value.
pub(super) struct Value {
    left: u64,
    /// How much of the trailer has been read.
    trailer: usize,
    may_keep: bool,
    /// Sentences for the error log.
    pub(super) said: Vec<Vec<u8>>,
}

impl Value {
    /// A value of this length; `may_keep` says whether the connection may serve another request at all.
    pub(super) fn new(length: u64, may_keep: bool) -> Self {
        Self { left: length, trailer: 0, may_keep, said: Vec::new() }
    }

    /// Whether the connection may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.may_keep && self.trailer == TRAILER.len()
    }

    /// Leaves the value alone behind the first `from` bytes of the buffer.
    pub(super) fn take(&mut self, buffer: &mut Buffer, from: usize) -> Taken {
        let came = &buffer[from..];
        let of_value = usize::try_from(self.left).unwrap_or(usize::MAX).min(came.len());
        self.left -= of_value as u64;
        let behind = &came[of_value..];
        let fits = TRAILER[self.trailer..].starts_with(behind);
        let mut taken = Taken::default();
        if fits {
            self.trailer += behind.len();
            taken.done = self.trailer == TRAILER.len();
        } else {
            self.said.push(b"memcached sent invalid trailer".to_vec());
            (self.trailer, taken.done) = (0, true);
        }
        buffer.truncate(from + of_value);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], gzip_flag: u64) -> Result<(u16, Option<u64>, bool), String> {
        let lookup = Lookup { key: Bytes::from_static(b"/a"), gzip_flag };
        let (mut head, mut said) = (UpstreamHead::new(), String::new());
        let mut say = |_, text: &[u8]| said = String::from_utf8_lossy(text).into_owned();
        match lookup.read(input, 4096, &mut head, &mut say) {
            Ok(_) => Ok((head.status, head.content_length, !head.headers.is_empty())),
            Err(Refused) => Err(said),
        }
    }

    #[test]
    fn reads_the_line() {
        assert_eq!(read(b"VALUE /a 3 12\r\n", 0), Ok((200, Some(12), false)));
        assert_eq!(read(b"VALUE /a 3 12\r\n", 2), Ok((200, Some(12), true)));
        assert_eq!(read(b"END\r\n", 0), Ok((404, Some(0), false)));
        assert_eq!(read(b"VALUE /a", 0), Ok((0, None, false)));
    }

    #[test]
    fn refuses_with_nginx_words() {
        assert_eq!(read(b"ERROR\r\n", 0), Err("memcached sent invalid response: \"ERROR\"".into()));
        assert_eq!(read(b"END\n", 0), Err("memcached sent invalid response: \"END\"".into()));
        let about = |what: &str, line: &str| {
            Err(format!("memcached sent invalid {what} in response \"{line}\" for key \"/a\""))
        };
        assert_eq!(read(b"VALUE /b 0 1\r\n", 0), about("key", "VALUE /b 0 1"));
        assert_eq!(read(b"VALUE /a x 1\r\n", 1), about("flags", "VALUE /a x 1"));
        assert_eq!(read(b"VALUE /a 0 x\r\n", 0), about("length", "VALUE /a 0 x"));
    }

    #[test]
    fn takes_the_trailer_off() {
        let take = |pieces: &[&[u8]]| {
            let (mut value, mut buffer, mut done) = (Value::new(3, true), Buffer::take(), false);
            for piece in pieces {
                let from = buffer.len();
                buffer.room(piece.len()).copy_from_slice(piece);
                buffer.fill(piece.len());
                done = value.take(&mut buffer, from).done;
            }
            (String::from_utf8_lossy(&buffer).into_owned(), done, value.is_reusable())
        };
        assert_eq!(take(&[b"abc\r\nEND\r\n"]), ("abc".into(), true, true));
        assert_eq!(take(&[b"ab", b"c\r", b"\nEND\r", b"\n"]), ("abc".into(), true, true));
        assert_eq!(take(&[b"abcdef"]), ("abc".into(), true, false));
        assert_eq!(take(&[b"abc\r\nEN"]), ("abc".into(), false, false));
    }
}
