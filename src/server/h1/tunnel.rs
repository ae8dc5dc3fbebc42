//! The client's side of an upgraded connection.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Buf;

use super::Io;
use crate::http::{ClientIo, Request};

/// A client's connection in the hands of a [`crate::http::Tunnel`]; what is written counts for the log.
pub(super) struct TunnelIo {
    io: Rc<Io>,
    r: Rc<Request>,
}

impl TunnelIo {
    pub(super) fn boxed(io: &Rc<Io>, r: &Rc<Request>) -> Box<dyn ClientIo> {
        Box::new(Self { io: io.clone(), r: r.clone() })
    }
}

impl ClientIo for TunnelIo {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.io.has_input() {
            return self.io.poll_read(cx, buffer);
        }
        let mut early = self.io.take_input();
        let count = early.len().min(buffer.len());
        early.copy_to_slice(&mut buffer[..count]);
        self.io.give_back(early);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.io.stream.borrow_mut().poll_write(cx, &[IoSlice::new(bytes)]))?;
        self.r.out.bytes.set(self.r.out.bytes.get() + written as u64);
        Poll::Ready(Ok(written))
    }
}
