//! FastCGI records, read and written. <https://fastcgi-archives.github.io/FastCGI_Specification.html>

use std::collections::VecDeque;
use std::ops::Range;

use crate::http::{Chunk, FileRange};

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordType {
    BeginRequest = 1,
    EndRequest = 3,
    Params = 4,
    Stdin = 5,
    Stdout = 6,
    Stderr = 7,
}

/// The bytes before each record's content.
pub(crate) const RECORD_HEAD: usize = 8;

/// The number of every request: there is one a connection.
const REQUEST_ID: u8 = 1;

/// The head of a record with so many bytes of content, and how many bytes pad it to a multiple of eight.
pub(crate) fn record_head(kind: RecordType, length: u16) -> ([u8; RECORD_HEAD], usize) {
    let padding = (8 - length % 8) % 8;
    let [high, low] = length.to_be_bytes();
    ([1, kind as u8, 0, REQUEST_ID, high, low, padding as u8, 0], usize::from(padding))
}

/// How much of a body goes into one record at most, in bytes.
const LARGEST: u64 = 32 << 10;

/// Makes records of a body's pieces; `last` adds the empty one that ends it. Ends of one record and the head of the
/// next are one piece.
pub(super) fn append_stdin(pieces: Vec<Chunk>, last: bool, out: &mut VecDeque<Chunk>) {
    let mut between = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while let Some(part) = split_front(&mut rest, LARGEST) {
            let (head, padding) = record_head(RecordType::Stdin, part.len() as u16);
            between.extend_from_slice(&head);
            out.push_back(Chunk::Bytes(std::mem::take(&mut between).into()));
            out.push_back(part);
            between.resize(padding, 0);
        }
    }
    if last {
        between.extend_from_slice(&record_head(RecordType::Stdin, 0).0);
    }
    if !between.is_empty() {
        out.push_back(Chunk::Bytes(between.into()));
    }
}

/// The first bytes of a piece, at most so many; `None` where nothing is left.
pub(super) fn split_front(rest: &mut Chunk, most: u64) -> Option<Chunk> {
    let length = rest.len().min(most);
    match rest {
        _ if length == 0 => None,
        Chunk::Bytes(bytes) => Some(Chunk::Bytes(bytes.split_to(length as usize))),
        Chunk::File(range) => {
            let part = FileRange { file: range.file.clone(), start: range.start, end: range.start + length };
            range.start += length;
            Some(Chunk::File(part))
        }
        Chunk::Flush => None,
    }
}

/// What stands next in the bytes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Content of the answer.
    Stdout(Range<usize>),
    /// Something for the error log.
    Stderr(Range<usize>),
    /// There will be no more content.
    StdoutEnd,
    /// The request has ended; its record may not be all there.
    EndBegun,
    /// The request has ended, and this is behind it.
    End(usize),
    /// Everything was looked at.
    NeedMore,
}

/// A record that makes no sense, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("upstream sent unsupported FastCGI protocol version: {0}")]
    Version(u8),
    #[error("upstream sent invalid FastCGI record type: {0}")]
    Type(u8),
    #[error("upstream sent unexpected FastCGI request id high byte: {0}")]
    IdHigh(u8),
    #[error("upstream sent unexpected FastCGI request id low byte: {0}")]
    IdLow(u8),
}

/// Reads records, whatever pieces they come in.
#[derive(Debug)]
pub(super) struct RecordReader {
    at: At,
    kind: RecordType,
    /// Bytes of the record's content that are left.
    length: usize,
    padding: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a record's head, so many bytes of it read.
    Head(u8),
    /// The head is read, and nobody has been told.
    Told,
    Content,
    Padding,
    Ended,
}

impl Default for RecordReader {
    fn default() -> Self {
        Self { at: At::Head(0), kind: RecordType::Stdout, length: 0, padding: 0 }
    }
}

impl RecordReader {
    /// What stands at `pos`, which moves on behind it.
    pub(super) fn next(&mut self, bytes: &[u8], pos: &mut usize) -> Result<Record, RecordError> {
        loop {
            match self.at {
                At::Head(count) => {
                    let Some(byte) = bytes.get(*pos) else { return Ok(Record::NeedMore) };
                    self.take_head(count, *byte)?;
                    *pos += 1;
                }
                At::Told => {
                    self.at = At::Content;
                    match self.kind {
                        RecordType::Stdout if self.length == 0 => return Ok(Record::StdoutEnd),
                        RecordType::EndRequest => return Ok(Record::EndBegun),
                        _ => {}
                    }
                }
                At::Content if self.length == 0 => self.at = At::Padding,
                At::Content => {
                    if *pos == bytes.len() {
                        return Ok(Record::NeedMore);
                    }
                    let range = *pos..bytes.len().min(*pos + self.length);
                    self.length -= range.len();
                    *pos = range.end;
                    match self.kind {
                        RecordType::Stdout => return Ok(Record::Stdout(range)),
                        RecordType::Stderr => return Ok(Record::Stderr(range)),
                        _ => {}
                    }
                }
                At::Padding => {
                    let skipped = self.padding.min(bytes.len() - *pos);
                    *pos += skipped;
                    self.padding -= skipped;
                    if self.padding > 0 {
                        return Ok(Record::NeedMore);
                    }
                    self.at = if self.kind == RecordType::EndRequest { At::Ended } else { At::Head(0) };
                }
                At::Ended => return Ok(Record::End(*pos)),
            }
        }
    }

