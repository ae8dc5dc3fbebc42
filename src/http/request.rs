//! A request on its way through the phases. It does not know which protocol brought it.

use std::any::{Any, TypeId};
use std::cell::{Cell, Ref, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{
    Captures, Client, Connection, Counted, Cycle, Escape, Flow, Head, HeaderId, Headers, Location, LocationId, Method,
    RequestBody, Response, Server, ServerId, TcpInfo, VarSlots, escape::append_escaped,
};
use crate::log::{Level, Line};

/// What one thread knows: the cycle that new requests run on, and what outlives it.
pub struct Local {
    /// The compiled configuration.
    pub cycle: Arc<Cycle>,
    /// Runs subrequests.
    pub engine: &'static dyn Engine,
    /// What modules keep for this thread (connection pools, caches), by type.
    pub state: Rc<ThreadState>,
}

/// What modules keep for one thread, by type.
#[derive(Default)]
pub struct ThreadState(RefCell<Vec<(TypeId, Rc<dyn Any>)>>);

impl ThreadState {
    /// The value of this type, made on first use.
    pub fn get<T: Default + 'static>(&self) -> Rc<T> {
        typed_entry(&self.0)
    }
}

fn typed_entry<T: Default + 'static>(entries: &RefCell<Vec<(TypeId, Rc<dyn Any>)>>) -> Rc<T> {
    if let Some(found) = find_entry(entries) {
        return found;
    }
    let made = Rc::new(T::default());
    entries.borrow_mut().push((TypeId::of::<T>(), made.clone()));
    made
}

fn find_entry<T: 'static>(entries: &RefCell<Vec<(TypeId, Rc<dyn Any>)>>) -> Option<Rc<T>> {
    let entries = entries.borrow();
    let (_, value) = entries.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
    value.clone().downcast().ok()
}

/// Runs requests; handed to those who must start one from inside another.
pub trait Engine: Sync {
    /// Runs a subrequest through the phases and filters up to its response.
    ///
    /// # Errors
    /// [`TooDeep`], which is then in the log.
    fn subrequest(&self, parent: &Rc<Request>, sub: Subrequest) -> Result<SubrequestFuture, TooDeep>;

    /// Starts a subrequest whose answer nobody waits for; the main request ends when it has ended too.
    ///
    /// # Errors
    /// [`TooDeep`], which is then in the log.
    fn beside(&self, parent: &Rc<Request>, sub: Subrequest) -> Result<(), TooDeep>;
}

/// Work that ends in a subrequest's response; an error is a status for the log, and closes the connection.
pub type SubrequestFuture = Pin<Box<dyn Future<Output = (Rc<Request>, Result<Box<Response>, u16>)>>>;

/// Subrequests stand too deep inside each other, or one whose answer is to be kept asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subrequests cycle")]
pub struct TooDeep;

/// What a subrequest asks for.
#[derive(Clone, Debug, Default)]
pub struct Subrequest {
    /// The path, normalised.
    pub uri: Vec<u8>,
    /// The arguments without `?`.
    pub args: Vec<u8>,
    /// Its body is kept (`include set=`): filters of its own that ask for more are refused.
    pub in_memory: bool,
    /// The method; `None` for GET.
    pub method: Option<Method>,
    /// Whether it sees the parent's request body, where that was read.
    pub with_body: bool,
    /// It runs beside its parent and does not look after the client.
    pub beside: bool,
    /// What stands in place of an empty answer, or one that is an error.
    pub stub: Option<Stub>,
    /// It is answered by the handler that answers its parent, without the phases before (`slice`).
    pub cloned: bool,
}

/// An answer for want of a better one.
#[derive(Clone, Debug)]
pub struct Stub {
    /// Its media type.
    pub content_type: Option<Bytes>,
    /// Its body.
    pub body: Bytes,
}

/// How deep subrequests may stand inside each other, and one.
const SUBREQUESTS: u8 = 51;

