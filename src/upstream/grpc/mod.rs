//! gRPC answers: HTTP/2 frames of one stream, a head, content and trailers.

mod hpack;
mod http2;
mod huffman;

use std::cell::RefCell;
use std::rc::Rc;

use super::buffer::Buffer;
use super::decode::{Fault, Marks, Taken};
use super::head::{HeadRead, Refused, Say};
use crate::h1::response::{UpstreamError, UpstreamHead};
use crate::http::Headers;
use crate::log::Level;

pub(crate) use hpack::{append_field, append_indexed, append_named, static_entry};
use http2::{Event, Http2};
pub(crate) use huffman::decode as huffman_decode;

/// A connection as its reader and its writer share it.
pub(super) type SharedHttp2 = Rc<RefCell<Http2>>;

/// Reads the head.
pub(super) struct GrpcHead {
    http2: SharedHttp2,
}

impl GrpcHead {
    pub(super) fn new(http2: SharedHttp2) -> Self {
        Self { http2 }
    }

    pub(super) fn read(
        &mut self,
        buffer: &mut Buffer,
        limit: usize,
        head: &mut UpstreamHead,
        say: Say<'_>,
    ) -> Result<HeadRead, Refused> {
        let mut refuse = |sentence: String| {
            say(Level::Error, sentence.as_bytes());
            Refused
        };
        let mut pos = 0;
        let event = self.http2.borrow_mut().next(buffer, &mut pos);
        buffer.drop_front(pos);
        match event.map_err(&mut refuse)? {
            Event::NeedMore => Ok(HeadRead::Partial),
            Event::Data(_) => Err(refuse("upstream sent unexpected http2 frame: 0".into())),
            Event::Headers { block, .. } if block.len() > limit => Err(refuse("upstream sent too big header".into())),
            Event::Headers { block, ends_stream } => {
                match read_head(&block, head) {
                    Ok(()) => {}
                    Err(BadHead::Field(sentence)) => return Err(refuse(sentence)),
                    Err(BadHead::Coding(sentence)) => {
                        refuse(sentence);
                        return Err(refuse("upstream sent invalid header".into()));
                    }
                }
                head.close = true;
                if ends_stream {
                    head.content_length = Some(0);
                }
                Ok(HeadRead::Done(0))
            }
        }
    }

    /// Whether the answer ended with its head, and the connection may serve another request.
    pub(super) fn has_ended(&self) -> bool {
        self.http2.borrow().is_reusable()
    }

    /// The body behind the head.
    pub(super) fn body(self, length: Option<u64>, may_keep: bool) -> GrpcBody {
        GrpcBody { http2: self.http2, left: length, may_keep, trailers: Headers::new() }
    }
}

/// What is wrong with a head, in nginx's words.
enum BadHead {
    /// This field makes no sense.
    Field(String),
    /// The fields cannot be read, of which nginx says something more.
    Coding(String),
}

/// Takes the fields of a head.
fn read_head(block: &[u8], head: &mut UpstreamHead) -> Result<(), BadHead> {
    let mut fault = None;
    let decoded = hpack::decode(block, |name, value| {
        if fault.is_none() {
            fault = take_field(name, value, head).err();
        }
    });
    match (fault, decoded) {
        (Some(sentence), _) => Err(BadHead::Field(sentence)),
        (None, Err(error)) => Err(BadHead::Coding(error.to_string())),
        (None, Ok(())) if head.status == 0 => Err(BadHead::Field("upstream sent no :status header".into())),
        (None, Ok(())) => Ok(()),
    }
}

fn take_field(name: &[u8], value: &[u8], head: &mut UpstreamHead) -> Result<(), String> {
    let text = String::from_utf8_lossy;
    if name.is_empty() {
        // Huffman's code may say nothing in many bytes; nginx then knows no such field.
        return Ok(());
    }
    if !name.starts_with(b":") {
        if head.status == 0 {
            return Err("upstream sent no :status header".into());
        }
        return head.take_named(name, value).map_err(|error: UpstreamError| text(&error.message()).into_owned());
    }
    if name != b":status" {
        return Err(format!("upstream sent invalid header \"{}: {}\"", text(name), text(value)));
    }
    if head.status != 0 {
        return Err("upstream sent duplicate :status header".into());
    }
    let digits = value.len() == 3 && value.iter().all(u8::is_ascii_digit);
    let Some(status) = digits.then(|| text(value).parse::<u16>().ok()).flatten() else {
        return Err(format!("upstream sent invalid :status \"{}\"", text(value)));
    };
    if status < 200 {
        return Err(format!("upstream sent unexpected :status \"{}\"", text(value)));
    }
    head.status = status;
    Ok(())
}

/// Reads the body and what stands behind it.
pub(super) struct GrpcBody {
    http2: SharedHttp2,
    /// What is left of `Content-Length`.
    left: Option<u64>,
    may_keep: bool,
    pub(super) trailers: Headers,
}

impl GrpcBody {
    /// Whether the connection may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.may_keep && self.http2.borrow().is_reusable()
    }

    /// Leaves content alone behind the first `from` bytes of the buffer.
    pub(super) fn take(&mut self, buffer: &mut Buffer, from: usize, marks: &mut Marks) -> Result<Taken, Fault> {
        let (mut pos, mut end) = (from, from);
        loop {
            marks.pass(pos..pos, end);
            let event = self.http2.borrow_mut().next(buffer, &mut pos).map_err(Fault::Record)?;
            match event {
                Event::NeedMore => break,
                Event::Data(range) => {
                    if let Some(left) = &mut self.left {
                        *left = left.checked_sub(range.len() as u64).ok_or_else(|| {
                            Fault::Record("upstream sent response body larger than indicated content length".into())
                        })?;
                    }
                    let length = range.len();
                    marks.pass(range.clone(), end);
                    buffer.filled_mut().copy_within(range, end);
                    end += length;
                }
                Event::Headers { block, ends_stream } => self.take_trailers(&block, ends_stream)?,
            }
        }
        buffer.truncate(end);
        let done = self.http2.borrow().is_done();
        if done && self.left.is_some_and(|left| left > 0) {
            return Err(Fault::Record("upstream prematurely closed stream".into()));
        }
        Ok(Taken { done, ..Taken::default() })
    }

    fn take_trailers(&mut self, block: &[u8], ends_stream: bool) -> Result<(), Fault> {
        let mut invalid = None;
        let trailers = &mut self.trailers;
        let decoded = hpack::decode(block, |name, value| {
            if name.starts_with(b":") {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                invalid = Some(format!("upstream sent invalid trailer \"{}: {}\"", text(name), text(value)));
            }
            if !name.is_empty() {
                trailers.push(name, value);
            }
        });
        match (invalid, decoded) {
            (Some(sentence), _) => Err(Fault::Record(sentence)),
            (None, Err(error)) => Err(Fault::Fields(error.to_string())),
            (None, Ok(())) if !ends_stream => {
                Err(Fault::Record("upstream sent trailer without end stream flag".into()))
            }
            (None, Ok(())) => Ok(()),
        }
    }
}
