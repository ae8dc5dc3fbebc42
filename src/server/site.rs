//! A compiled site that another program mounts: a `tower::Service` over requests of the `http` crate.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use super::exchange::exchange;
use super::thread::begin_background;
use crate::cache::Keeper;
use crate::conf::Resources;
use crate::diag::Diagnostic;
use crate::http::date::DateCache;
use crate::http::{Connection, Cycle, Local, ThreadState, User, clock};
use crate::load::{self, Disk, Loaded, Options, Sources, Supply};
use crate::log::{ErrorLog, Level, LogFile, Sink};
use crate::paths::{Given, Layout, Paths};
use crate::schema::Schema;
use crate::upstream::resolve_host;
use crate::{check, cycle, modules};

/// A site: a configuration compiled and running on a thread of its own, without listening sockets.
///
/// The configuration may be whole, a site file, or bare locations, as with `-c`. What it says about processes
/// and sockets is not done; everything that happens to a request is. The server is chosen by the request's host
/// among those of the first `listen`.
///
/// A site may be cloned and called from any thread and any executor; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Site {
    jobs: mpsc::UnboundedSender<Job>,
}

/// The same, by the name that a stack of layers knows it by.
pub type SiteService = Site;

/// Why a site could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The configuration has errors; the text says each with its file and line.
    #[error("{0}")]
    Configuration(String),
    /// The site's thread could not be started.
    #[error("the site's thread could not be started")]
    Thread(#[source] io::Error),
}

struct Job {
    request: http::Request<UnsyncBoxBody<Bytes, BoxError>>,
    reply: oneshot::Sender<http::Response<SiteBody>>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Site {
    /// Compiles a configuration file.
    ///
    /// # Errors
    /// [`SiteError`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SiteError> {
        let path = std::path::absolute(path).map_err(SiteError::Thread)?;
        let mut options = Options::new(path.to_string_lossy());
        options.supply = quiet();
        let (loaded, diagnostics) = load::load(&Disk, Schema::nginx(), &options);
        Self::compile(loaded, diagnostics, &path)
    }

    /// Compiles a configuration's text; relative paths in it stand under the current folder.
    ///
    /// # Errors
    /// [`SiteError`].
    pub fn from_text(text: &str) -> Result<Self, SiteError> {
        let path = std::path::absolute("site.conf").map_err(SiteError::Thread)?;
        let name = path.to_string_lossy();
        let files = load::Memory::default().with(&*name, text);
        let mut options = Options::new(&*name);
        options.supply = quiet();
        let (loaded, diagnostics) = load::load(&files, Schema::nginx(), &options);
        Self::compile(loaded, diagnostics, &path)
    }

    fn compile(mut loaded: Loaded, mut diagnostics: Vec<Diagnostic>, path: &Path) -> Result<Self, SiteError> {
        let checked = check::check(&loaded, Schema::nginx(), &modules::runs, &mut diagnostics);
        checked.prune(&mut loaded.root);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let given = Given { prefix: Some(folder.as_os_str()), conf: Some(path.as_os_str()), error_log: None };
        let paths = Paths::new(Layout::SOURCE, given);
        let log = Arc::new(ErrorLog::to(Sink::Stderr, Level::Error));
        let compiled = cycle::compile(&loaded, &paths, log, &mut OpenFiles::default());
        diagnostics.extend(compiled.diagnostics);
        let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == crate::diag::Severity::Error);
        match compiled.cycle {
            Some(cycle) if !failed => Self::start(cycle).map_err(SiteError::Thread),
            _ => Err(SiteError::Configuration(told(&diagnostics, &loaded.sources))),
        }
    }

    fn start(cycle: Arc<Cycle>) -> io::Result<Self> {
        let (jobs, received) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("rnginx site".into()).spawn(move || {
            let log = cycle.error_log.clone();
            if let Err(error) = run(cycle, received) {
                log.say_error(Level::Alert, &error, "could not start a site's thread");
            }
        })?;
        Ok(Self { jobs })
    }
}

/// Nothing is written where the program around it does not ask for it.
fn quiet() -> Supply {
    Supply { pid: None, error_log: None, access_log: Some("off".into()) }
}