/// A request. All threads have their own, so what changes stands in cells.
pub struct Request {
    /// The thread's view.
    pub local: Rc<Local>,
    /// The connection it came on.
    pub connection: Rc<Connection>,
    /// The head as it came.
    pub head: Head,
    /// The request's headers; `realip`, `slice` and a few others change them.
    pub headers: RefCell<Headers>,
    /// The host asked for, checked and in lower case, without port; empty where none was.
    pub host: RefCell<Vec<u8>>,
    /// The method, which internal redirects may change.
    pub method: Cell<Method>,
    /// The path, normalised.
    pub uri: RefCell<Vec<u8>>,
    /// The arguments without `?`.
    pub args: RefCell<Vec<u8>>,
    /// They were set on the way, be it to nothing: `$args` is empty then, and not missing.
    pub args_are_set: Cell<bool>,
    /// Whether the URI still stands for the target as it came, so that it may be sent on as it came.
    pub unchanged_uri: Cell<bool>,
    /// `rewrite` changed the URI and a location is to be found again.
    pub uri_changed: Cell<bool>,
    /// How many more times the URI may change before nginx calls it a cycle.
    pub uri_changes_left: Cell<u8>,
    /// How deep subrequests may still go, and one.
    subrequests_left: u8,
    /// Whether the URI still lies in the location, as `alias` needs.
    pub valid_location: Cell<bool>,
    /// `try_files` found a file below an `alias` in a location of a regular expression.
    pub add_uri_to_alias: Cell<bool>,
    /// Whether a client that waits for `100 Continue` is answered without it, as with nginx's own pages.
    pub expect_settled: Cell<bool>,
    /// Whether it is internal: redirected, or a subrequest.
    pub internal: Cell<bool>,
    /// Whether it is being answered by an `error_page`.
    pub error_page: Cell<bool>,
    /// The status that `error_page` overrides with; 0 for none.
    pub error_status: Cell<u16>,
    /// What goes to the client and the log.
    pub out: Outgoing,
    /// The body.
    pub body: RequestBody,
    /// Whether it was read along with the request before it.
    pub pipelined: bool,
    /// The client, to ask whether it is still there.
    pub client: Option<Rc<dyn Client>>,
    /// The main request, where this is a subrequest.
    pub main: Option<Rc<Request>>,
    /// The subrequest's wishes, where this is one.
    pub sub: Option<Box<Subrequest>>,
    /// When it began, for durations.
    pub start: Instant,
    /// It counts as being answered until it is logged.
    counted: Cell<Option<Counted>>,
    server: Cell<ServerId>,
    /// The request has ended and is being logged.
    pub logging: Cell<bool>,
    /// It was answered and runs on for `post_action`.
    pub post_action: Cell<bool>,
    pub(super) location: Cell<LocationId>,
    pub(super) content: Cell<Option<LocationId>>,
    /// Those of the main request are used; a subrequest shares them.
    variables: VarSlots,
    captures: RefCell<Captures>,
    contexts: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
    lasting: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
}

/// What a request sends, and what is told about it.
#[derive(Default)]
pub struct Outgoing {
    /// Headers that handlers set aside for whatever response comes.
    pub pending: RefCell<Headers>,
    /// The status, 0 before there is one.
    pub status: Cell<u16>,
    /// Whether the head went out.
    pub head_sent: Cell<bool>,
    /// Bytes sent, head included.
    pub bytes: Cell<u64>,
    /// Bytes of the head.
    pub head_bytes: Cell<u64>,
    /// Whether the connection may be kept.
    pub keep_alive: Cell<bool>,
    /// Whether everything was sent.
    pub complete: Cell<bool>,
    /// `gzip` has looked at an answer, though a filter behind it has refused that: `Vary` says so of the page instead.
    pub gzip_vary: Cell<bool>,
    /// A body that was cut short counts as sent: what came of it has gone out.
    pub complete_when_cut: Cell<bool>,
    /// A filter has put a page in place of an answer that no upstream gave: to nginx that never was complete.
    pub never_complete: Cell<bool>,
    /// It goes on when its client has gone: for others' sake, or because the configuration says so.
    pub outlives_client: Cell<bool>,
    /// What nginx says in the log that it is doing, which is what an upstream last asked of it: ` while …`, or nothing.
    pub doing: Cell<&'static str>,
    /// Some of what the client has sent was not read when its head was refused.
    pub unread: Cell<bool>,
    /// `$limit_rate` set or sent by upstream, bytes a second.
    pub limit_rate: Cell<Option<u64>>,
    /// The charset that an upstream asks the charset filter for (`X-Accel-Charset`), whatever response comes.
    pub override_charset: RefCell<Option<Bytes>>,
    /// A cache's upstream has handed the request on and said that there are ranges: whatever response comes has, one at a time.
    pub has_ranges: Cell<bool>,
    /// The response's head, for `$sent_http_…`.
    pub head: RefCell<Option<SentHead>>,
    /// The upstream that was asked last; it outlives internal redirects.
    pub upstream: RefCell<Option<Rc<dyn UpstreamInfo>>>,
}

