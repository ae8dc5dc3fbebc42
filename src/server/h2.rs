//! HTTP/2 connections on hyper, encrypted, or in the clear with prior knowledge. RFC 9113.

mod answers;
mod frame;
mod front;
mod hpack;
mod open;
mod outgoing;
mod request;
mod shared;
mod windows;
mod wire;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use self::answers::Progress;
use self::front::Front;
use self::hpack::Limits;
use self::open::{Open, OpenGuard};
use self::shared::Shared;
use self::wire::Frames;
use super::exchange::{Flow, ResponseBody, answer, next_on, stream_body};
use super::h1;
use super::stream::ClientStream;
use super::thread::Thread;
use crate::http::{BodyCut, Connection, Count, Local, Request, Server};
use crate::log::{Level, Line};

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The server that a connection belongs to.
fn server<'a>(local: &'a Local, connection: &Connection) -> &'a Server {
    let listen = &local.cycle.listens[connection.listen.get()];
    local.cycle.server(listen.virtual_servers(connection.local.map(|local| local.ip())).fallback(connection))
}

/// Serves a connection that may begin with HTTP/2's preface, or with an HTTP/1 request.
pub(super) async fn serve_or_h1(
    thread: Rc<Thread>,
    local: Rc<Local>,
    mut stream: ClientStream,
    connection: Rc<Connection>,
    first: Vec<u8>,
) {
    let servers =
        local.cycle.listens[connection.listen.get()].virtual_servers(connection.local.map(|local| local.ip()));
    let patience = local.cycle.server(servers.default).client_header_timeout;
    let waiting = thread.meter.during(Count::Waiting);
    let Ok(Some(first)) = tokio::time::timeout(patience, first_bytes(&thread, &mut stream, first)).await else {
        return;
    };
    drop(waiting);
    if first.starts_with(PREFACE) {
        serve(thread, first, stream, connection).await;
    } else {
        h1::serve(thread, local, stream, connection, first).await;
    }
}

/// Reads until it is clear which protocol it is; `None` where the client closed before that.
async fn first_bytes(thread: &Thread, stream: &mut ClientStream, mut first: Vec<u8>) -> Option<Vec<u8>> {
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        let read = std::future::poll_fn(|cx| {
            let mut buffer = thread.input.borrow_mut();
            let read = std::task::ready!(stream.poll_read(cx, &mut buffer))?;
            first.extend_from_slice(&buffer[..read]);
            Poll::Ready(io::Result::Ok(read))
        });
        if read.await.ok()? == 0 {
            return (!first.is_empty()).then_some(first);
        }
    }
    Some(first)
}

/// What RFC 9113 section 6.5.2 lets a peer say of the size of frames.
const SMALLEST_FRAME: u32 = 1 << 14;
const LARGEST_FRAME: u32 = (1 << 24) - 1;

