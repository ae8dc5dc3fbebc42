//! Requests and responses of the `http` crate made into ours and back: what HTTP/2 and the embedded site share.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame};

use super::h1::Paced;
use super::pump::pumped;
use crate::cycle::{self, Answer};
use crate::http::date::DateCache;
use crate::http::uri::{self, Slashes};
use crate::http::{
    Body, BodyCut, BodyError, BodySource, Choice, Chunk, Connection, Deadline, FileRange, Head, HeaderId, Headers,
    Incoming, Local, Method, Request, RequestBody, Response, SentHead, Version, doing, host,
};
use crate::log::Level;

/// The most that is read from a file at once, in bytes: nginx's chunk, and what a client that takes nothing holds us to.
const PIECE: u64 = 8 << 10;

/// How many header fields there is room for from the beginning.
const USUAL_FIELDS: usize = 12;

/// A request before any phase.
pub(super) struct Received {
    pub(super) incoming: Incoming,
    pub(super) choice: Choice,
    /// Why it is refused, where it is.
    pub(super) refusal: Option<Refusal>,
    /// Names of fields that are ignored.
    pub(super) ignored: Vec<Vec<u8>>,
}

/// Why a request is refused.
pub(super) struct Refusal {
    pub(super) status: u16,
    /// nginx's, for the log; empty where it says nothing.
    pub(super) sentence: Vec<u8>,
}

/// Runs a request of the `http` crate; `None` where nginx would close the connection without an answer.
pub(super) async fn exchange<B>(
    local: Rc<Local>,
    connection: Rc<Connection>,
    request: http::Request<B>,
    dates: &RefCell<DateCache>,
) -> Option<http::Response<ResponseBody>>
where
    B: HttpBody + 'static,
    B::Data: Buf,
{
    let connection = next_on(&connection);
    let (parts, body) = request.into_parts();
    let (incoming, choice, status) = incoming(&local, &connection, &parts, body);
    let refusal = status.map(|status| Refusal { status, sentence: Vec::new() });
    answer(local, connection, Received { incoming, choice, refusal, ignored: Vec::new() }, dates, |_| {}).await.ok()
}

/// The connection as the next of its requests sees it.
pub(super) fn next_on(connection: &Connection) -> Rc<Connection> {
    connection.requests.set(connection.requests.get() + 1);
    Rc::new(connection.for_stream())
}

/// Runs a request; `begun` gets it first.
///
/// # Errors
/// The status for the log, where nginx would end the connection or the stream without an answer.
pub(super) async fn answer(
    local: Rc<Local>,
    connection: Rc<Connection>,
    received: Received,
    dates: &RefCell<DateCache>,
    begun: impl FnOnce(&Rc<Request>),
) -> Result<http::Response<ResponseBody>, u16> {
    let Received { incoming, choice, refusal, ignored } = received;
    let r = Request::new(local, connection, incoming);
    begun(&r);
    if let Some(regex) = &choice.regex {
        let host = r.host.borrow().clone();
        // It matched when the server was chosen; now it leaves its captures.
        let _ = regex.exec(&r, &host);
    }
    r.set_doing(doing::READING_HEADERS);
    for name in &ignored {
        r.log_with(Level::Info, |line| {
            line.put("client sent invalid header: \"").bytes(name).put("\"");
        });
    }
    if let Some(Refusal { sentence, .. }) = refusal.as_ref().filter(|refusal| !refusal.sentence.is_empty()) {
        r.log_with(Level::Info, |line| {
            line.bytes(sentence);
        });
    }
    let logged = Logged(r.clone());
    let answer = match refusal.map(|refusal| refusal.status).or_else(|| super::tls::refusal(&r)) {
        Some(status) => cycle::refuse(&r, status).await,
        None => cycle::run(&r).await,
    };
    match answer {
        Answer::Response(response) => Ok(respond(logged, response, dates)),
        Answer::Close(status) => {
            r.out.status.set(status);
            Err(status)
        }
    }
}

/// Logs the request when it has ended, however it ended.
struct Logged(Rc<Request>);

impl Drop for Logged {
    fn drop(&mut self) {
        if self.0.out.status.get() == 0 {
            self.0.out.status.set(499);
        }
        let Some(work) = cycle::afterwards(&self.0) else { return cycle::log(&self.0) };
        let r = self.0.clone();
        tokio::task::spawn_local(async move {
            work.await;
            cycle::log(&r);
        });
    }
}

