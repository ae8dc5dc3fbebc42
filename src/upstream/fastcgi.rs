//! A FastCGI answer: CGI's headers and a body in records, and what the application says to the error log in between.

use std::sync::Arc;

use super::buffer::Buffer;
use super::decode::{Fault, Marks, Taken};
use super::head::{FastCgi, HeadRead, Refused, Say, refuse};
use super::records::{RECORD_HEAD, Record, RecordReader, stderr_text};
use crate::h1::response::{UpstreamError, UpstreamHead, UpstreamParse, UpstreamParser};
use crate::log::Level;

/// Reads the head. What was taken out of the records stands at the buffer's front.
pub(super) struct FastCgiHead {
    conf: Arc<FastCgi>,
    records: RecordReader,
    parser: UpstreamParser,
    /// Bytes at the front of the buffer that have been taken out of their records.
    content: usize,
    /// How many bytes the head takes with its records, from the first one on.
    taken: usize,
    /// How many of `content` belong to the body.
    of_body: usize,
}

impl FastCgiHead {
    pub(super) fn new(conf: Arc<FastCgi>) -> Self {
        let (records, parser) = (RecordReader::default(), UpstreamParser::without_status_line());
        Self { conf, records, parser, content: 0, taken: 0, of_body: 0 }
    }

    pub(super) fn read(
        &mut self,
        buffer: &mut Buffer,
        limit: usize,
        head: &mut UpstreamHead,
        say: Say<'_>,
    ) -> Result<HeadRead, Refused> {
        let mut pos = self.content;
        loop {
            let from = pos;
            let record = self.records.next(buffer, &mut pos).map_err(|error| {
                say(Level::Error, error.to_string().as_bytes());
                Refused
            })?;
            if self.taken > 0 {
                self.taken += pos - from;
            }
            match record {
                Record::Stdout(range) => {
                    if self.taken == 0 {
                        self.taken = RECORD_HEAD + range.len();
                    }
                    buffer.filled_mut().copy_within(range.clone(), self.content);
                    self.content += range.len();
                    if let Some(length) = self.parse(buffer, limit, head, say)? {
                        buffer.cut_out(self.content, pos);
                        self.of_body = self.content - length;
                        return Ok(HeadRead::Done(length));
                    }
                }
                Record::Stderr(range) => self.hear(&buffer[range], say)?,
                Record::NeedMore => {
                    buffer.truncate(self.content);
                    return Ok(HeadRead::Partial);
                }
                Record::StdoutEnd => return Err(complain("upstream prematurely closed FastCGI stdout", say)),
                Record::EndBegun | Record::End(_) => {
                    return Err(complain("upstream sent unexpected FastCGI record: 3", say));
                }
            }
        }
    }

    /// The head's length, if it is all there.
    fn parse(
        &mut self,
        buffer: &Buffer,
        limit: usize,
        head: &mut UpstreamHead,
        say: Say<'_>,
    ) -> Result<Option<usize>, Refused> {
        // What does not fit nginx's buffer is not looked at.
        let window = self.content - self.taken.saturating_sub(limit).min(self.content);
        let parsed = self.parser.parse(&buffer[..window], usize::MAX, head);
        let length = match parsed.map_err(|error| refuse(&error, say))? {
            UpstreamParse::Partial => None,
            UpstreamParse::Done(length) => Some(length),
        };
        let behind = length.map_or(0, |length| self.content - length);
        if self.taken - behind > limit || length.is_none() && self.taken >= limit {
            return Err(refuse(&UpstreamError::TooBig, say));
        }
        if length.is_some() {
            head.close = true;
            head.chunked = false;
            head.settle_cgi_status().map_err(|error| refuse(&error, say))?;
        }
        Ok(length)
    }

    /// Passes on what the application says, which may be that it failed.
    fn hear(&self, text: &[u8], say: Say<'_>) -> Result<(), Refused> {
        let text = stderr_text(text);
        say(Level::Error, &stderr_sentence(text));
        let caught = self.conf.catch_stderr.iter().any(|pattern| memchr::memmem::find(text, pattern).is_some());
        if caught { Err(Refused) } else { Ok(()) }
    }
}

