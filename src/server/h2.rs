//! HTTP/2 connections on hyper, encrypted, or in the clear with prior knowledge. RFC 9113.

mod front;
mod hpack;
mod outgoing;
mod request;
mod shared;
mod wire;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;

use self::front::Front;
use self::hpack::Limits;
use self::shared::Shared;
use self::wire::Frames;
use super::exchange::{ResponseBody, answer, next_on, stream_body};
use super::h1;
use super::h2_guard::{Answers, Progress};
use super::stream::ClientStream;
use super::thread::Thread;
use crate::http::{BodyCut, Connection, Count, Counted, Local, Server};
use crate::log::Level;

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client may send on all streams together before it is told to go on, in bytes.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What a client may send on a stream where nobody has told it otherwise, in bytes (RFC 9113, section 6.9.2).
const USUAL_WINDOW: u32 = 65_535;

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
    let answers = Rc::new(Answers::default());
    let idle = core.keepalive_timeout;
    let most = if idle.is_zero() { 1 } else { core.keepalive_requests.max(1) };
    let open = Rc::new(Open::new(thread.clone(), most));
    let time = core.keepalive_time;
    let newest = RefCell::new(local.clone());
    let shared = Rc::new(Shared::default());
    let service = service_fn(|request| {
        super::move_on(&thread, &mut newest.borrow_mut(), &connection);
        let (local, thread, shared) = (newest.borrow().clone(), thread.clone(), shared.clone());
        let (answers, guard) =
            (answers.clone(), open.begin(connection.start.elapsed() >= time || connection.left.get()));
        let connection = connection.clone();
        // hyper moves it several times on its way to a task of its own.
        Box::pin(async move {
            let stream = stream_of(&request)?;
            let response = exchange((local, connection), (stream, request), &thread, &shared).await?;
            let held = |body| Answered { body, progress: answers.begin(), _guard: guard };
            io::Result::Ok(response.map(|body| AnswerBody { stream, shared, answer: Some(held(body)) }))
        })
    });
    let (count, size) = server.large_client_header_buffers;
    let limits = Limits { field: size, all: count.saturating_mul(size) };
    let mut front = Front::behind(PREFACE.len(), limits, shared.clone());
    if server.http2_preread < USUAL_WINDOW {
        front = front.with_small_window();
    }
    let stream = Frames::new(front, (thread.clone(), connection.clone()), server.client_header_timeout, first, stream);
    let mut driver = stream.driver();
    let field = u32::try_from(size).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(server.http2_streams)
        .initial_stream_window_size(server.http2_preread)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // What is taken at all is taken in one frame, too.
        .max_frame_size(field.max(server.http2_preread).clamp(SMALLEST_FRAME, LARGEST_FRAME))
        .auto_date_header(false);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut drain = thread.drain_watch();
    let spent = open.clone();
    let ended = tokio::select! {
        biased;
        () = poll_fn(|cx| driver.poll(serving.as_mut(), cx)) => true,
        _ = drain.wait_for(|draining| *draining) => false,
        () = open.idle_for(idle) => false,
        () = spent.exhausted() => false,
        () = answers.stalled(core.send_timeout) => return say(&local, &connection, "client timed out"),
    };
    if !ended {
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            // An error here is the client's, and the connection is over.
            () = poll_fn(|cx| driver.poll(serving.as_mut(), cx)) => {}
            () = answers.stalled(core.send_timeout) => say(&local, &connection, "client timed out"),
            // What is left of answers that have ended may never be taken.
            () = open.idle_for(core.send_timeout) => {}
        }
    }
}

