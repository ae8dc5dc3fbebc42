//! `index`: what a directory is answered with. <https://nginx.org/en/docs/http/ngx_http_index_module.html>

use std::rc::Rc;

use bytes::Bytes;

use super::static_files::opening;
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{FileFault, Flow, Method, Phase, PhaseHandler, Request, Script};
use crate::log::Level;

/// `ngx_http_index_module`.
pub struct Index;

/// The names of one block, in the order in which they are tried.
#[derive(Default)]
pub struct Conf {
    names: Vec<Script>,
}

impl Module for Index {
    type Conf = Conf;
    const NAME: &'static str = "http_index";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("index", add_names)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.names.inherit(&parent.names);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let names = match &conf.names[..] {
            [] => Box::from([Script::constant(Bytes::from_static(b"index.html"))]),
            names => names.into(),
        };
        location.on(Phase::Content, Handler { names });
    }
}

fn add_names(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    for index in 1..args.len() {
        let name = args.value(index);
        if name.is_empty() {
            let message = "index \"\" in \"index\" directive is invalid";
            return Err(args.error(index, "invalid-value", message));
        }
        if name.starts_with(b"/") && index != args.len() - 1 {
            let message = "only the last index in \"index\" directive should be absolute";
            ctx.complain_in(args.directive(), Diagnostic::warning("absolute-index", message).at(args.word(index).span));
        }
        c.names.push(ctx.script(args.word(index))?);
    }
    Ok(())
}

struct Handler {
    names: Box<[Script]>,
}

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !r.uri.borrow().ends_with(b"/") || !matches!(r.method.get(), Method::Get | Method::Head | Method::Post) {
            return Flow::Declined;
        }
        self.search(r).unwrap_or_else(Flow::Finalize)
    }
}

impl Handler {
    fn search(&self, r: &Request) -> Result<Flow, u16> {
        let mut path = Vec::new();
        let mut folder = 0;
        for (number, name) in self.names.iter().enumerate() {
            let name = name.eval(r);
            if name.starts_with(b"/") {
                return Ok(redirect(r, Vec::new(), &name));
            }
            if path.is_empty() {
                path = r.map_uri().ok_or(500u16)?;
                folder = path.len();
            }
            path.truncate(folder);
            path.extend_from_slice(&name);
            match opening::stat(r, &path) {
                Ok(_) => return Ok(redirect(r, r.uri.borrow().clone(), &name)),
                Err(fault) => check_missing(r, &path, folder, number == 0, &fault)?,
            }
        }
        Ok(Flow::Declined)
    }
}

fn redirect(r: &Request, mut uri: Vec<u8>, name: &[u8]) -> Flow {
    uri.extend_from_slice(name);
    Flow::Redirect { uri, args: r.args.borrow().clone() }
}

/// A name that is not there lets the next one be tried, but only below a directory that is.
fn check_missing(r: &Request, path: &[u8], folder: usize, first: bool, fault: &FileFault) -> Result<(), u16> {
    match fault.errno() {
        libc::EMLINK | libc::ELOOP => return Err(403),
        libc::ENOTDIR | libc::ENAMETOOLONG | libc::EACCES => return Err(complain(r, path, fault)),
        _ => {}
    }
    if first {
        check_folder(r, path, folder)?;
    }
    if fault.errno() == libc::ENOENT {
        return Ok(());
    }
    r.log_with(Level::Crit, |line| {
        line.put(fault.call).put(" \"").bytes(path).put("\" failed").error(&fault.error);
    });
    Err(500)
}

fn check_folder(r: &Request, path: &[u8], end: usize) -> Result<(), u16> {
    // An `alias` need not end in a slash.
    let end = if end > 1 && path[end - 1] == b'/' { end - 1 } else { end };
    let folder = &path[..end];
    let fault = match opening::stat(r, folder) {
        Ok(stat) if stat.is_dir() => return Ok(()),
        Ok(_) => {
            r.log_with(Level::Alert, |line| {
                line.put('"').bytes(path).put("\" is not a directory");
            });
            return Err(500);
        }
        Err(fault) => fault,
    };
    match fault.errno() {
        libc::EMLINK | libc::ELOOP => Err(403),
        libc::ENOENT => Err(complain(r, path, &fault)),
        // The file above gave another error than this one, so that the directory can be searched.
        libc::EACCES => Ok(()),
        _ => {
            r.log_with(Level::Crit, |line| {
                line.put(fault.call).put(" \"").bytes(folder).put("\" failed").error(&fault.error);
            });
            Err(500)
        }
    }
}

fn complain(r: &Request, path: &[u8], fault: &FileFault) -> u16 {
    let forbidden = fault.errno() == libc::EACCES;
    if forbidden || r.location().core.log_not_found {
        let sentence = if forbidden { "\" is forbidden" } else { "\" is not found" };
        r.log_with(Level::Error, |line| {
            line.put('"').bytes(path).put(sentence).error(&fault.error);
        });
    }
    if forbidden { 403 } else { 404 }
}
