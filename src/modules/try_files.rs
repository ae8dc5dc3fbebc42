//! `try_files`: the first file that is there, or else another place. <https://nginx.org/en/docs/http/ngx_http_core_module.html#try_files>

use std::rc::Rc;

use super::static_files::opening;
use crate::conf::{Args, Command, Ctx, LocationBuilder, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::uri::split_args;
use crate::http::{Flow, Phase, PhaseHandler, Request, Root, Script};
use crate::log::Level;

/// `ngx_http_try_files_module`.
pub struct TryFiles;

/// One block's `try_files`. It is not inherited.
#[derive(Default)]
pub struct Conf {
    tries: Option<Tries>,
}

#[derive(Clone)]
struct Tries {
    candidates: Vec<Candidate>,
    otherwise: Otherwise,
}

/// A file, or a directory where a slash was written behind it.
#[derive(Clone)]
struct Candidate {
    name: Script,
    folder: bool,
}

#[derive(Clone)]
enum Otherwise {
    /// `=404`
    Status(u16),
    /// A URI, or `@name`.
    Place(Script),
}

impl Module for TryFiles {
    type Conf = Conf;
    const NAME: &'static str = "http_try_files";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("try_files", set_tries)];

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(tries) = &conf.tries {
            let candidates = tries.candidates.clone().into();
            location.on(Phase::Precontent, Handler { candidates, otherwise: tries.otherwise.clone() });
        }
    }
}

fn set_tries(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if c.tries.is_some() {
        return Err(args.duplicate());
    }
    let last = args.len() - 1;
    let candidates = (1..last).map(|index| candidate(args, index, ctx)).collect::<Result<_, _>>()?;
    let otherwise = match args.value(last).strip_prefix(b"=") {
        Some(code) => Otherwise::Status(status(args, last, code)?),
        None => Otherwise::Place(ctx.script(args.word(last))?),
    };
    c.tries = Some(Tries { candidates, otherwise });
    Ok(())
}

fn candidate(args: &Args<'_>, index: usize, ctx: &mut Ctx<'_>) -> Result<Candidate, Diagnostic> {
    let folder = args.value(index).strip_suffix(b"/");
    let name = ctx.script_from(args.word(index), folder.unwrap_or(args.value(index)))?;
    Ok(Candidate { name, folder: folder.is_some() })
}

fn status(args: &Args<'_>, index: usize, code: &[u8]) -> Result<u16, Diagnostic> {
    let digits = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    let status = digits.and_then(|code| code.parse().ok()).filter(|status| *status <= 999);
    status.ok_or_else(|| args.error(index, "invalid-value", format!("invalid code \"{}\"", args.text(index))))
}

struct Handler {
    candidates: Box<[Candidate]>,
    otherwise: Otherwise,
}

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let Some(root) = r.map_root() else { return Flow::Finalize(500) };
        let start = root.len();
        let mut path = root;
        for candidate in &self.candidates {
            path.truncate(start);
            append_name(r, &candidate.name, &mut path);
            r.log_with(Level::Debug, |line| {
                let kind = if candidate.folder { "directory" } else { "file" };
                line.put("trying ").put(kind).put(" \"").bytes(&path).put('"');
            });
            if is_there(r, &path, candidate.folder) {
                settle(r, &path[start..], candidate.folder);
                return Flow::Declined;
            }
        }
        match &self.otherwise {
            Otherwise::Status(status) => Flow::Finalize(*status),
            Otherwise::Place(place) => {
                path.truncate(start);
                append_name(r, place, &mut path);
                go_to(r, &path[start..])
            }
        }
    }
}

/// Names with variables mostly hold a URI, from which an `alias` takes the location's name.
fn append_name(r: &Request, name: &Script, path: &mut Vec<u8>) {
    let start = path.len();
    name.append(r, path);
    let core = &r.location().core;
    if name.as_constant().is_some() || !matches!(core.root, Root::Alias(_)) || core.alias_prefix == usize::MAX {
        return;
    }
    if r.uri.borrow().get(..core.alias_prefix).is_some_and(|prefix| path[start..].starts_with(prefix)) {
        path.drain(start..start + core.alias_prefix);
    }
}

fn is_there(r: &Request, path: &[u8], folder: bool) -> bool {
    match opening::stat(r, path) {
        Ok(stat) => stat.is_dir() == folder,
        Err(fault) => {
            if !fault.is_absence() {
                r.log_with(Level::Crit, |line| {
                    line.put(fault.call).put(" \"").bytes(path).put("\" failed").error(&fault.error);
                });
            }
            false
        }
    }
}

/// Makes the URI what was found. What stood in the request line still speaks for it, as in nginx.
fn settle(r: &Request, name: &[u8], folder: bool) {
    let core = &r.location().core;
    let mut uri = r.uri.borrow_mut();
    match core.root {
        Root::Root(_) => *uri = name.to_vec(),
        Root::Alias(_) if core.alias_prefix == usize::MAX => {
            if !folder {
                *uri = name.to_vec();
                r.add_uri_to_alias.set(true);
            }
        }
        Root::Alias(_) => {
            uri.truncate(core.alias_prefix);
            uri.extend_from_slice(name);
        }
    }
}

fn go_to(r: &Request, place: &[u8]) -> Flow {
    if let Some(name) = place.strip_prefix(b"@") {
        return Flow::Named(name.to_vec());
    }
    let (uri, args) = split_args(place);
    r.args_are_set.set(true);
    Flow::Redirect { uri: uri.to_vec(), args: args.unwrap_or_default().to_vec() }
}