/// Serves a connection that speaks HTTP/2; `first` was read from it already.
pub(super) async fn serve(thread: Rc<Thread>, first: Vec<u8>, stream: ClientStream, connection: Rc<Connection>) {
    let local = thread.local();
    let server = server(&local, &connection);
    let core = &local.cycle.location(server.base).core;
    let idle = core.keepalive_timeout;
    let most = if idle.is_zero() { 1 } else { core.keepalive_requests.max(1) };
    let shared = Rc::new(Shared::default());
    let _end = Ending(shared.clone());
    let open = Rc::new(Open::new(thread.clone(), most, shared.clone()));
    let time = core.keepalive_time;
    let newest = RefCell::new(local.clone());
    let service = service_fn(|request| {
        super::move_on(&thread, &mut newest.borrow_mut(), &connection);
        let (local, thread, shared) = (newest.borrow().clone(), thread.clone(), shared.clone());
        let guard = open.begin(connection.start.elapsed() >= time || connection.left.get());
        let connection = connection.clone();
        // hyper moves it several times on its way to a task of its own.
        let (stream, asked) = (stream_of(&request), shared.clone());
        let work = Box::pin(async move {
            let stream = stream.ok_or(io::ErrorKind::InvalidData)?;
            let (response, progress) = exchange((local, connection), (stream, request), &thread, &shared).await?;
            io::Result::Ok(response.map(|body| {
                progress.asked(true);
                let answer = Some(Answered { body, progress, _guard: guard });
                AnswerBody { stream, shared, answer }
            }))
        });
        Answering { stream: stream.unwrap_or_default(), shared: asked, work: Some(work) }
    });
    let (count, size) = server.large_client_header_buffers;
    let limits = Limits { field: size, all: count.saturating_mul(size) };
    let mut front = Front::behind(PREFACE.len(), limits, server.http2_preread, shared.clone());
    let field = u32::try_from(size).unwrap_or(u32::MAX);
    let largest = field.max(server.http2_preread).clamp(SMALLEST_FRAME, LARGEST_FRAME);
    front.requests_left = most;
    front.largest = largest as usize;
    let stream = Frames::new(front, (thread.clone(), connection.clone()), server.client_header_timeout, first, stream);
    let mut driver = stream.driver();
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(server.http2_streams)
        // What clients may send of bodies is our affair.
        .initial_stream_window_size(windows::MOST)
        .initial_connection_window_size(windows::MOST)
        // What is taken at all is taken in one frame, too.
        .max_frame_size(largest)
        .auto_date_header(false);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut drain = thread.drain_watch();
    let spent = open.clone();
    let ended = tokio::select! {
        biased;
        () = poll_fn(|cx| driver.poll(serving.as_mut(), cx)) => true,
        _ = drain.wait_for(|draining| *draining) => false,
        () = open.idle_for(idle, &shared.heard) => false,
        () = spent.exhausted() => false,
        () = end_stalled(&shared) => return say(&local, &connection, "client timed out"),
    };
    if !ended {
        let silent = Cell::default();
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            // An error here is the client's, and the connection is over.
            () = poll_fn(|cx| driver.poll(serving.as_mut(), cx)) => {}
            () = end_stalled(&shared) => say(&local, &connection, "client timed out"),
            // What is left of answers that have ended may never be taken.
            () = open.idle_for(core.send_timeout, &silent) => {}
        }
    }
}

/// Ends what a connection has begun, however it ends itself.
struct Ending(Rc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends streams of which the client takes nothing; ready when it takes nothing at all.
async fn end_stalled(shared: &Shared) {
    loop {
        let stalled = shared.answers.stalled().await;
        if shared.is_stuck.get() {
            return;
        }
        for (stream, r) in stalled {
            r.log_with(Level::Info, |line| {
                line.put("client timed out").errno(libc::ETIMEDOUT);
            });
            shared.expire(stream);
        }
    }
}

/// hyper knows no more of a request than its stream.
fn stream_of(request: &http::Request<Incoming>) -> Option<u32> {
    request.uri().path().get(1..).and_then(|number| number.parse().ok())
}

/// A request on its way to an answer. hyper drops it when its client has gone; what is to go on without it does.
struct Answering<F: Future + 'static> {
    stream: u32,
    shared: Rc<Shared>,
    work: Option<Pin<Box<F>>>,
}

impl<F: Future + 'static> Future for Answering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let answer = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(answer)
    }
}

impl<F: Future + 'static> Drop for Answering<F> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let goes_on = self.shared.goes_on(self.stream);
        self.shared.answers.end(self.stream);
        // While the thread ends nothing goes on.
        if goes_on && tokio::runtime::Handle::try_current().is_ok() {
            tokio::task::spawn_local(async move { drop(work.await) });
        }
    }
}

/// Answers a request. An error resets the stream: nginx's 444.
async fn exchange(
    (local, connection): (Rc<Local>, Rc<Connection>),
    (stream, request): (u32, http::Request<Incoming>),
    thread: &Thread,
    shared: &Rc<Shared>,
) -> io::Result<(http::Response<ResponseBody>, Rc<Progress>)> {
    thread.meter.add(Count::Requests);
    let counted = thread.meter.during(Count::Writing);
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    // The client may have reset the stream already.
    let head = shared.take_head(stream).ok_or_else(gone)?;
    let connection = next_on(&connection);
    let preread = server(&local, &connection).http2_preread.into();
    let flow = StreamFlow { stream, shared: shared.clone(), preread };
    let read = request::read(&local, &connection, &head, |length| {
        stream_body(StreamBody { body: request.into_body(), stream, shared: shared.clone() }, length, flow)
    });
    if read.is_malformed {
        shared.reset(stream, PROTOCOL_ERROR);
    }
    let mut received = read.received;
    received.incoming.counted = Some(counted);
    let mut progress = None;
    let begun = |r: &Rc<Request>| progress = Some(shared.answers.begin(stream, r));
    let answered = answer(local, connection, received, &thread.date, begun).await.map_err(|status| {
        if matches!(status, 408 | 444) {
            shared.reset(stream, PROTOCOL_ERROR);
        }
        shared.answers.end(stream);
        gone()
    });
    answered.and_then(|response| Ok((response, progress.ok_or_else(gone)?)))
}

