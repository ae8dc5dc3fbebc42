//! Static files: what answers where nothing else does. <https://nginx.org/en/docs/http/ngx_http_core_module.html#root>

mod cache;
mod open_cache;
pub(super) mod opening;
mod symlinks;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use bytes::Bytes;

use self::cache::{Cache, Entry};
use crate::conf::{Command, LocationBuilder, Module};
use crate::http::{
    Body, Escape, FileFault, FileKind, FileRange, FileStat, Flow, HeaderId, Headers, Method, OpenedFile, Phase,
    PhaseHandler, Request, Response, doing, escape, read_range,
};
use crate::log::Level;

/// `ngx_http_static_module`.
pub struct StaticFiles;

impl Module for StaticFiles {
    type Conf = opening::Conf;
    const NAME: &'static str = "http_static";
    const ALSO: &'static [&'static str] = &["http_core"];
    const COMMANDS: &'static [Command<opening::Conf>] = opening::COMMANDS;

    fn merge(parent: &opening::Conf, conf: &mut opening::Conf) {
        conf.inherit(parent);
    }

    fn install(conf: &opening::Conf, location: &mut LocationBuilder<'_, '_>) {
        conf.install(location);
        location.on(Phase::Content, Handler);
    }
}

/// Files up to this size are read into memory and go out together with the head; above it, two calls with
/// sendfile cost less than copying (measured at 10 and 100 KB).
const SMALL: u64 = 32 << 10;

struct Handler;

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let method = r.method.get();
        if !matches!(method, Method::Get | Method::Head | Method::Post) {
            return Flow::Finalize(405);
        }
        if r.uri.borrow().ends_with(b"/") {
            return Flow::Declined;
        }
        let Some(path) = r.map_uri() else { return Flow::Finalize(500) };
        if method != Method::Post
            && let Some(response) = recall(r, &path)
        {
            return Flow::respond(response);
        }
        let opened = match opening::open(r, &path) {
            Ok(opened) => opened,
            Err(fault) => return refuse(r, &path, &fault),
        };
        match opened.stat.kind {
            FileKind::Directory => add_slash(r),
            FileKind::Other => refuse_kind(r, &path),
            FileKind::File if method == Method::Post => Flow::Finalize(405),
            FileKind::File => Flow::respond(respond(r, &path, opened)),
        }
    }
}

/// Says in the log why a file cannot be sent, and with which status the client is told.
fn refuse(r: &Request, path: &[u8], fault: &FileFault) -> Flow {
    let (status, level) = match fault {
        _ if fault.is_absence() => (404, Level::Error),
        _ if fault.is_refusal() => (403, Level::Error),
        _ => (500, Level::Crit),
    };
    if status != 404 || r.location().core.log_not_found {
        r.log_with(level, |line| {
            line.put(fault.call).put(" \"").bytes(path).put("\" failed").error(&fault.error);
        });
    }
    Flow::Finalize(status)
}

/// Only regular files are sent.
pub(super) fn refuse_kind(r: &Request, path: &[u8]) -> Flow {
    r.log_with(Level::Crit, |line| {
        line.put('"').bytes(path).put("\" is not a regular file");
    });
    Flow::Finalize(404)
}

/// A response of an open file. What is small is read, and kept for the next time.
pub(super) fn respond(r: &Request, path: &[u8], opened: OpenedFile) -> Response {
    let stat = &opened.stat;
    let etag = etag(stat);
    let mut response = head(r, stat, &etag);
    let Some(file) = opened.file.filter(|_| r.method.get() != Method::Head) else { return response };
    response.body = match read_small(&file, stat) {
        Some(bytes) => {
            r.local.state.get::<Cache>().insert(path, stat, etag, &bytes);
            Body::Bytes(bytes)
        }
        None => Body::File(FileRange { file, start: 0, end: stat.size }),
    };
    response
}

/// `None` where the file is large, or is being written to.
fn read_small(file: &OwnedFd, stat: &FileStat) -> Option<Bytes> {
    let length = usize::try_from(stat.size).ok().filter(|_| stat.size <= SMALL)?;
    let bytes = read_range(file, 0, length).ok()?;
    (bytes.len() == length).then(|| bytes.into())
}

/// A response of a file that was sent lately and is still what it was.
pub(super) fn recall(r: &Request, path: &[u8]) -> Option<Response> {
    let cache = r.local.state.get::<Cache>();
    let entry = cache.find(path)?;
    match opening::stat(r, path) {
        Ok(stat) if stat == entry.stat => Some(respond_again(r, &entry)),
        _ => {
            cache.remove(path);
            None
        }
    }
}

fn respond_again(r: &Request, entry: &Entry) -> Response {
    let mut response = head(r, &entry.stat, &entry.etag);
    if r.method.get() != Method::Head {
        response.body = Body::Bytes(entry.bytes.clone());
    }
    response
}

/// A response of a file, without its body.
fn head(r: &Request, stat: &FileStat, etag: &[u8]) -> Response {
    r.set_doing(doing::SENDING_RESPONSE);
    let core = &r.location().core;
    let content_type = core.type_of(r.extension().as_deref());
    let mut headers = Headers::with_capacity(4, 96);
    if core.etag {
        headers.push_id(HeaderId::ETag, etag);
    }
    Response {
        status: 200,
        content_type: (!content_type.is_empty()).then(|| content_type.clone()),
        content_length: Some(stat.size),
        last_modified: Some(stat.mtime),
        file: Some(*stat),
        headers,
        allow_ranges: true,
        ..Response::default()
    }
}

/// The entity tag of a file: time and size in hexadecimal.
fn etag(stat: &FileStat) -> Bytes {
    let mut etag = Vec::with_capacity(20);
    write!(etag, "\"{:x}-{:x}\"", stat.mtime, stat.size).expect("a Vec takes every write");
    etag.into()
}

/// A directory is asked for with a slash behind it.
fn add_slash(r: &Request) -> Flow {
    let uri = r.uri.borrow();
    let mut target = Vec::with_capacity(uri.len() + 1);
    escape::append_escaped(&uri, Escape::Uri, &mut target);
    target.push(b'/');
    r.moved_to(target)
}
