//! PUT: the body is written beside, and put in place when it is complete.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use super::{Rules, refuse, set_location};
use crate::http::date::parse_http;
use crate::http::disk as files;
use crate::http::{BodyError, Chunk, Flow, HeaderId, Lifetime, Request, Response, TempFile, read_range};
use crate::log::Level;

pub(super) fn put(r: &Rc<Request>, rules: Rules) -> Flow {
    if r.uri.borrow().ends_with(b"/") {
        r.log(Level::Error, "cannot PUT to a collection");
        return Flow::Finalize(409);
    }
    if r.headers.borrow().has(HeaderId::ContentRange) {
        r.log(Level::Error, "PUT with range is unsupported");
        return Flow::Finalize(501);
    }
    let r = r.clone();
    Flow::wait(async move {
        let file = match receive(&r).await {
            Ok(file) => file,
            Err(error) if error.is_final() => return Flow::Close(error.status()),
            Err(error) => return Flow::Finalize(error.status()),
        };
        match store(&r, rules, file) {
            Ok(response) => Flow::respond(response),
            Err(status) => Flow::Finalize(status),
        }
    })
}

/// The body in a file of its own; `None` where there is no body.
async fn receive(r: &Request) -> Result<Option<TempFile>, BodyError> {
    if !r.body.exists() && !r.headers.borrow().has(HeaderId::ContentLength) {
        return Ok(None);
    }
    let mut file =
        TempFile::create(&r.location().core.client_body_temp_path, Lifetime::WhileUsed).map_err(|error| {
            r.log_with(Level::Crit, |line| error.write(line));
            BodyError::Storage
        })?;
    if let Some(stored) = r.body.stored() {
        stored.chunks().into_iter().try_for_each(|chunk| append_chunk(r, &mut file, chunk))?;
    }
    while let Some(bytes) = r.body.next(r).await? {
        append(r, &mut file, &bytes)?;
    }
    Ok(Some(file))
}

fn append(r: &Request, file: &mut TempFile, bytes: &[u8]) -> Result<(), BodyError> {
    file.append(bytes).map_err(|error: io::Error| {
        r.log_error(Level::Crit, &error, format_args!("pwrite() \"{file}\" failed"));
        BodyError::Storage
    })
}

fn append_chunk(r: &Request, file: &mut TempFile, chunk: Chunk) -> Result<(), BodyError> {
    let mut range = match chunk {
        Chunk::Bytes(bytes) => return append(r, file, &bytes),
        Chunk::File(range) => range,
        Chunk::Flush => return Ok(()),
    };
    while !range.is_empty() {
        let length = range.len().min(64 << 10);
        let bytes = read_range(&*range.file, range.start, length as usize).map_err(|_| BodyError::Storage)?;
        append(r, file, &bytes)?;
        range.start += length;
    }
    Ok(())
}

fn store(r: &Request, rules: Rules, file: Option<TempFile>) -> Result<Response, u16> {
    let Some(file) = file else { return refuse(r, 500, "PUT request body must be in a file") };
    let temporary = file.path.as_os_str().as_bytes();
    let path = r.map_uri().ok_or(500u16)?;
    let status = match files::look_through(&path) {
        Err(_) => 201,
        Ok(found) if found.is_dir() => {
            r.log_with(Level::Error, |line| {
                line.put('"').bytes(&path).put("\" could not be created").errno(libc::EISDIR);
            });
            return Err(409);
        }
        Ok(_) => 204,
    };
    let complain = |call: &str, error: io::Error| {
        r.log_with(Level::Crit, |line| {
            line.put(call).put(" \"").bytes(temporary).put("\" failed").error(&error);
        });
        500u16
    };
    files::set_access(temporary, rules.access).map_err(|error| complain("chmod()", error))?;
    if let Some(time) = r.header(HeaderId::Date).and_then(|date| parse_http(&date)) {
        files::set_time(temporary, time).map_err(|error| complain("utimes()", error))?;
    }
    let folders = rules.create_full_path.then(|| rules.folder_access());
    if !files::move_to(r, temporary, &path, folders) {
        return Err(500);
    }
    let mut response = Response::new(status);
    response.header_only = true;
    if status == 201 {
        set_location(r);
        response.redirect = true;
        response.content_length = Some(0);
    }
    Ok(response)
}