/// Makes the request; the status is for one that is refused.
fn incoming<B>(
    local: &Local,
    connection: &Connection,
    parts: &http::request::Parts,
    body: B,
) -> (Incoming, Choice, Option<u16>)
where
    B: HttpBody + 'static,
    B::Data: Buf,
{
    let mut refused = None;
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = authority.or_else(|| parts.headers.get(http::header::HOST).map(|value| value.as_bytes()));
    let mut host = Vec::new();
    if named.is_some_and(|named| host::append_valid(named, &mut host).is_none()) {
        host.clear();
        refused = Some(400);
    }
    let servers =
        local.cycle.listens[connection.listen.get()].virtual_servers(connection.local.map(|local| local.ip()));
    let choice = servers.choose(&host);
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let slashes = if local.cycle.server(choice.server).merge_slashes { Slashes::Merge } else { Slashes::Keep };
    let mut path = Vec::new();
    let args = match uri::normalise(target.as_bytes(), slashes, &mut path) {
        Ok(found) => found.args.map(|range| target.as_bytes()[range].to_vec()).unwrap_or_default(),
        Err(_) => {
            refused = Some(400);
            Vec::new()
        }
    };
    let incoming = Incoming {
        head: head(parts, target),
        headers: headers(&parts.headers, authority),
        host,
        uri: path,
        args,
        pipelined: false,
        server: choice.server,
        body: request_body(body),
        client: None,
        keep_alive: true,
        start: Instant::now(),
        counted: None,
    };
    (incoming, choice, refused)
}

fn head(parts: &http::request::Parts, target: &str) -> Head {
    let (version, protocol) = match parts.version {
        http::Version::HTTP_2 => (Version::HTTP_2, "HTTP/2.0"),
        http::Version::HTTP_3 => (Version::HTTP_3, "HTTP/3.0"),
        http::Version::HTTP_10 => (Version::HTTP_10, "HTTP/1.0"),
        _ => (Version::HTTP_11, "HTTP/1.1"),
    };
    let name = parts.method.as_str();
    let line = format!("{name} {target} {protocol}").into_bytes();
    let length = line.len();
    let target = name.len() + 1..name.len() + 1 + target.len();
    let mut head = Head::of_line(line, 0..name.len(), target, length - protocol.len()..length);
    head.method = Method::of(name.as_bytes());
    head.version = version;
    head.valid_target = true;
    head.length = length as u64;
    head
}

/// The fields, `Host` first; the crumbs of a cookie are put together again (RFC 9113, 8.2.3).
fn headers(map: &http::HeaderMap, authority: Option<&[u8]>) -> Headers {
    let mut headers = Headers::new();
    if let Some(authority) = authority {
        headers.push_id(HeaderId::Host, authority);
    }
    let crumbs: Vec<_> = map.get_all(http::header::COOKIE).iter().map(http::HeaderValue::as_bytes).collect();
    for (name, value) in map {
        if name == http::header::COOKIE || (name == http::header::HOST && authority.is_some()) {
            continue;
        }
        headers.push(name.as_str().as_bytes(), value.as_bytes());
    }
    if !crumbs.is_empty() {
        headers.push(b"cookie", &crumbs.join(&b"; "[..]));
    }
    headers
}

fn request_body<B>(body: B) -> RequestBody
where
    B: HttpBody + 'static,
    B::Data: Buf,
{
    if body.is_end_stream() {
        return RequestBody::none();
    }
    let length = body.size_hint().exact();
    RequestBody::new(Rc::new(Source::new(body, None, None)), length)
}

/// What the body of a stream and its connection have to tell each other.
pub(super) trait Flow {
    /// There is room for so many bytes of it.
    fn make_room(&self, room: u64);

    /// So many bytes of it may come before anybody wants them.
    fn preread(&self) -> u64;
}