/// What a request keeps of the upstream it was sent to. Modules find their own type behind it.
pub trait UpstreamInfo: Any {
    /// Adds `, upstream: "http://127.0.0.1:8080/path"` to a line of the error log, where a peer was chosen.
    fn add_log_context(&self, line: &mut Line);

    /// The request has been answered: what was kept for the answer's sake may go.
    fn finish(&self, _r: &Request) {}

    /// Whether nothing more is awaited of upstreams.
    fn is_done(&self) -> bool {
        true
    }

    /// A filter has refused the answer: nothing of it is to be kept.
    fn refuse(&self) {}
}

/// A response's head as it was sent, for `$sent_http_…` and logs.
#[derive(Debug)]
pub struct SentHead {
    /// The response, without its body.
    pub response: Box<Response>,
    /// Whether the body went out chunked.
    pub chunked: bool,
    /// Trailers, where the body had some.
    pub trailers: Headers,
}

impl SentHead {
    /// The head of a response that is sent in one piece.
    pub fn new(response: Box<Response>) -> Self {
        Self { response, chunked: false, trailers: Headers::new() }
    }

    /// `Content-Type` with charset, as sent.
    pub fn content_type(&self) -> Option<Bytes> {
        match (&self.response.content_type, &self.response.charset) {
            (Some(name), Some(charset)) => Some([&name[..], b"; charset=", charset].concat().into()),
            (name, _) => name.clone(),
        }
    }
}

/// How many times a URI may change.
const URI_CHANGES: u8 = 11;

impl Request {
    /// The number of the server that it is for.
    pub fn server_id(&self) -> ServerId {
        self.server.get()
    }

    /// A main request, before any phase.
    pub fn new(local: Rc<Local>, connection: Rc<Connection>, incoming: Incoming) -> Rc<Self> {
        let server = local.cycle.server(incoming.server);
        let out = Outgoing::default();
        out.keep_alive.set(incoming.keep_alive);
        Rc::new(Self {
            server: Cell::new(incoming.server),
            location: Cell::new(server.base),
            content: Cell::new(None),
            logging: Cell::new(false),
            post_action: Cell::new(false),
            headers: RefCell::new(incoming.headers),
            host: RefCell::new(incoming.host),
            method: Cell::new(incoming.head.method),
            uri: RefCell::new(incoming.uri),
            args: RefCell::new(incoming.args),
            args_are_set: Cell::new(false),
            unchanged_uri: Cell::new(true),
            uri_changed: Cell::new(false),
            uri_changes_left: Cell::new(URI_CHANGES),
            subrequests_left: SUBREQUESTS,
            valid_location: Cell::new(true),
            add_uri_to_alias: Cell::new(false),
            expect_settled: Cell::new(false),
            internal: Cell::new(false),
            error_page: Cell::new(false),
            error_status: Cell::new(0),
            out,
            body: incoming.body,
            pipelined: incoming.pipelined,
            client: incoming.client,
            main: None,
            sub: None,
            start: incoming.start,
            counted: Cell::new(incoming.counted),
            variables: VarSlots::default(),
            captures: RefCell::default(),
            contexts: RefCell::default(),
            lasting: RefCell::default(),
            head: incoming.head,
            local,
            connection,
        })
    }

