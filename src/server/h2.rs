//! HTTP/2 connections on hyper, encrypted, or in the clear with prior knowledge. RFC 9113.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::exchange::{ResponseBody, exchange};
use super::h1;
use super::h2_guard::{Answers, Floods, Progress};
use super::stream::ClientStream;
use super::thread::Thread;
use crate::http::{BodyCut, Connection, Count, Counted, Local, Server};
use crate::log::Level;

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client may send on all streams together before it is told to go on, in bytes.
const CONNECTION_WINDOW: u32 = 1 << 20;

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
    let floods = Floods::behind(PREFACE.len());
    let stream = Replayed { floods, connection: connection.clone(), thread: thread.clone(), first, stream };
    let answers = Rc::new(Answers::default());
    let open = Rc::new(Open::new(thread.clone()));
    let local = thread.local();
    let server = server(&local, &connection);
    let core = &local.cycle.location(server.base).core;
    let time = core.keepalive_time;
    let newest = RefCell::new(local.clone());
    let service = service_fn(|request| {
        super::move_on(&thread, &mut newest.borrow_mut(), &connection);
        let (local, thread) = (newest.borrow().clone(), thread.clone());
        let (answers, guard) = (answers.clone(), open.begin(connection.start.elapsed() >= time));
        let connection = connection.clone();
        async move {
            thread.meter.add(Count::Requests);
            let counted = Some(thread.meter.during(Count::Writing));
            let answered = exchange(local, connection, request, &thread.date, counted).await;
            // An error resets the stream: nginx's 444.
            let response = answered.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
            io::Result::Ok(response.map(|body| Answered { body, progress: answers.begin(), _guard: guard }))
        }
    });
    let (count, size) = server.large_client_header_buffers;
    let head_size = u32::try_from(count.saturating_mul(size)).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(server.http2_streams)
        .initial_stream_window_size(server.http2_preread)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(head_size)
        // What is taken at all is taken in one frame, too.
        .max_frame_size(head_size.max(server.http2_preread).clamp(SMALLEST_FRAME, LARGEST_FRAME))
        .auto_date_header(false);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut drain = thread.drain_watch();
    let spent = open.clone();
    let (idle, most) = (core.keepalive_timeout, core.keepalive_requests);
    let ended = tokio::select! {
        _ = serving.as_mut() => true,
        _ = drain.wait_for(|draining| *draining) => false,
        () = open.idle_for(idle) => false,
        () = spent.exhausted(most) => false,
        () = answers.stalled(core.send_timeout) => return say(&local, &connection, "client timed out"),
    };
    if !ended {
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            // An error here is the client's, and the connection is over.
            _ = serving => {}
            () = answers.stalled(core.send_timeout) => say(&local, &connection, "client timed out"),
            // What is left of answers that have ended may never be taken.
            () = open.idle_for(core.send_timeout) => {}
        }
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
    begins: Notify,
}

impl Open {
    fn new(thread: Rc<Thread>) -> Self {
        let waiting = Cell::new(Some(thread.meter.during(Count::Waiting)));
        Self {
            thread,
            waiting,
            count: Cell::default(),
            changes: Cell::default(),
            begun: Cell::default(),
            begins: Notify::default(),
        }
    }

    /// A request begins; `last` where the connection has lived long enough.
    fn begin(self: &Rc<Self>, last: bool) -> OpenGuard {
        self.waiting.take();
        self.count.set(self.count.get() + 1);
        self.changes.set(self.changes.get() + 1);
        self.begun.set(if last { u64::MAX } else { self.begun.get().saturating_add(1) });
        self.begins.notify_one();
        OpenGuard(self.clone())
    }

    /// Ends when so many requests have begun.
    async fn exhausted(&self, most: u64) {
        while self.begun.get() < most {
            self.begins.notified().await;
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

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.asked(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
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

/// A stream whose first bytes were read already, and which ends where a client floods it.
struct Replayed {
    floods: Floods,
    connection: Rc<Connection>,
    thread: Rc<Thread>,
    first: Vec<u8>,
    stream: ClientStream,
}

impl AsyncRead for Replayed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.drain(..length);
        } else {
            let read = std::task::ready!(self.stream.poll_read(cx, buffer.initialize_unfilled()))?;
            buffer.advance(read);
        }
        if self.floods.is_flood(buffer.filled()) {
            say(&self.thread.local(), &self.connection, "http2 flood detected");
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.shutdown_write();
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, slices)
    }
}