/// The body of a stream, of the length that the client said, for which it may not keep us waiting too long.
pub(super) fn stream_body<B>(body: B, length: Option<u64>, flow: impl Flow + 'static) -> RequestBody
where
    B: HttpBody + 'static,
    B::Data: Buf,
{
    RequestBody::new(Rc::new(Source::new(body, length, Some(Box::new(flow)))), length)
}

/// A body of the `http` crate's kind, as ours.
struct Source<B> {
    body: RefCell<Pin<Box<B>>>,
    /// How much is still to come, where that was said.
    left: Cell<Option<u64>>,
    /// How long a pause may last.
    patience: Cell<Duration>,
    /// Where it is that of a stream.
    flow: Option<Box<dyn Flow>>,
    deadline: RefCell<Deadline>,
}

impl<B: HttpBody> Source<B> {
    fn new(body: B, left: Option<u64>, flow: Option<Box<dyn Flow>>) -> Self {
        Self {
            body: RefCell::new(Box::pin(body)),
            left: Cell::new(left),
            patience: Cell::default(),
            flow,
            deadline: RefCell::default(),
        }
    }

    /// Whoever sent it has gone.
    fn gone(&self) -> BodyError {
        if self.flow.is_some() { BodyError::StreamClosed } else { BodyError::Closed }
    }

    /// Content has come, or its end.
    fn count(&self, content: Option<Bytes>) -> Result<Option<Bytes>, BodyError> {
        self.deadline.borrow_mut().clear();
        if let Some(left) = self.left.get() {
            match &content {
                None if left > 0 => return Err(BodyError::Shorter),
                None => {}
                Some(content) => {
                    let left = left.checked_sub(content.len() as u64).ok_or(BodyError::Longer)?;
                    self.left.set(Some(left));
                }
            }
        }
        Ok(content)
    }
}

impl<B> BodySource for Source<B>
where
    B: HttpBody,
    B::Data: Buf,
{
    fn set_timeout(&self, timeout: Duration) {
        self.patience.set(timeout);
    }

    fn make_room(&self, room: u64) {
        if let Some(flow) = &self.flow {
            flow.make_room(room);
        }
    }

    fn preread(&self) -> Option<u64> {
        self.flow.as_ref().map(|flow| flow.preread())
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            let frame = match self.body.borrow_mut().as_mut().poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if self.flow.is_none() {
                        return Poll::Pending;
                    }
                    let mut deadline = self.deadline.borrow_mut();
                    if !deadline.is_set() {
                        deadline.set(self.patience.get());
                    }
                    return deadline.poll(cx).map(|()| Err(BodyError::TimedOut));
                }
            };
            let frame = match frame {
                None => return Poll::Ready(self.count(None)),
                Some(Err(_)) => return Poll::Ready(Err(self.gone())),
                Some(Ok(frame)) => frame,
            };
            if let Ok(mut data) = frame.into_data()
                && data.has_remaining()
            {
                return Poll::Ready(self.count(Some(data.copy_to_bytes(data.remaining()))));
            }
        }
    }
}

