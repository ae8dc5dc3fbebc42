//! The body of an answer on its way to the client.
//!
//! Buffered, it is read as fast as the upstream gives it: into memory up to the size of the buffers, then into a
//! temporary file. Unbuffered, it is read only as fast as the client takes it, and every piece goes out at once.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::answer::sends_head_at_once;
use super::buffer::{BUFFER, Buffer};
use super::cache::Saver;
use super::conf::Conf;
use super::decode::{Fault, Framing, Marks};
use super::exchange::client_is_gone;
use super::grave::{level, put_failure};
use super::lease::Lease;
use super::passage::{Action, Passage, report};
use super::said::{say_fault, say_heard, say_surplus};
use super::send::SendError;
use crate::http::{Body, BodyCut, BodyStream, Chunk, Deadline, FileRange, Headers, Lifetime, Request, TempFile, clock};
use crate::log::{Level, Line};

/// A body that is relayed.
pub(crate) struct Relay {
    r: Rc<Request>,
    passage: Rc<Passage>,
    conf: Arc<Conf>,
    lease: Lease,
    timer: Deadline,
    buffered: bool,
    framing: Framing,
    /// The connection may be kept if the answer ends where it should.
    keep: bool,
    /// Data that was read and is held back until it is worth passing on.
    held: Option<Buffer>,
    /// What may be passed on: ranges of the file first, memory behind them.
    queue: VecDeque<Chunk>,
    /// Bytes in the queue that are in memory.
    queued: usize,
    file: Option<TempFile>,
    /// Writes it into the cache.
    saver: Option<Box<Saver>>,
    end: Option<Result<(), BodyCut>>,
    /// The upstream's answer could not be understood, and nothing of it goes out.
    refused: bool,
    /// What is being done, as nginx has it.
    action: Action,
    /// Bytes that have come since the upstream paused, coding and head included.
    round: u64,
    /// Something has come since then.
    fresh: bool,
    rate: Option<Rate>,
}

/// An answer's body of which the end has not been read.
pub(super) struct Begun {
    pub(super) r: Rc<Request>,
    pub(super) passage: Rc<Passage>,
    pub(super) conf: Arc<Conf>,
    pub(super) lease: Lease,
    pub(super) framing: Framing,
    pub(super) buffered: bool,
    pub(super) keep: bool,
    /// What came of the body so far, without coding.
    pub(super) data: Buffer,
    pub(super) saver: Option<Box<Saver>>,
    /// Something has come behind the head.
    pub(super) came: bool,
}

/// `proxy_limit_rate`
struct Rate {
    per_second: u64,
    start: Instant,
    pause: Deadline,
}

/// How much is read in one go while the client does not take anything, in buffers.
const BURST: usize = 32;

impl Relay {
    /// A body on its way.
    pub(super) fn new(begun: Begun) -> Self {
        let Begun { r, passage, conf, lease, framing, buffered, keep, data, saver, came } = begun;
        let per_second = conf.limit_rate.as_ref().map_or(0, |script| rate(&script.eval(&r)));
        let rate =
            (buffered && per_second > 0).then(|| Rate { per_second, start: clock::now(), pause: Deadline::default() });
        let held = (!data.is_empty()).then_some(data);
        let round = passage.received_so_far();
        let mut relay = Self {
            r,
            passage,
            conf,
            lease,
            timer: Deadline::default(),
            buffered,
            framing,
            keep,
            held,
            queue: VecDeque::new(),
            queued: 0,
            file: None,
            saver,
            end: None,
            refused: false,
            // nginx goes on with what came with the head as if the client had asked for it.
            action: if came && !buffered { Action::SendingOn } else { Action::ReadingBody },
            round,
            fresh: came,
            rate,
        };
        if relay.is_worth_passing() {
            relay.pass_on();
        }
        relay
    }

    /// As a body. What is to be kept is read to its end even where nobody wants it any more.
    pub(super) fn into_body(self: Box<Self>) -> Body {
        match self.saver {
            None => Body::Stream(self),
            Some(_) => Body::Stream(Box::new(Kept(Some(self)))),
        }
    }

