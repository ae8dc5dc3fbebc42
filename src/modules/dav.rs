//! `dav_methods`: files are written, made, copied, moved and deleted (RFC 4918). <https://nginx.org/en/docs/http/ngx_http_dav_module.html>

mod put;
mod transfer;

use std::io;
use std::rc::Rc;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::http::disk as files;
use crate::http::escape::{Escape, escaped};
use crate::http::{Flow, HeaderId, Method, Phase, PhaseHandler, Request};
use crate::log::Level;
use crate::schema::value;

/// `ngx_http_dav_module`.
pub struct Dav;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    methods: Option<u32>,
    create_full_path: Option<bool>,
    min_delete_depth: Option<u64>,
    access: Option<u32>,
}

const METHODS: &[(&str, u32)] = &[
    ("off", 0),
    ("put", Method::Put.bit()),
    ("delete", Method::Delete.bit()),
    ("mkcol", Method::Mkcol.bit()),
    ("copy", Method::Copy.bit()),
    ("move", Method::Move.bit()),
];

impl Module for Dav {
    type Conf = Conf;
    const NAME: &'static str = "http_dav";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("dav_methods", |c, args, _| {
            c.methods = Some(c.methods.unwrap_or(0) | args.bits(METHODS)?);
            Ok(())
        }),
        Command::flag("create_full_put_path", |c| &mut c.create_full_path),
        Command::number("min_delete_depth", |c| &mut c.min_delete_depth),
        Command::custom("dav_access", set_access),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.methods.inherit(&parent.methods);
        conf.create_full_path.inherit(&parent.create_full_path);
        conf.min_delete_depth.inherit(&parent.min_delete_depth);
        conf.access.inherit(&parent.access);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let methods = conf.methods.unwrap_or(0);
        if methods != 0 {
            let rules = Rules {
                methods,
                create_full_path: conf.create_full_path.unwrap_or(false),
                min_delete_depth: conf.min_delete_depth.unwrap_or(0),
                access: conf.access.unwrap_or(0o600),
            };
            location.on(Phase::Content, Handler(rules));
        }
    }
}

fn set_access(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.access, args, || {
        let words = args.words().iter().map(|word| &word.value[..]);
        value::access(words).map_err(|index| {
            args.error(index + 1, "invalid-value", format!("invalid value \"{}\"", args.text(index + 1)))
        })
    })
}

/// What is allowed in a location.
#[derive(Clone, Copy)]
struct Rules {
    methods: u32,
    create_full_path: bool,
    min_delete_depth: u64,
    /// Permissions of new files.
    access: u32,
}

impl Rules {
    /// Permissions of new folders: who may read may search.
    fn folder_access(self) -> u32 {
        folder_access(self.access)
    }
}

fn folder_access(access: u32) -> u32 {
    access | (access & 0o444) >> 2
}

struct Handler(Rules);

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let method = r.method.get();
        if self.0.methods & method.bit() == 0 {
            return Flow::Declined;
        }
        let answer = match method {
            Method::Put => return put::put(r, self.0),
            Method::Delete => delete(r, self.0),
            Method::Mkcol => make_collection(r, self.0),
            Method::Copy | Method::Move => transfer::transfer(r, self.0),
            _ => return Flow::Declined,
        };
        match answer {
            Ok(status) | Err(status) => Flow::Finalize(status),
        }
    }
}

/// A status: what was done, or what hindered it.
type Answer = Result<u16, u16>;

fn refuse<T>(r: &Request, status: u16, why: &str) -> Result<T, u16> {
    r.log(Level::Error, why);
    Err(status)
}

/// Refuses a body where none has a meaning.
fn refuse_body(r: &Request, why: &str) -> Result<(), u16> {
    let none = r.body.declared_length().map_or(!r.body.exists(), |length| length == 0);
    if none { Ok(()) } else { refuse(r, 415, why) }
}

