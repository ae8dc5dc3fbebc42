//! A body whose files are read into memory, for filters that look at the bytes.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::{Body, BodyCut, Chunk, FileRange, Headers, read_range};

/// Files are read in pieces of this many bytes, the size of nginx's `output_buffers`.
const READ: u64 = 32 << 10;

/// Wraps a body for a filter.
pub struct MemoryBody {
    body: Body,
    file: Option<FileRange>,
}

/// A piece of a body in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some bytes, never none.
    Bytes(Bytes),
    /// Nothing: what came before should reach the client now.
    Flush,
}

impl MemoryBody {
    /// Wraps a body.
    pub fn new(body: Body) -> Self {
        Self { body, file: None }
    }

    /// The next piece, `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyCut>>> {
        loop {
            if self.file.is_some() {
                return Poll::Ready(Some(self.read_file()));
            }
            match ready!(self.body.poll_next(cx)) {
                Some(Ok(Chunk::Flush)) => return Poll::Ready(Some(Ok(Piece::Flush))),
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(Chunk::Bytes(bytes))) => return Poll::Ready(Some(Ok(Piece::Bytes(bytes)))),
                Some(Ok(Chunk::File(range))) => self.file = Some(range),
                Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn read_file(&mut self) -> Result<Piece, BodyCut> {
        let mut file = self.file.take().ok_or(BodyCut)?;
        let length = file.len().min(READ);
        let bytes = read_range(&*file.file, file.start, length as usize).map_err(|_| BodyCut)?;
        if bytes.len() as u64 != length {
            return Err(BodyCut);
        }
        file.start += length;
        self.file = (!file.is_empty()).then_some(file);
        Ok(Piece::Bytes(bytes.into()))
    }

    /// See [`super::BodyStream::poll_progress`].
    pub fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    /// See [`super::BodyStream::trailers`].
    pub fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn reads_files_in_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 100_000]).unwrap();
        let file = Rc::new(file.into());
        let range = FileRange { file, start: 10, end: 99_990 };
        let mut body = MemoryBody::new(Body::chunks([Chunk::Bytes(Bytes::new()), Chunk::File(range), Chunk::Flush]));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut lengths = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = body.poll_next(&mut cx) {
            lengths.push(match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Flush => 0,
            });
        }
        assert_eq!(lengths, [32_768, 32_768, 32_768, 1676, 0]);
    }

    #[test]
    fn notices_a_file_that_shrank() {
        let file = Rc::new(tempfile::tempfile().unwrap().into());
        let mut body = MemoryBody::new(Body::File(FileRange { file, start: 0, end: 10 }));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(body.poll_next(&mut cx), Poll::Ready(Some(Err(BodyCut))));
    }
}