    /// One byte of a record's head.
    fn take_head(&mut self, count: u8, byte: u8) -> Result<(), RecordError> {
        match count {
            0 if byte != 1 => return Err(RecordError::Version(byte)),
            1 => {
                self.kind = match byte {
                    3 => RecordType::EndRequest,
                    6 => RecordType::Stdout,
                    7 => RecordType::Stderr,
                    _ => return Err(RecordError::Type(byte)),
                }
            }
            2 if byte != 0 => return Err(RecordError::IdHigh(byte)),
            3 if byte != REQUEST_ID => return Err(RecordError::IdLow(byte)),
            4 => self.length = usize::from(byte) << 8,
            5 => self.length |= usize::from(byte),
            6 => self.padding = usize::from(byte),
            _ => {}
        }
        self.at = if count == 7 { At::Told } else { At::Head(count + 1) };
        Ok(())
    }
}

/// What goes to the error log of what an application wrote there: without dots and line ends behind it.
pub(super) fn stderr_text(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | b'.' | b' '));
    // nginx never drops the first byte.
    &text[..end.unwrap_or(0) + 1]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bytes_of(chunks: &VecDeque<Chunk>) -> Vec<u8> {
        let piece = |chunk: &Chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        chunks.iter().flat_map(piece).collect()
    }

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let [high, low] = (content.len() as u16).to_be_bytes();
        let mut out = vec![1, kind, 0, 1, high, low, padding, 0];
        out.extend_from_slice(content);
        out.resize(out.len() + usize::from(padding), b'x');
        out
    }

    /// What an answer holds, read in pieces of `step` bytes.
    fn read(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, bool), RecordError> {
        let mut reader = RecordReader::default();
        let (mut stdout, mut stderr, mut ended) = (Vec::new(), Vec::new(), false);
        for piece in input.chunks(step) {
            let mut pos = 0;
            loop {
                match reader.next(piece, &mut pos)? {
                    Record::Stdout(range) => stdout.extend_from_slice(&piece[range]),
                    Record::Stderr(range) => stderr.extend_from_slice(&piece[range]),
                    Record::StdoutEnd | Record::EndBegun => {}
                    Record::End(_) => {
                        ended = true;
                        break;
                    }
                    Record::NeedMore => break,
                }
            }
        }
        Ok((stdout, stderr, ended))
    }

    #[test]
    fn reads_records_however_they_are_cut() {
        let all =
            [record(6, b"ab", 6), record(7, b"oh", 0), record(6, b"c", 7), record(6, b"", 0), record(3, &[0; 8], 3)]
                .concat();
        for step in [1, 3, all.len()] {
            assert_eq!(read(&all, step), Ok((b"abc".to_vec(), b"oh".to_vec(), true)), "{step}");
        }
    }

    #[test]
    fn refuses_with_nginx_words() {
        let said = |bytes: &[u8]| read(bytes, 8).unwrap_err().to_string();
        assert_eq!(said(&[2]), "upstream sent unsupported FastCGI protocol version: 2");
        assert_eq!(said(&[1, 5]), "upstream sent invalid FastCGI record type: 5");
        assert_eq!(said(&[1, 6, 3]), "upstream sent unexpected FastCGI request id high byte: 3");
        assert_eq!(said(&[1, 6, 0, 2]), "upstream sent unexpected FastCGI request id low byte: 2");
    }

    #[test]
    fn writes_bodies_padded() {
        let mut out = VecDeque::new();
        append_stdin(vec![Chunk::Bytes(Bytes::from_static(b"abc"))], true, &mut out);
        assert_eq!(bytes_of(&out), b"\x01\x05\0\x01\0\x03\x05\0abc\0\0\0\0\0\x01\x05\0\x01\0\0\0\0");
        out.clear();
        append_stdin(vec![Chunk::Bytes(vec![b'x'; 40 << 10].into())], false, &mut out);
        let lengths: Vec<_> = out.iter().map(Chunk::len).collect();
        assert_eq!(lengths, [8, 32 << 10, 8, 8 << 10]);
    }

    #[test]
    fn trims_what_applications_say() {
        assert_eq!(stderr_text(b"PHP Notice: x. \r\n"), b"PHP Notice: x");
        assert_eq!(stderr_text(b"\n\n"), b"\n");
    }
}
