//! `gunzip`: compressed responses are unpacked for clients that do not take them. <https://nginx.org/en/docs/http/ngx_http_gunzip_module.html>

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use super::gzip::{self, Rules};
use crate::conf::{Command, Inherit, LocationBuilder, Module, assign};
use crate::http::{
    Body, BodyCut, BodyStream, Chunk, Filter, FilterSlot, HeaderId, Headers, MemoryBody, Piece, Request, Response,
};
use crate::log::Level;

/// `ngx_http_gunzip_filter_module`.
pub struct Gunzip;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    on: Option<bool>,
    buffers: Option<(usize, usize)>,
}

impl Module for Gunzip {
    type Conf = Conf;
    const NAME: &'static str = "http_gunzip";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::flag("gunzip", |c| &mut c.on),
        Command::custom("gunzip_buffers", |c, args, _| assign(&mut c.buffers, args, || args.buffers())),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.on.inherit(&parent.on);
        conf.buffers.inherit(&parent.buffers);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on == Some(true) {
            let rules = location.conf::<gzip::Conf>().rules();
            let page = rustix::param::page_size();
            let (count, size) = conf.buffers.unwrap_or(((128 << 10) / page, page));
            location.filter(FilterSlot::Gunzip, Unpack { rules, most: count.saturating_mul(size).max(size) });
        }
    }
}

struct Unpack {
    rules: Rules,
    most: usize,
}

impl Filter for Unpack {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let encoding = response.headers.get(HeaderId::ContentEncoding);
        if !encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip")) {
            return Ok(());
        }
        response.gzip_vary |= self.rules.vary;
        if self.rules.accepts(r, response) {
            return Ok(());
        }
        response.headers.remove(HeaderId::ContentEncoding);
        response.clear_content_length();
        response.clear_accept_ranges();
        response.weaken_etag();
        let (r, most) = (r.clone(), self.most);
        response.body.wrap(|body| Box::new(Unpacker::new(r, body, most)));
        Ok(())
    }
}

/// A body that is unpacked while it is sent. Several members follow each other as one.
struct Unpacker {
    r: Rc<Request>,
    body: MemoryBody,
    most: usize,
    decompress: Decompress,
    input: Bytes,
    output: Vec<u8>,
    /// Whether the last member is complete.
    complete: bool,
    /// Whether more may come of the input that was read.
    more: bool,
    flush: bool,
    ended: bool,
}

impl Unpacker {
    fn new(r: Rc<Request>, body: Body, most: usize) -> Self {
        Self {
            r,
            body: MemoryBody::new(body),
            most,
            decompress: Decompress::new_gzip(15),
            input: Bytes::new(),
            output: Vec::new(),
            complete: false,
            more: false,
            flush: false,
            ended: false,
        }
    }

    /// Unpacks into the free part of the output.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<(), BodyCut> {
        if self.complete && !self.input.is_empty() {
            self.decompress = Decompress::new_gzip(15);
        }
        if self.output.capacity() == self.output.len() {
            let left = self.most.saturating_sub(self.output.len()).max(1);
            self.output.reserve_exact(self.output.len().max(4 << 10).min(left));
        }
        let (read, written) = (self.decompress.total_in(), self.output.len());
        let unpacked = self.decompress.decompress_vec(&self.input, &mut self.output, FlushDecompress::None);
        let Ok(status) = unpacked else { return Err(self.refuse(cx, -3)) };
        let read = usize::try_from(self.decompress.total_in() - read).unwrap_or(usize::MAX);
        self.input.advance(read.min(self.input.len()));
        self.complete = status == Status::StreamEnd;
        self.more = !self.complete && self.output.len() == self.output.capacity();
        if read == 0 && self.output.len() == written && !self.input.is_empty() {
            return Err(self.refuse(cx, -5));
        }
        Ok(())
    }

    /// Complains in zlib's numbers; 4 stands for the last piece of the body.
    fn refuse(&mut self, cx: &mut Context<'_>, code: i32) -> BodyCut {
        let flush = if matches!(self.body.poll_next(cx), Poll::Ready(None)) { 4 } else { 0 };
        self.complain(format_args!("inflate() failed: {flush}, {code}"))
    }

    fn complain(&self, message: std::fmt::Arguments<'_>) -> BodyCut {
        self.r.log_with(Level::Error, |line| {
            line.put(message);
        });
        BodyCut
    }

    fn take_output(&mut self) -> Poll<Option<Chunk>> {
        Poll::Ready(Some(Chunk::Bytes(std::mem::take(&mut self.output).into())))
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Chunk>>, BodyCut> {
        loop {
            if self.output.len() >= self.most {
                return Ok(self.take_output());
            }
            if self.more || !self.input.is_empty() {
                self.step(cx)?;
                continue;
            }
            if (self.flush || self.ended) && !self.output.is_empty() {
                return Ok(self.take_output());
            }
            if std::mem::take(&mut self.flush) {
                return Ok(Poll::Ready(Some(Chunk::Flush)));
            }
            if self.ended {
                return Ok(Poll::Ready(None));
            }
            match self.body.poll_next(cx) {
                Poll::Pending if self.output.is_empty() => return Ok(Poll::Pending),
                Poll::Pending => return Ok(self.take_output()),
                Poll::Ready(Some(piece)) => match piece? {
                    Piece::Bytes(bytes) => self.input = bytes,
                    Piece::Flush => self.flush = true,
                },
                Poll::Ready(None) if self.complete => self.ended = true,
                Poll::Ready(None) => return Err(self.complain(format_args!("inflate() returned -5 on response end"))),
            }
        }
    }
}

impl BodyStream for Unpacker {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        self.advance(cx).map_or_else(|cut| Poll::Ready(Some(Err(cut))), |next| next.map(|next| next.map(Ok)))
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}