/// hyper knows no more of a request than its stream.
fn stream_of(request: &http::Request<Incoming>) -> io::Result<u32> {
    let number = request.uri().path().get(1..).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Answers a request. An error resets the stream: nginx's 444.
async fn exchange(
    (local, connection): (Rc<Local>, Rc<Connection>),
    (stream, request): (u32, http::Request<Incoming>),
    thread: &Thread,
    shared: &Shared,
) -> io::Result<http::Response<ResponseBody>> {
    thread.meter.add(Count::Requests);
    let counted = thread.meter.during(Count::Writing);
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    // The client may have reset the stream already.
    let head = shared.take_head(stream).ok_or_else(gone)?;
    let connection = next_on(&connection);
    let read = request::read(&local, &connection, &head, |length| stream_body(request.into_body(), length));
    if read.is_malformed {
        shared.reset(stream, PROTOCOL_ERROR);
    }
    let mut received = read.received;
    received.incoming.counted = Some(counted);
    answer(local, connection, received, &thread.date).await.map_err(|status| {
        if status == 408 {
            shared.reset(stream, PROTOCOL_ERROR);
        }
        gone()
    })
}

/// What ends a connection: nginx's sentence, and the code that the client is told (RFC 9113, section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fatal {
    code: u32,
    sentence: &'static str,
}

/// The code for what is against the rules.
const PROTOCOL_ERROR: u32 = 1;

impl Fatal {
    const fn flood(sentence: &'static str) -> Self {
        Self { code: 0, sentence }
    }

    const fn protocol(sentence: &'static str) -> Self {
        Self { code: PROTOCOL_ERROR, sentence }
    }

    const fn size(sentence: &'static str) -> Self {
        Self { code: 6, sentence }
    }

    const fn compression(sentence: &'static str) -> Self {
        Self { code: 9, sentence }
    }

    const fn calm(sentence: &'static str) -> Self {
        Self { code: 11, sentence }
    }
}

/// Says why a connection is ended.
fn say(local: &Local, connection: &Connection, why: &str) {
    let Some(listen) = local.cycle.listens.get(connection.listen.get()) else { return };
    let log = &local.cycle.location(server(local, connection).base).core.error_log;
    log.write(Level::Info, Some(connection.number), |line| {
        line.put(why).put(" while processing HTTP/2 connection, client: ").bytes(&connection.address.borrow());
        line.put(", server: ").put(&listen.spec.text);
    });
}

/// Requests under way, to know when the connection is idle.
struct Open {
    thread: Rc<Thread>,
    waiting: Cell<Option<Counted>>,
    count: Cell<usize>,
    changes: Cell<u64>,
    begun: Cell<u64>,
    /// So many requests and no more.
    most: u64,
    last_begun: Notify,
}

impl Open {
    fn new(thread: Rc<Thread>, most: u64) -> Self {
        let waiting = Cell::new(Some(thread.meter.during(Count::Waiting)));
        Self {
            thread,
            waiting,
            count: Cell::default(),
            changes: Cell::default(),
            begun: Cell::default(),
            most,
            last_begun: Notify::default(),
        }
    }

    /// A request begins; `last` where the connection has lived long enough.
    fn begin(self: &Rc<Self>, last: bool) -> OpenGuard {
        self.waiting.take();
        self.count.set(self.count.get() + 1);
        self.changes.set(self.changes.get() + 1);
        self.begun.set(if last { u64::MAX } else { self.begun.get().saturating_add(1) });
        if self.begun.get() >= self.most {
            self.last_begun.notify_one();
        }
        OpenGuard(self.clone())
    }

    /// Ends when the last request that is allowed has begun.
    async fn exhausted(&self) {
        while self.begun.get() < self.most {
            self.last_begun.notified().await;
        }
    }

    /// Ends when no request has been under way for this long.
    async fn idle_for(&self, time: Duration) {
        loop {
            let before = self.changes.get();
            tokio::time::sleep(time.max(Duration::from_millis(100))).await;
            if self.count.get() == 0 && self.changes.get() == before {
                return;
            }
        }
    }
}

struct OpenGuard(Rc<Open>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.changes.set(self.0.changes.get() + 1);
        if self.0.count.get() == 0 {
            self.0.waiting.set(Some(self.0.thread.meter.during(Count::Waiting)));
        }
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
        if let Some(answer) = self.answer.take_if(|answer| answer.body.is_end_stream()) {
            self.shared.hold(self.stream, answer);
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