/// The errors, a line each, as nginx says them.
fn told(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let line = |diagnostic: &Diagnostic| match diagnostic.nginx_at {
        Some(span) => format!("{} in {}", diagnostic.message, sources.place(span)),
        None => diagnostic.message.clone(),
    };
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == crate::diag::Severity::Error);
    errors.map(line).collect::<Vec<_>>().join("\n")
}

fn run(cycle: Arc<Cycle>, mut jobs: mpsc::UnboundedReceiver<Job>) -> io::Result<()> {
    let runtime =
        Builder::new_current_thread().enable_all().on_thread_unpark(clock::turn).build_local(LocalOptions::default())?;
    let keeper = Keeper::default();
    keeper.keep(&cycle);
    let local = Rc::new(Local { cycle, engine: cycle::ENGINE, state: Rc::new(ThreadState::default()) });
    let dates = Rc::new(std::cell::RefCell::new(DateCache::new()));
    runtime.block_on(async move {
        begin_background(&local);
        while let Some(job) = jobs.recv().await {
            let (local, dates) = (local.clone(), dates.clone());
            tokio::task::spawn_local(async move { answer(local, job, &dates).await });
        }
    });
    keeper.end();
    Ok(())
}

async fn answer(local: Rc<Local>, job: Job, dates: &std::cell::RefCell<DateCache>) {
    let connection = Rc::new(connection(job.request.extensions().get::<SocketAddr>().copied()));
    let Some(response) = exchange(local, connection, job.request, dates).await else { return };
    let (parts, mut body) = response.into_parts();
    let (frames, received) = mpsc::channel(4);
    let hint = body.size_hint();
    if job.reply.send(http::Response::from_parts(parts, SiteBody { frames: received, hint })).is_err() {
        return;
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|cut| io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

/// A connection that nobody accepted; the client's address is the request's `SocketAddr` extension.
fn connection(peer: Option<SocketAddr>) -> Connection {
    Connection::new(0, peer)
}

impl<B> tower::Service<http::Request<B>> for Site
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<SiteBody>;
    type Error = Infallible;
    type Future = SiteFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> SiteFuture {
        let request = request.map(|body| UnsyncBoxBody::new(body.map_err(Into::into)));
        let (reply, answer) = oneshot::channel();
        // Where the site's thread is gone the reply is dropped, and the caller gets a 502.
        let _ = self.jobs.send(Job { request, reply });
        SiteFuture(answer)
    }
}

/// A site's answer to come.
#[derive(Debug)]
pub struct SiteFuture(oneshot::Receiver<http::Response<SiteBody>>);

impl Future for SiteFuture {
    type Output = Result<http::Response<SiteBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| Ok(answer.unwrap_or_else(|_| no_answer())))
    }
}

/// What stands for an answer where nginx would close the connection (`return 444`).
fn no_answer() -> http::Response<SiteBody> {
    let (_, frames) = mpsc::channel(1);
    let mut response = http::Response::new(SiteBody { frames, hint: http_body::SizeHint::with_exact(0) });
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    response
}

/// The body of a site's answer.
#[derive(Debug)]
pub struct SiteBody {
    frames: mpsc::Receiver<io::Result<Frame<Bytes>>>,
    hint: http_body::SizeHint,
}

impl HttpBody for SiteBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames.poll_recv(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.hint
    }
}

/// Opens logs for a site that no master stands behind.
#[derive(Default)]
struct OpenFiles(Vec<(PathBuf, Arc<LogFile>)>);

impl Resources for OpenFiles {
    fn log_file(&mut self, path: &Path) -> io::Result<Arc<LogFile>> {
        if let Some((_, open)) = self.0.iter().find(|(known, _)| known == path) {
            return Ok(open.clone());
        }
        let open = Arc::new(LogFile::open(path)?);
        self.0.push((path.into(), open.clone()));
        Ok(open)
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn user(&mut self, user: &str, _group: Option<&str>) -> io::Result<Option<User>> {
        // The program that mounts the site has its user already.
        Ok(Some(User { name: user.into(), uid: 0, gid: 0 }))
    }

    fn host(&mut self, name: &[u8]) -> Option<Vec<IpAddr>> {
        resolve_host(name)
    }

    fn superuser(&self) -> bool {
        rustix::process::geteuid().is_root()
    }
}