/// Makes the response, its fields in the order that nginx's HTTP/2 writes them.
fn respond(logged: Logged, mut response: Box<Response>, dates: &RefCell<DateCache>) -> http::Response<ResponseBody> {
    let r = logged.0.clone();
    let has_body = r.method.get() != Method::Head && !response.header_only && !matches!(response.status, 204 | 304);
    if response.status == 204 {
        response.content_type = None;
        response.clear_content_length();
    }
    let mut answer = http::Response::new(());
    *answer.status_mut() =
        http::StatusCode::from_u16(response.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().reserve(USUAL_FIELDS);
    super::head::settle(&r, &mut response);
    super::head::each_field(&r, &response, &mut dates.borrow_mut(), &mut |name, value| {
        let name = http::HeaderName::from_bytes(name);
        let value = http::HeaderValue::from_bytes(value);
        // A field that cannot be said in HTTP/2 is left out, as one with a line break must be.
        if let (Ok(name), Ok(value)) = (name, value) {
            answer.headers_mut().append(name, value);
        }
    });
    let body = if has_body { std::mem::take(&mut response.body) } else { Body::Empty };
    // What is made of a file waits for nobody.
    let body = if response.file.is_none() { pumped(body) } else { body };
    *r.out.head.borrow_mut() = Some(SentHead::new(response));
    r.out.head_sent.set(true);
    r.finish_upstream();
    let sent = if matches!(body, Body::Empty) { Stage::Done } else { Stage::Data };
    r.out.complete.set(sent == Stage::Done);
    let pace = if sent == Stage::Done { None } else { Paced::of(&r) };
    answer.map(|()| ResponseBody { logged, body, rest: Bytes::new(), file: None, pace, stage: sent })
}

/// A response's body as the `http` crate's world pulls it.
pub(super) struct ResponseBody {
    logged: Logged,
    body: Body,
    /// What is left of a piece.
    rest: Bytes,
    /// What is left of a file's piece.
    file: Option<FileRange>,
    /// `limit_rate`
    pace: Option<Paced>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Data,
    Trailers,
    /// It has broken off; so many times the connection is to have its turn before the stream is reset.
    Cut(BodyCut, u8),
    Done,
}

/// How many turns the connection has to send what came before a cut: hyper drops what it has not sent by then.
const FLUSHES: u8 = 2;

impl ResponseBody {
    /// Whether it has broken off by itself.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.stage, Stage::Cut(..))
    }

    /// What it answers.
    pub(super) fn request(&self) -> &Rc<Request> {
        &self.logged.0
    }

    fn count(&self, length: usize) {
        let out = &self.logged.0.out;
        out.bytes.set(out.bytes.get() + length as u64);
    }

    /// The last piece says that it is the last, where that is known.
    fn end_early(&mut self) {
        let file_is_done = self.file.as_ref().is_none_or(FileRange::is_empty);
        if self.rest.is_empty() && file_is_done && matches!(self.body, Body::Empty) {
            self.stage = Stage::Done;
            self.logged.0.out.complete.set(true);
        }
    }

    fn file_piece(&mut self) -> Option<Result<Bytes, BodyCut>> {
        let range = self.file.as_mut().filter(|range| !range.is_empty())?;
        let most = self.logged.0.location().core.http2_chunk_size.map_or(PIECE, |size| PIECE.max(size as u64));
        let mut buffer = vec![0; usize::try_from(range.len().min(most)).unwrap_or(usize::MAX)];
        match rustix::io::pread(&*range.file, &mut buffer, range.start) {
            Ok(read) if read > 0 => {
                range.start += read as u64;
                buffer.truncate(read);
                Some(Ok(buffer.into()))
            }
            _ => Some(Err(BodyCut)),
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        while self.stage == Stage::Data {
            if !self.rest.is_empty() {
                let most = self.logged.0.location().core.http2_chunk_size.unwrap_or(usize::MAX).max(1);
                let allowed = match &mut self.pace {
                    None => usize::MAX,
                    Some(pace) => ready!(pace.poll_allowance(cx)),
                };
                let length = self.rest.len().min(most).min(allowed);
                if let Some(pace) = &mut self.pace {
                    pace.sent(length);
                }
                let bytes = self.rest.split_to(length);
                self.count(length);
                self.end_early();
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match self.file_piece() {
                None => {}
                Some(Ok(bytes)) => {
                    self.rest = bytes;
                    continue;
                }
                Some(Err(cut)) => {
                    self.stage = Stage::Cut(cut, FLUSHES);
                    continue;
                }
            }
            match ready!(self.body.poll_next(cx)) {
                Some(Err(cut)) => self.stage = Stage::Cut(cut, FLUSHES),
                Some(Ok(Chunk::Bytes(bytes))) => self.rest = bytes,
                Some(Ok(Chunk::File(range))) => self.file = Some(range),
                Some(Ok(Chunk::Flush)) => {}
                None => self.stage = Stage::Trailers,
            }
        }
        if let Stage::Cut(cut, left) = self.stage {
            if left == 0 {
                let out = &self.logged.0.out;
                out.complete.set(out.complete_when_cut.get());
                return Poll::Ready(Some(Err(cut)));
            }
            self.stage = Stage::Cut(cut, left - 1);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.stage == Stage::Trailers {
            self.stage = Stage::Done;
            self.logged.0.out.complete.set(true);
            if let Some(trailers) = self.body.trailers().filter(|trailers| !trailers.is_empty()) {
                let fields = trailer_map(&trailers);
                if let Some(head) = &mut *self.logged.0.out.head.borrow_mut() {
                    head.trailers = trailers;
                }
                return Poll::Ready(Some(Ok(Frame::trailers(fields))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Done
    }
}

fn trailer_map(trailers: &Headers) -> http::HeaderMap {
    let parsed = trailers.iter().filter_map(|(_, name, value)| {
        Some((http::HeaderName::from_bytes(name).ok()?, http::HeaderValue::from_bytes(value).ok()?))
    });
    parsed.collect()
}