/// What ends a connection: nginx's sentence, and the code that the client is told (RFC 9113, section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fatal {
    code: u32,
    sentence: Cow<'static, str>,
}

/// The code for what is against the rules.
const PROTOCOL_ERROR: u32 = 1;

/// The code for a frame that is too short or too long.
const SIZE_ERROR: u32 = 6;

/// The code for fields that cannot be read.
const COMPRESSION_ERROR: u32 = 9;

/// The code for a stream of which nothing was done.
const REFUSED_STREAM: u32 = 7;

impl Fatal {
    const fn flood(sentence: &'static str) -> Self {
        Self { code: 0, sentence: Cow::Borrowed(sentence) }
    }

    const fn protocol(sentence: &'static str) -> Self {
        Self { code: PROTOCOL_ERROR, sentence: Cow::Borrowed(sentence) }
    }

    const fn size(sentence: &'static str) -> Self {
        Self { code: SIZE_ERROR, sentence: Cow::Borrowed(sentence) }
    }

    fn said(code: u32, sentence: String) -> Self {
        Self { code, sentence: Cow::Owned(sentence) }
    }

    /// The same, with how long it is.
    fn length(what: &str, length: usize) -> Self {
        Self::said(SIZE_ERROR, format!("client sent {what} frame with incorrect length {length}"))
    }

    const fn compression(sentence: &'static str) -> Self {
        Self { code: COMPRESSION_ERROR, sentence: Cow::Borrowed(sentence) }
    }

    const fn calm(sentence: &'static str) -> Self {
        Self { code: 11, sentence: Cow::Borrowed(sentence) }
    }
}

/// Says why a connection is ended.
fn say(local: &Local, connection: &Connection, why: &str) {
    say_with(local, connection, |line| {
        line.put(why).put(" while processing HTTP/2 connection");
    });
}

/// Says something of a connection.
fn say_with(local: &Local, connection: &Connection, what: impl FnOnce(&mut Line)) {
    let Some(listen) = local.cycle.listens.get(connection.listen.get()) else { return };
    let log = &local.cycle.location(server(local, connection).base).core.error_log;
    log.write(Level::Info, Some(connection.number), |line| {
        what(line);
        line.put(", client: ").bytes(&connection.address.borrow());
        line.put(", server: ").put(&listen.spec.text);
    });
}

/// A request's body, of which the connection hears how it is read.
struct StreamBody {
    body: Incoming,
    stream: u32,
    shared: Rc<Shared>,
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.shared.read(self.stream, data.len());
        }
        polled
    }
}

/// What a request's body tells the connection.
struct StreamFlow {
    stream: u32,
    shared: Rc<Shared>,
    preread: u64,
}

impl Flow for StreamFlow {
    fn make_room(&self, room: u64) {
        self.shared.make_room(self.stream, room);
    }

    fn preread(&self) -> u64 {
        self.preread
    }
}

/// A response's body, whose request is under way until it has been sent.
struct Answered {
    body: ResponseBody,
    progress: Rc<Progress>,
    _guard: OpenGuard,
}

/// The same as hyper reads it. When hyper has all of it, it waits for its last frame to leave.
struct AnswerBody {
    stream: u32,
    shared: Rc<Shared>,
    answer: Option<Answered>,
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        match self.answer.take_if(|answer| answer.body.is_end_stream()) {
            Some(answer) => self.shared.hold(self.stream, answer),
            None => {
                if let Some(answer) = &self.answer {
                    answer.give_up(self.shared.answers.request(self.stream).is_some());
                }
                self.shared.answers.end(self.stream);
            }
        }
    }
}

impl Answered {
    /// It ends before all of it was sent; `awaited` where the client has not made us wait too long before.
    fn give_up(&self, awaited: bool) {
        if self.body.is_cut() {
            return;
        }
        self.progress.cut();
        if awaited {
            self.progress.say_gone();
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let polled = Pin::new(&mut answer.body).poll_frame(cx);
        answer.progress.asked(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.body.is_end_stream())
    }
}

/// Runs hyper's tasks on the thread that the connection belongs to.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
