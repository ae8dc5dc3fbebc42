//! COPY and MOVE.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::{Answer, Depth, Rules, delete_path, depth, fail, folder_access, refuse, refuse_body};
use crate::http::disk as files;
use crate::http::uri::parse_unsafe;
use crate::http::{HeaderId, Method, Request, Root};
use crate::log::Level;

pub(super) fn transfer(r: &Request, rules: Rules) -> Answer {
    refuse_body(r, "COPY and MOVE with body are unsupported")?;
    let Some(destination) = r.header(HeaderId::Destination).map(|value| value.to_vec()) else {
        return refuse(r, 400, "client sent no \"Destination\" header");
    };
    let target_uri = target_uri(r, &destination)?;
    check_depth(r)?;
    let overwrite = overwrite(r)?;
    let from = r.map_uri().ok_or(500u16)?;
    let mut to = map(r, target_uri)?;
    let slash = to.ends_with(b"/");
    if slash {
        to.pop();
    }
    let replaced = check_target(r, &to, slash, overwrite, &destination)?;
    let found = files::look_at(&from).map_err(|error| fail(r, "lstat()", &from, &error, 404))?;
    if !found.is_dir() {
        return transfer_file(r, rules, &from, &to, &found);
    }
    if !r.uri.borrow().ends_with(b"/") {
        r.log_with(Level::Error, |line| {
            line.put('"').bytes(&r.uri.borrow()).put("\" is collection");
        });
        return Err(400);
    }
    if let Some(replaced) = replaced {
        delete_path(r, &to, replaced.is_dir())?;
    }
    transfer_folder(r, &from, &to, &found)
}

/// The path that `Destination` names, which must lie in this server.
fn target_uri(r: &Request, destination: &[u8]) -> Result<Vec<u8>, u16> {
    let invalid = || {
        r.log_with(Level::Error, |line| {
            line.put("client sent invalid \"Destination\" header: \"").bytes(destination).put('"');
        });
        400u16
    };
    let path = if destination.starts_with(b"/") { destination } else { path_behind_host(r, destination, invalid)? };
    let (target, _) = parse_unsafe(path).map_err(|_| {
        r.log_with(Level::Error, |line| {
            line.put("unsafe URI \"").bytes(path).put("\" was detected");
        });
        invalid()
    })?;
    let uri = r.uri.borrow();
    if uri.ends_with(b"/") != destination.ends_with(b"/") {
        r.log_with(Level::Error, |line| {
            line.put("both URI \"").bytes(&uri).put("\" and \"Destination\" URI \"").bytes(destination);
            line.put("\" should be either collections or non-collections");
        });
        return Err(409);
    }
    let core = &r.location().core;
    let alias = matches!(core.root, Root::Alias(_)) && core.alias_prefix != usize::MAX;
    if alias && target.len() < core.alias_prefix { Err(invalid()) } else { Ok(target.into_owned()) }
}

fn path_behind_host<'d>(r: &Request, destination: &'d [u8], invalid: impl Fn() -> u16) -> Result<&'d [u8], u16> {
    let host = r.host.borrow();
    if host.is_empty() {
        return refuse(r, 400, "client sent no \"Host\" header");
    }
    let scheme: &[u8] = if r.connection.is_secure() { b"https://" } else { b"http://" };
    let rest = destination.strip_prefix(scheme).ok_or_else(&invalid)?;
    let Some(rest) = rest.strip_prefix(&host[..]) else {
        r.log_with(Level::Error, |line| {
            line.put("\"Destination\" URI \"").bytes(destination);
            line.put("\" is handled by different repository than the source URI");
        });
        return Err(400);
    };
    let slash = memchr::memchr(b'/', rest).ok_or_else(invalid)?;
    Ok(&rest[slash..])
}

fn check_depth(r: &Request) -> Result<(), u16> {
    match (depth(r, Depth::Infinity), r.method.get()) {
        (Depth::Infinity, _) | (Depth::Zero, Method::Copy) => Ok(()),
        (_, Method::Copy) => refuse(r, 400, "\"Depth\" header must be 0 or infinity"),
        _ => refuse(r, 400, "\"Depth\" header must be infinity"),
    }
}

fn overwrite(r: &Request) -> Result<bool, u16> {
    let Some(header) = r.header(HeaderId::Overwrite) else { return Ok(true) };
    match &header[..] {
        b"T" | b"t" => Ok(true),
        b"F" | b"f" => Ok(false),
        other => {
            r.log_with(Level::Error, |line| {
                line.put("client sent invalid \"Overwrite\" header: \"").bytes(other).put('"');
            });
            Err(400)
        }
    }
}

/// The file of another URI of this location.
fn map(r: &Request, target: Vec<u8>) -> Result<Vec<u8>, u16> {
    let own = r.uri.replace(target);
    let path = r.map_uri();
    r.uri.replace(own);
    path.ok_or(500)
}

/// What stands where the target shall be, if it may be replaced.
fn check_target(
    r: &Request,
    to: &[u8],
    slash: bool,
    overwrite: bool,
    destination: &[u8],
) -> Result<Option<Metadata>, u16> {
    let found = match files::look_at(to) {
        Ok(found) => found,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(fail(r, "lstat()", to, &error, 404)),
    };
    if found.is_dir() && !slash {
        r.log_with(Level::Error, |line| {
            line.put('"').bytes(&r.uri.borrow()).put("\" could not be ").bytes(r.head.method_name());
            line.put("ed to collection \"").bytes(destination).put('"');
        });
        return Err(409);
    }
    if !overwrite {
        r.log_with(Level::Error, |line| {
            line.put('"').bytes(to).put("\" could not be created").errno(libc::EEXIST);
        });
        return Err(412);
    }
    Ok(Some(found))
}

fn transfer_file(r: &Request, rules: Rules, from: &[u8], to: &[u8], found: &Metadata) -> Answer {
    let done = match r.method.get() {
        Method::Move => files::move_to(r, from, to, Some(rules.folder_access())),
        _ => files::copy(r, from, to, found),
    };
    if done { Ok(204) } else { Err(500) }
}

fn transfer_folder(r: &Request, from: &[u8], to: &[u8], found: &Metadata) -> Answer {
    let moves = r.method.get() == Method::Move;
    if moves && files::rename(from, to).is_ok() {
        return Ok(201);
    }
    files::make_folder(to, found.mode() & 0o777).map_err(|error| fail(r, "mkdir()", to, &error, 404))?;
    let inside = from.strip_suffix(b"/").unwrap_or(from);
    files::walk(r, inside, &mut |visit, path, found| {
        let copy = [to, &path[inside.len()..]].concat();
        match visit {
            files::Visit::File => {
                files::copy(r, path, &copy, found);
            }
            files::Visit::Before => {
                if let Err(error) = files::make_folder(&copy, folder_access(found.mode() & 0o777)) {
                    fail(r, "mkdir()", &copy, &error, 0);
                }
            }
            files::Visit::Behind => {
                if let Err(error) = files::set_time(&copy, found.mtime()) {
                    r.log_with(Level::Alert, |line| {
                        line.put("utimes() \"").bytes(&copy).put("\" failed").error(&error);
                    });
                }
            }
            files::Visit::Other => {}
        }
    })?;
    if moves {
        delete_path(r, inside, true)?;
    }
    Ok(201)
}
