//! A body that is compressed while it is sent.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::Ratio;
use super::kept::{Keeping, Key};
use crate::http::{Body, BodyCut, BodyStream, Chunk, FileStat, Headers, MemoryBody, Piece};

/// How to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// nginx's level, 1 to 9.
    pub(super) level: u32,
    /// The window's size as a power of two.
    pub(super) window: u8,
    /// Compressed bytes wait for more until there are so many.
    pub(super) buffer: usize,
    /// The most compressed bytes that are made before they are sent.
    pub(super) most: usize,
    /// `gzip_no_buffer`: compressed bytes do not wait.
    pub(super) no_buffer: bool,
}

impl Settings {
    /// A body of known length needs no larger window than itself.
    pub(super) fn for_length(mut self, length: Option<u64>) -> Self {
        let Some(length) = length.filter(|length| *length > 0) else { return self };
        while self.window > 9 && length + 262 < 1 << (self.window - 1) {
            self.window -= 1;
        }
        self
    }

    /// What tells a compressed file from all others.
    pub(super) fn key(self, file: FileStat) -> Key {
        (file, self.level, self.window)
    }

    /// The compressor has a first level of its own that is quicker than any of zlib's and compresses less:
    /// its second is as small as zlib's first, in half the time.
    fn compression(self) -> Compression {
        Compression::new(self.level.max(2))
    }
}

/// Compressors that are not in use: making one costs more than compressing a small body.
#[derive(Default)]
pub(super) struct Pool(RefCell<Vec<(Settings, Compress)>>);

const MOST_IDLE: usize = 8;

impl Pool {
    fn take(&self, settings: Settings) -> Compress {
        let mut idle = self.0.borrow_mut();
        let same = |other: &Settings| (other.level, other.window) == (settings.level, settings.window);
        match idle.iter().rposition(|(other, _)| same(other)) {
            Some(at) => idle.swap_remove(at).1,
            None => Compress::new_gzip(settings.compression(), settings.window),
        }
    }

    fn give_back(&self, settings: Settings, mut compress: Compress) {
        let mut idle = self.0.borrow_mut();
        if idle.len() == MOST_IDLE {
            idle.remove(0);
        }
        compress.reset();
        idle.push((settings, compress));
    }
}

pub(super) struct Compressor {
    body: MemoryBody,
    settings: Settings,
    pool: Rc<Pool>,
    ratio: Rc<Ratio>,
    keeping: Option<Keeping>,
    /// `None` before the first byte and behind the last one.
    compress: Option<Compress>,
    input: Bytes,
    output: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// What was read is being put out.
    Flushing,
    /// It was, and the client's side is to be told.
    Flushed,
    Ending,
    Ended,
}

impl Compressor {
    pub(super) fn new(
        body: Body,
        settings: Settings,
        pool: Rc<Pool>,
        ratio: Rc<Ratio>,
        keeping: Option<Keeping>,
    ) -> Self {
        Self {
            body: MemoryBody::new(body),
            settings,
            pool,
            ratio,
            keeping,
            compress: None,
            input: Bytes::new(),
            output: Vec::new(),
            state: State::Reading,
        }
    }

    /// Compresses into the free part of the output.
    fn step(&mut self, flush: FlushCompress) -> Result<Status, BodyCut> {
        if self.output.capacity() - self.output.len() < self.settings.buffer {
            self.output.reserve(self.settings.buffer.max(self.output.len()));
        }
        let compress = self.compress.get_or_insert_with(|| self.pool.take(self.settings));
        let before = compress.total_in();
        let status = compress.compress_vec(&self.input, &mut self.output, flush).map_err(|_| BodyCut)?;
        let read = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        self.input.advance(read.min(self.input.len()));
        Ok(status)
    }

    fn take_output(&mut self) -> Poll<Option<Chunk>> {
        let bytes = Bytes::from(std::mem::take(&mut self.output));
        if let Some(keeping) = &mut self.keeping {
            keeping.add(&bytes);
        }
        Poll::Ready(Some(Chunk::Bytes(bytes)))
    }