/// Says in the log which call failed; the status to answer with, where `missing` stands for nothing being there.
fn fail(r: &Request, call: &str, path: &[u8], error: &io::Error, missing: u16) -> u16 {
    let (level, status) = match error.raw_os_error().unwrap_or(0) {
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => (Level::Error, missing),
        libc::EACCES | libc::EPERM => (Level::Error, 403),
        libc::EEXIST => (Level::Error, 405),
        libc::ENOSPC => (Level::Crit, 507),
        _ => (Level::Crit, 500),
    };
    r.log_with(level, |line| {
        line.put(call).put(" \"").bytes(path).put("\" failed").error(error);
    });
    status
}

/// `Depth`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
    Invalid,
}

fn depth(r: &Request, otherwise: Depth) -> Depth {
    let Some(header) = r.header(HeaderId::Depth) else { return otherwise };
    match &header[..] {
        b"0" => Depth::Zero,
        b"1" => Depth::One,
        b"infinity" => Depth::Infinity,
        other => {
            r.log_with(Level::Error, |line| {
                line.put("client sent invalid \"Depth\" header: \"").bytes(other).put('"');
            });
            Depth::Invalid
        }
    }
}

/// The `Location` of what was made.
fn set_location(r: &Request) {
    r.redirect_to(&escaped(&r.uri.borrow(), Escape::Uri));
}

fn make_collection(r: &Request, rules: Rules) -> Answer {
    refuse_body(r, "MKCOL with body is unsupported")?;
    if !r.uri.borrow().ends_with(b"/") {
        return refuse(r, 409, "MKCOL can create a collection only");
    }
    let mut path = r.map_uri().ok_or(500u16)?;
    path.pop();
    files::make_folder(&path, rules.folder_access()).map_err(|error| fail(r, "mkdir()", &path, &error, 409))?;
    set_location(r);
    Ok(201)
}

fn delete(r: &Request, rules: Rules) -> Answer {
    refuse_body(r, "DELETE with body is unsupported")?;
    check_delete_depth(r, rules.min_delete_depth)?;
    let path = r.map_uri().ok_or(500u16)?;
    let found = files::look_at(&path).map_err(|error| {
        let missing = if error.raw_os_error() == Some(libc::ENOTDIR) { 409 } else { 404 };
        fail(r, "lstat()", &path, &error, missing)
    })?;
    if found.is_dir() {
        if !r.uri.borrow().ends_with(b"/") {
            r.log_with(Level::Error, |line| {
                line.put("DELETE \"").bytes(&path).put("\" failed").errno(libc::EISDIR);
            });
            return Err(409);
        }
        if depth(r, Depth::Infinity) != Depth::Infinity {
            return refuse(r, 400, "\"Depth\" header must be infinity");
        }
    } else if !matches!(depth(r, Depth::Zero), Depth::Zero | Depth::Infinity) {
        return refuse(r, 400, "\"Depth\" header must be 0 or infinity");
    }
    delete_path(r, &path, found.is_dir())?;
    Ok(204)
}

/// `min_delete_depth`: how many segments the URI must have.
fn check_delete_depth(r: &Request, least: u64) -> Result<(), u16> {
    let uri = r.uri.borrow();
    let slashes = memchr::memchr_iter(b'/', &uri).count() as u64;
    let depth = if uri.ends_with(b"/") { slashes.saturating_sub(1) } else { slashes };
    if least == 0 || depth >= least {
        return Ok(());
    }
    r.log(Level::Error, format_args!("insufficient URI depth:{slashes} to DELETE"));
    Err(409)
}

fn delete_path(r: &Request, path: &[u8], folder: bool) -> Result<(), u16> {
    if !folder {
        return files::remove(path).map_err(|error| fail(r, "unlink()", path, &error, 404));
    }
    let inside = path.strip_suffix(b"/").unwrap_or(path);
    files::walk(r, inside, &mut |visit, path, _| {
        let (call, removed) = match visit {
            files::Visit::File | files::Visit::Other => ("unlink()", files::remove(path)),
            files::Visit::Behind => ("rmdir()", files::remove_folder(path)),
            files::Visit::Before => return,
        };
        if let Err(error) = removed {
            fail(r, call, path, &error, 0);
        }
    })?;
    files::remove_folder(path).map_err(|error| fail(r, "rmdir()", path, &error, 404))
}