fn complain(sentence: &str, say: Say<'_>) -> Refused {
    say(Level::Error, sentence.as_bytes());
    Refused
}

fn stderr_sentence(text: &[u8]) -> Vec<u8> {
    [b"FastCGI sent in stderr: \"", text, b"\""].concat()
}

/// Reads the body behind the head.
pub(super) struct FastCgiBody {
    records: RecordReader,
    /// How many bytes the first look finds taken out of their records already.
    content: usize,
    /// What is left of `Content-Length`.
    left: Option<u64>,
    buffered: bool,
    keep_conn: bool,
    may_keep: bool,
    /// The content's end was read.
    content_ended: bool,
    /// The request's end was read, and nothing behind it.
    ended: bool,
    /// Sentences for the error log.
    pub(super) said: Vec<Vec<u8>>,
}

impl FastCgiBody {
    /// `may_keep` says whether the connection may serve another request at all.
    pub(super) fn new(head: FastCgiHead, left: Option<u64>, buffered: bool, may_keep: bool) -> Self {
        let keep_conn = head.conf.keep_conn;
        let (records, content) = (head.records, head.of_body);
        Self {
            records,
            content,
            left,
            buffered,
            keep_conn,
            may_keep,
            content_ended: false,
            ended: false,
            said: Vec::new(),
        }
    }

    /// Whether the end of the connection may be the end of the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        !self.keep_conn || !self.buffered
    }

    /// Whether the content has come to its end, and nothing else is waited for.
    pub(super) fn has_ended(&self) -> bool {
        self.content_ended && !self.keep_conn
    }

    /// Whether what has come is worth passing on at once, because nobody knows when more will.
    pub(super) fn is_live(&self) -> bool {
        self.keep_conn
    }

    /// Whether the connection may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.ended && self.may_keep
    }

    /// Leaves content alone behind the first `from` bytes of the buffer.
    pub(super) fn take(&mut self, buffer: &mut Buffer, from: usize, marks: &mut Marks) -> Result<Taken, Fault> {
        let mut taken = Taken::default();
        let ready = std::mem::take(&mut self.content);
        let mut end = from + if ready > 0 { self.count(ready, &mut taken) } else { 0 };
        let mut pos = from + ready;
        while !taken.done && taken.short.is_none() {
            let bytes = buffer.filled_mut();
            marks.pass(pos..pos, end);
            match self.records.next(bytes, &mut pos).map_err(|error| Fault::Record(error.to_string()))? {
                Record::Stdout(range) => {
                    let count = self.count(range.len(), &mut taken);
                    marks.pass(range.clone(), end);
                    bytes.copy_within(range.start..range.start + count, end);
                    end += count;
                }
                Record::Stderr(range) => self.said.push(stderr_sentence(stderr_text(&bytes[range]))),
                // nginx looks at the end of a small answer only when the application has closed the connection.
                Record::StdoutEnd if self.buffered && self.is_owed() => {
                    taken.short = Some("upstream prematurely closed FastCGI stdout");
                }
                Record::EndBegun if self.is_owed() => {
                    taken.short = Some("upstream prematurely closed FastCGI request");
                }
                Record::StdoutEnd => self.content_ended = true,
                Record::EndBegun => {}
                Record::End(at) => {
                    taken.done = true;
                    self.ended = at == bytes.len();
                }
                Record::NeedMore => break,
            }
        }
        buffer.truncate(end);
        Ok(taken)
    }

    /// How many of so many bytes belong to the answer.
    fn count(&mut self, came: usize, taken: &mut Taken) -> usize {
        let Some(left) = &mut self.left else { return came };
        let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(came);
        *left -= wanted as u64;
        if wanted < came {
            (taken.done, taken.surplus) = (true, true);
        }
        wanted
    }

    /// Whether content is missing that was announced.
    fn is_owed(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }
}