    /// A request inside this one; it shares variables and, if asked, the body.
    ///
    /// # Errors
    /// [`TooDeep`], which is then in the log.
    pub fn subrequest(self: &Rc<Self>, sub: Subrequest) -> Result<Rc<Self>, TooDeep> {
        if self.subrequests_left == 0 {
            return self.too_deep("subrequests cycle while processing \"", &sub.uri);
        }
        if self.sub.as_ref().is_some_and(|sub| sub.in_memory) {
            return self.too_deep("nested in-memory subrequest \"", &sub.uri);
        }
        let main = self.main.clone().unwrap_or_else(|| self.clone());
        let shares_body = sub.with_body && self.body.stored().is_some();
        let (location, content) = match sub.cloned {
            true => (self.location.get(), self.content.get()),
            false => (self.server().base, None),
        };
        let captures = if sub.cloned { self.captures.borrow().clone() } else { Captures::default() };
        Ok(Rc::new(Self {
            local: self.local.clone(),
            connection: self.connection.clone(),
            head: self.head.clone(),
            headers: RefCell::new(self.headers.borrow().clone()),
            host: RefCell::new(self.host.borrow().clone()),
            method: Cell::new(sub.method.unwrap_or(Method::Get)),
            uri: RefCell::new(sub.uri.clone()),
            args: RefCell::new(sub.args.clone()),
            args_are_set: Cell::new(false),
            unchanged_uri: Cell::new(sub.cloned && self.unchanged_uri.get()),
            uri_changed: Cell::new(false),
            uri_changes_left: Cell::new(URI_CHANGES),
            subrequests_left: self.subrequests_left - 1,
            valid_location: Cell::new(!sub.cloned || self.valid_location.get()),
            add_uri_to_alias: Cell::new(false),
            expect_settled: Cell::new(true),
            internal: Cell::new(true),
            error_page: Cell::new(false),
            error_status: Cell::new(0),
            out: Outgoing::default(),
            body: if shares_body { self.body.share() } else { RequestBody::none() },
            pipelined: main.pipelined,
            client: if sub.beside { None } else { main.client.clone() },
            main: Some(main),
            sub: Some(Box::new(sub)),
            start: super::clock::now(),
            counted: Cell::default(),
            server: Cell::new(self.server.get()),
            location: Cell::new(location),
            content: Cell::new(content),
            logging: Cell::new(false),
            post_action: Cell::new(false),
            variables: VarSlots::default(),
            captures: RefCell::new(captures),
            contexts: RefCell::default(),
            lasting: RefCell::default(),
        }))
    }

    fn too_deep<T>(&self, sentence: &str, uri: &[u8]) -> Result<T, TooDeep> {
        self.log_with(Level::Error, |line| {
            line.put(sentence).bytes(uri).put('"');
        });
        Err(TooDeep)
    }

    /// The compiled configuration.
    pub fn cycle(&self) -> &Cycle {
        &self.local.cycle
    }

    /// The server block.
    pub fn server(&self) -> &Server {
        self.cycle().server(self.server.get())
    }

    /// Moves to another server block, before a location is found.
    pub fn set_server(&self, server: ServerId) {
        self.server.set(server);
        self.location.set(self.cycle().server(server).base);
    }

    /// The location, or the server block's own values before one is found.
    pub fn location(&self) -> &Location {
        self.cycle().location(self.location.get())
    }

    /// The location's number.
    pub fn location_id(&self) -> LocationId {
        self.location.get()
    }

    /// Moves to another location, without what nginx settles on entry: see [`Self::enter`].
    pub fn set_location(&self, location: LocationId) {
        self.location.set(location);
    }