    /// Gets something to compress or to do; `false` where the body has nothing just now.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, BodyCut> {
        match self.body.poll_next(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => self.state = State::Ending,
            Poll::Ready(Some(Err(cut))) => return Err(cut),
            Poll::Ready(Some(Ok(Piece::Flush))) => self.state = State::Flushing,
            Poll::Ready(Some(Ok(Piece::Bytes(bytes)))) => self.input = bytes,
        }
        Ok(true)
    }

    fn end(&mut self) {
        self.state = State::Ended;
        let Some(compress) = self.compress.take() else { return };
        self.ratio.set(compress.total_in(), compress.total_out());
        self.pool.give_back(self.settings, compress);
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Chunk>>, BodyCut> {
        loop {
            if self.output.len() >= self.settings.most {
                return Ok(self.take_output());
            }
            match self.state {
                State::Reading if !self.input.is_empty() => {
                    self.step(FlushCompress::None)?;
                }
                State::Reading => {
                    if !self.read(cx)? {
                        let enough = if self.settings.no_buffer { 1 } else { self.settings.buffer };
                        return Ok(if self.output.len() >= enough { self.take_output() } else { Poll::Pending });
                    }
                }
                State::Flushing => {
                    self.step(FlushCompress::Sync)?;
                    if self.output.len() < self.output.capacity() {
                        self.state = State::Flushed;
                    }
                }
                State::Ending => {
                    if self.step(FlushCompress::Finish)? == Status::StreamEnd {
                        self.end();
                    }
                }
                State::Flushed | State::Ended if !self.output.is_empty() => return Ok(self.take_output()),
                State::Flushed => {
                    self.state = State::Reading;
                    return Ok(Poll::Ready(Some(Chunk::Flush)));
                }
                State::Ended => {
                    if let Some(keeping) = self.keeping.take() {
                        keeping.finish();
                    }
                    return Ok(Poll::Ready(None));
                }
            }
        }
    }
}

impl BodyStream for Compressor {
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const SETTINGS: Settings = Settings { level: 1, window: 15, buffer: 4096, most: 128 << 10, no_buffer: false };

    fn compress(body: Body, settings: Settings) -> (Vec<Chunk>, Rc<Ratio>) {
        let ratio = Rc::<Ratio>::default();
        let mut stream = Compressor::new(body, settings, Rc::default(), ratio.clone(), None);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut chunks = Vec::new();
        while let Poll::Ready(Some(chunk)) = stream.poll_next(&mut cx) {
            chunks.push(chunk.unwrap());
        }
        (chunks, ratio)
    }

    fn bytes(chunks: &[Chunk]) -> Vec<u8> {
        let part = |chunk: &Chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        chunks.iter().flat_map(part).collect()
    }

    fn unpack(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn compresses() {
        for length in [0, 1, 100, 5000, 1 << 20] {
            let text = b"hello, world ".repeat(length / 13 + 1)[..length].to_vec();
            for content in [text, noise(length)] {
                let settings = SETTINGS.for_length(Some(length as u64));
                let (chunks, ratio) = compress(Body::Bytes(content.clone().into()), settings);
                let packed = bytes(&chunks);
                assert!(unpack(&packed) == content, "{length}");
                assert_eq!((ratio.read.get(), ratio.written.get()), (length as u64, packed.len() as u64));
            }
        }
    }

    #[test]
    fn keeps_compressed_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = crate::http::stat_file(folder.path().as_os_str().as_encoded_bytes()).unwrap();
        let kept = Rc::<super::super::kept::Kept>::default();
        let key = SETTINGS.key(file);
        let keeping = Keeping::new(kept.clone(), key);
        let body = Body::Bytes(noise(300_000).into());
        let mut stream = Compressor::new(body, SETTINGS, Rc::default(), Rc::default(), Some(keeping));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut sent = Vec::new();
        assert_eq!(kept.find(&key), None);
        while let Poll::Ready(Some(Ok(chunk))) = stream.poll_next(&mut cx) {
            sent.push(chunk);
        }
        assert_eq!(kept.find(&key).as_deref(), Some(&bytes(&sent)[..]));
        assert_eq!(kept.find(&Settings { level: 9, ..SETTINGS }.key(file)), None);
    }

    #[test]
    fn flushes() {
        let body = Body::chunks([
            Chunk::Bytes(Bytes::from_static(b"first")),
            Chunk::Flush,
            Chunk::Bytes(Bytes::from_static(b"second")),
        ]);
        let (chunks, _) = compress(body, SETTINGS);
        assert!(matches!(chunks[..], [Chunk::Bytes(_), Chunk::Flush, Chunk::Bytes(_)]), "{chunks:?}");
        let mut decoder = flate2::Decompress::new_gzip(15);
        let mut seen = Vec::with_capacity(100);
        decoder.decompress_vec(&bytes(&chunks[..1]), &mut seen, flate2::FlushDecompress::Sync).unwrap();
        assert_eq!(seen, b"first");
        assert_eq!(unpack(&bytes(&chunks)), b"firstsecond");
    }

    #[test]
    fn keeps_the_window_small() {
        let window = |length| SETTINGS.for_length(Some(length)).window;
        assert_eq!([1, 249, 250, 16_121, 16_122, 1 << 30].map(window), [9, 9, 10, 14, 15, 15]);
    }
}