    /// Reads on to the end for the cache's sake alone.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.queue.clear();
            self.queued = 0;
            if self.end.is_some() || self.saver.is_none() {
                return Poll::Ready(());
            }
            ready!(self.poll_fill(BUFFER, cx));
        }
    }

    /// Waits until there is something to pass on. nginx sends the head no earlier than that, where it buffers.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.queue.is_empty() && self.end.is_none() {
            ready!(self.poll_fill(BUFFER, cx));
        }
        Poll::Ready(())
    }

    /// Whether a filter has refused the answer.
    pub(super) fn is_unwanted(&self) -> bool {
        self.passage.is_refused()
    }

    /// Whether the answer made no sense: nginx then sends nothing of what it has not sent yet.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether the client has gone, which ends the body too.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.r.client.as_ref().filter(|_| !self.r.post_action.get()) {
            Some(client) if !self.conf.ignore_client_abort && self.saver.is_none() => ready!(client.poll_gone(cx)),
            _ => return Poll::Pending,
        }
        client_is_gone(&self.r, Action::ReadingBody);
        self.abort();
        Poll::Ready(())
    }

    fn release(&mut self) {
        self.timer = Deadline::default();
        self.lease.end(&self.r, &self.passage);
    }

    fn report(&self, level: Level, what: impl FnOnce(&mut Line)) {
        report(&self.r, level, self.action, what);
    }

    /// The answer has ended as it should.
    pub(super) fn finish(&mut self) {
        self.end = Some(Ok(()));
        self.pass_on();
        if let Some(saver) = self.saver.take() {
            saver.commit();
        }
        self.lease.reusable = self.framing.is_reusable(self.keep);
        if let Some(trailers) = self.framing.trailers() {
            self.passage.set_trailers(trailers);
        }
    }

    /// The answer has broken off. What is held back goes nowhere any more; the rest still goes out, and to nginx the
    /// request is complete with it.
    fn cut(&mut self) {
        self.r.out.complete_when_cut.set(true);
        self.abort();
    }

    /// The answer ends here, and the client's connection with it.
    fn abort(&mut self) {
        self.held = None;
        self.saver = None;
        self.queue.push_back(Chunk::Flush);
        self.end = Some(Err(BodyCut));
        self.release();
    }

    /// Sends on where the request has not ended yet, and what the connection itself has to say.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        let Lease { socket: Some(socket), sender: Some(sender), .. } = &mut self.lease else { return };
        match sender.poll(&self.r, &self.passage, socket, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.lease.request_sent = true,
            // The answer may come to its end all the same.
            Poll::Ready(Err(SendError::Peer(..))) => self.lease.sender = None,
            Poll::Ready(Err(SendError::Body(_))) => self.abort(),
        }
    }

    /// Reads once, at most so many bytes; ready when something has changed.
    fn poll_fill(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<()> {
        let filled = self.poll_read(most, cx);
        // What the upstream has said is answered before anything else is sent.
        if self.end.is_none() {
            self.send_on(cx);
        }
        if self.end.is_some() { Poll::Ready(()) } else { filled }
    }

    fn poll_read(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<()> {
        let most = ready!(self.poll_rate(most, cx));
        let Some(socket) = &mut self.lease.socket else {
            self.cut();
            return Poll::Ready(());
        };
        let mut buffer = self.held.take().unwrap_or_else(Buffer::take);
        let from = buffer.len();
        let polled = socket.poll_read(cx, buffer.room(most));
        if let Poll::Ready(Ok(read)) = polled {
            buffer.fill(read);
        }
        if !buffer.is_empty() {
            self.held = Some(buffer);
        }
        match polled {
            Poll::Pending => {
                self.pause();
                return self.poll_timeout(cx);
            }
            Poll::Ready(Ok(0)) => self.peer_closed(),
            Poll::Ready(Ok(read)) => self.came(read, from),
            Poll::Ready(Err(error)) => self.fail(&error),
        }
        Poll::Ready(())
    }

    /// The upstream has nothing to give for now.
    fn pause(&mut self) {
        self.action = Action::ReadingBody;
        self.fresh = false;
        if self.held.is_none() {
            self.round = 0;
        }
    }

    /// The connection failed. nginx passes on what it read in the same go, and no more of what it had held back.
    fn fail(&mut self, error: &io::Error) {
        let call = if self.buffered { "readv()" } else { "recv()" };
        self.report(level(error), |line| {
            put_failure(line, call, error);
        });
        if self.framing.has_ended() {
            return self.finish();
        }
        if self.fresh {
            self.pass_on();
        }
        self.cut();
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = &mut self.timer;
        if !timer.is_set() {
            timer.set(self.conf.read_timeout);
        }
        ready!(timer.poll(cx));
        self.report(Level::Error, |line| {
            line.put("upstream timed out").errno(libc::ETIMEDOUT);
        });
        self.cut();
        Poll::Ready(())
    }

    fn came(&mut self, read: usize, from: usize) {
        self.timer.clear();
        self.fresh = true;
        self.passage.received(read);
        if let Some(rate) = &mut self.rate {
            let pause = read as u64 * 1000 / rate.per_second;
            if pause > 0 {
                rate.pause.set(Duration::from_millis(pause));
            }
        }
        self.take_in(from);
    }

    /// Looks at what was read behind the first `from` bytes of the buffer.
    fn take_in(&mut self, from: usize) {
        let Some(buffer) = &mut self.held else { return };
        let came = (buffer.len() - from) as u64;
        self.lease.body_length += came;
        let step = self.conf.bytes_between_pauses(self.buffered, self.saver.is_some());
        let mut marks = Marks::new(from, self.round, step);
        self.round += came;
        let taken = match self.framing.take(buffer, from, &mut marks) {
            Ok(taken) => taken,
            Err(fault) => return self.refuse(&fault, marks.passed),
        };
        say_heard(&self.r, self.action, &mut self.framing);
        if taken.surplus {
            self.keep = false;
            say_surplus(&self.r, self.action, &self.framing);
        }
        if let Some(sentence) = taken.short {
            self.break_off(self.action, sentence);
        } else if taken.done {
            self.finish();
        } else if self.is_worth_passing() {
            self.pass_on();
        }
    }

    /// What came cannot be understood; so many bytes of what is held back go out all the same.
    fn refuse(&mut self, fault: &Fault, passed: usize) {
        say_fault(&self.r, self.action, fault);
        self.refused = passed == 0 && self.queue.is_empty() && !sends_head_at_once(&self.r);
        self.break_behind(passed);
    }

    /// The answer ends behind so many bytes of what is held back.
    pub(super) fn break_behind(&mut self, passed: usize) {
        self.saver = None;
        if let Some(held) = &mut self.held {
            held.truncate(passed);
        }
        self.pass_on();
        self.abort();
    }

    /// nginx passes a buffer on when it is full. Chunks say that there is more to wait for, so what came of them is
    /// passed on.
    fn is_worth_passing(&self) -> bool {
        let held = self.held.as_ref().map_or(0, |buffer| buffer.len());
        !self.buffered || self.framing.is_live() && held > 0 || held >= self.conf.buffer_size.min(BUFFER)
    }

    fn pass_on(&mut self) {
        let Some(buffer) = self.held.take().filter(|buffer| !buffer.is_empty()) else { return };
        if self.saver.as_mut().is_some_and(|saver| !saver.append(&buffer)) {
            self.saver = None;
        }
        self.queued += buffer.len();
        self.queue.push_back(Chunk::Bytes(buffer.freeze()));
        if !self.buffered {
            self.queue.push_back(Chunk::Flush);
        }
    }

    fn peer_closed(&mut self) {
        if self.framing.ends_with_connection() {
            return self.finish();
        }
        self.break_off(self.action, "upstream prematurely closed connection");
    }

    /// The answer has ended too early. What came of it goes out.
    pub(super) fn break_off(&mut self, action: Action, sentence: &str) {
        report(&self.r, Level::Error, action, |line| {
            line.put(sentence);
        });
        self.pass_on();
        self.cut();
    }

    /// Ready with the number of bytes that may be read now.
    fn poll_rate(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(rate) = &mut self.rate else { return Poll::Ready(most) };
        if rate.pause.is_set() {
            ready!(rate.pause.poll(cx));
            rate.pause.clear();
        }
        let allowed = rate.per_second * (clock::now().saturating_duration_since(rate.start).as_secs() + 1);
        if let Some(left) = allowed.checked_sub(self.lease.body_length).filter(|left| *left > 0) {
            return Poll::Ready(most.min(usize::try_from(left).unwrap_or(usize::MAX)));
        }
        let ahead = self.lease.body_length - allowed;
        rate.pause.set(Duration::from_millis(ahead * 1000 / rate.per_second + 1));
        ready!(rate.pause.poll(cx));
        Poll::Ready(1)
    }

    fn in_memory(&self) -> usize {
        self.queued + self.held.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// Moves what waits in memory to the temporary file; `false` where it must stay.
    fn spill(&mut self) -> bool {
        if self.saver.is_some() {
            return self.lean_on_saved();
        }
        let length = self.file.as_ref().map_or(0, |file| file.length);
        if self.queued == 0 || length + self.queued as u64 > self.conf.max_temp_file_size {
            return false;
        }
        if let Err(error) = self.write_out() {
            let name = self.file.as_ref().map(ToString::to_string).unwrap_or_default();
            self.report(Level::Crit, |line| {
                line.put(format_args!("pwritev() \"{name}\" failed")).error(&error);
            });
            self.abort();
            return false;
        }
        true
    }

    /// What waits in memory stands in the cache's file already, and is sent from there.
    fn lean_on_saved(&mut self) -> bool {
        let Some((file, length)) = self.saver.as_ref().and_then(|saver| saver.file()) else { return false };
        if self.queued == 0 {
            return false;
        }
        let start = length - self.queued as u64;
        self.queue.retain(|chunk| !matches!(chunk, Chunk::Bytes(_)));
        self.queued = 0;
        match self.queue.back_mut() {
            Some(Chunk::File(range)) if range.end == start => range.end = length,
            _ => self.queue.push_back(Chunk::File(FileRange { file, start, end: length })),
        }
        true
    }

    fn write_out(&mut self) -> io::Result<()> {
        if self.file.is_none() && !self.open_file() {
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let start = file.length;
        let first = self.queue.iter().position(|chunk| matches!(chunk, Chunk::Bytes(_))).unwrap_or(self.queue.len());
        for chunk in self.queue.drain(first..) {
            if let Chunk::Bytes(bytes) = chunk {
                file.append(&bytes)?;
            }
        }
        self.queued = 0;
        match self.queue.back_mut() {
            Some(Chunk::File(range)) if range.end == start => range.end = file.length,
            _ => {
                let range = FileRange { file: file.file.clone(), start, end: file.length };
                self.queue.push_back(Chunk::File(range));
            }
        }
        Ok(())
    }

    fn open_file(&mut self) -> bool {
        match TempFile::create(&self.conf.temp_path, Lifetime::Nameless) {
            Ok(file) => {
                self.report(Level::Warn, |line| {
                    line.put(format_args!("an upstream response is buffered to a temporary file {file}"));
                });
                self.file = Some(file);
                true
            }
            Err(error) => {
                self.report(Level::Crit, |line| error.write(line));
                self.abort();
                false
            }
        }
    }
}

impl BodyStream for Relay {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                if let Chunk::Bytes(bytes) = &chunk {
                    self.queued -= bytes.len();
                }
                if self.end.is_some() {
                    self.release();
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            if let Some(end) = self.end {
                self.release();
                return Poll::Ready(end.err().map(Err));
            }
            if self.poll_fill(BUFFER, cx).is_pending() {
                ready!(self.poll_gone(cx));
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if !self.buffered {
            return;
        }
        for _ in 0..BURST {
            if self.end.is_some() {
                // However slow the client is, the upstream has done its part.
                return self.release();
            }
            let room = (self.conf.buffer_size + self.conf.buffers_size).saturating_sub(self.in_memory());
            if room == 0 && !self.spill() {
                // The upstream is not to blame while nobody reads from it.
                return self.timer.clear();
            }
            let most = if room == 0 { self.conf.buffers_size } else { room };
            if self.end.is_some() || self.poll_fill(most, cx).is_pending() {
                return;
            }
        }
        // The rest of the thread has its turn first.
        cx.waker().wake_by_ref();
    }

    fn trailers(&mut self) -> Option<Headers> {
        if !self.conf.pass_trailers {
            return None;
        }
        let mut trailers = self.passage.trailers().clone();
        trailers.retain(|id, name, _| !self.conf.hidden.has(id, name));
        Some(trailers)
    }
}

/// A body that is kept.
struct Kept(Option<Box<Relay>>);

impl BodyStream for Kept {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |relay| relay.poll_next(cx))
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Some(relay) = &mut self.0 {
            relay.poll_progress(cx);
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.0.as_mut().and_then(|relay| relay.trailers())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(mut relay) = self.0.take().filter(|relay| relay.saver.is_some() && !relay.is_unwanted()) else {
            return;
        };
        // While the thread ends nothing is read any more.
        if tokio::runtime::Handle::try_current().is_ok() {
            relay.passage.end();
            relay.passage.sent(relay.lease.socket.as_ref().map_or(0, |socket| socket.sent));
            tokio::task::spawn_local(std::future::poll_fn(move |cx| relay.poll_rest(cx)));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.is_unwanted() {
            self.lease.body_length = 0;
        }
        self.lease.end(&self.r, &self.passage);
    }
}

/// A size as `proxy_limit_rate` has it; what makes no sense is no limit.
fn rate(value: &[u8]) -> u64 {
    let (digits, unit) = match value {
        [digits @ .., b'k' | b'K'] => (digits, 1 << 10),
        [digits @ .., b'm' | b'M'] => (digits, 1 << 20),
        digits => (digits, 1),
    };
    crate::http::headers::parse_length(digits).map_or(0, |number| number.saturating_mul(unit))
}