    /// What the system knows of the TCP connection, where it is one.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.client.as_ref()?.tcp_info()
    }

    /// Ends when the client has closed its side of the connection; never, where that cannot be known.
    pub async fn client_gone(&self) {
        match &self.client {
            Some(client) if !self.post_action.get() => std::future::poll_fn(|cx| client.poll_gone(cx)).await,
            _ => std::future::pending().await,
        }
    }

    /// Whether it is the client's own request and not a subrequest.
    pub fn is_main(&self) -> bool {
        self.main.is_none()
    }

    /// The client's own request.
    pub fn main(self: &Rc<Self>) -> &Rc<Self> {
        self.main.as_ref().unwrap_or(self)
    }

    /// The first header of a name.
    pub fn header(&self, id: HeaderId) -> Option<Ref<'_, [u8]>> {
        Ref::filter_map(self.headers.borrow(), |headers| headers.get(id)).ok()
    }

    /// The values found or assigned so far.
    pub(super) fn variables(&self) -> &VarSlots {
        &self.main.as_deref().unwrap_or(self).variables
    }

    /// Keeps what a regular expression captured.
    pub fn set_captures(&self, captures: Captures) {
        *self.captures.borrow_mut() = captures;
    }

    /// The request has been answered, and counts no more.
    pub fn end_count(&self) {
        self.counted.take();
    }

    /// Takes what another request has captured.
    pub(super) fn share_captures(&self, other: &Self) {
        *self.captures.borrow_mut() = other.captures.borrow().clone();
    }

    /// Tells the upstream machinery that a filter has refused its answer.
    pub fn refuse_upstream(&self) {
        if let Some(upstream) = self.out.upstream.borrow().clone() {
            upstream.refuse();
        }
    }

    /// Ends what upstreams have begun, before the request is logged.
    pub fn finish_upstream(&self) {
        let upstream = self.out.upstream.borrow().clone();
        if let Some(upstream) = upstream {
            upstream.finish(self);
        }
    }

    /// Appends `$1` … `$9`.
    pub fn append_capture(&self, group: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(self.captures.borrow().slice(usize::from(group)));
    }

    /// The same, escaped as arguments.
    pub fn append_escaped_capture(&self, group: u8, out: &mut Vec<u8>) {
        append_escaped(self.captures.borrow().slice(usize::from(group)), Escape::Args, out);
    }

    /// Whether the path, as the client sent it, held `%` or `+`: captures of it are then escaped again
    /// in arguments and redirects.
    pub fn has_quoted_path(&self) -> bool {
        let path_end = memchr::memchr2(b'?', b'#', self.head.target()).unwrap_or(self.head.target().len());
        self.is_main() && memchr::memchr2(b'%', b'+', &self.head.target()[..path_end]).is_some()
    }

    /// A module's state for this request, made on first use.
    pub fn context<T: Default + 'static>(&self) -> Rc<T> {
        typed_entry(&self.contexts)
    }

    /// A module's state for this request, if it has any.
    pub fn find_context<T: 'static>(&self) -> Option<Rc<T>> {
        find_entry(&self.contexts)
    }

    /// Puts a module's state for this request in place of the one it had.
    pub fn set_context<T: 'static>(&self, value: Rc<T>) {
        let mut contexts = self.contexts.borrow_mut();
        contexts.retain(|(id, _)| *id != TypeId::of::<T>());
        contexts.push((TypeId::of::<T>(), value));
    }

    /// A module's state for the main request that internal redirects do not touch, made on first use.
    pub fn lasting<T: Default + 'static>(&self) -> Rc<T> {
        typed_entry(&self.main.as_deref().unwrap_or(self).lasting)
    }

    /// The same, if there is any.
    pub fn find_lasting<T: 'static>(&self) -> Option<Rc<T>> {
        find_entry(&self.main.as_deref().unwrap_or(self).lasting)
    }

    /// Forgets what modules kept, as an internal redirect does.
    pub fn clear_contexts(&self) {
        self.contexts.borrow_mut().clear();
    }

    /// Gives the request another URI; what stood in the request line no longer speaks for it.
    pub fn set_uri(&self, uri: Vec<u8>) {
        *self.uri.borrow_mut() = uri;
        self.unchanged_uri.set(false);
    }

    /// Sets the `Location` of the redirect that is about to be finalized.
    pub fn redirect_to(&self, target: &[u8]) {
        self.out.pending.borrow_mut().set(HeaderId::Location, target);
    }

    /// Sends the client to a path, which is escaped already, with the arguments that it gave.
    pub fn moved_to(&self, mut path: Vec<u8>) -> Flow {
        let args = self.args.borrow();
        if !args.is_empty() {
            path.push(b'?');
            path.extend_from_slice(&args);
        }
        self.redirect_to(&path);
        Flow::Finalize(301)
    }
}

/// What a connection hands over for a new request.
pub struct Incoming {
    /// The head as it came.
    pub head: Head,
    /// The headers.
    pub headers: Headers,
    /// The host asked for, checked and in lower case.
    pub host: Vec<u8>,
    /// The path, normalised.
    pub uri: Vec<u8>,
    /// The arguments without `?`.
    pub args: Vec<u8>,
    /// The server block chosen so far.
    pub server: ServerId,
    /// The body.
    pub body: RequestBody,
    /// Whether it was read along with the request before it.
    pub pipelined: bool,
    /// The client.
    pub client: Option<Rc<dyn Client>>,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// When the first byte was read.
    pub start: Instant,
    /// It counts as being answered until it is logged.
    pub counted: Option<Counted>,
}
