//! HTTP/1 connections by our own codec: one request after the other on each. RFC 9112.

mod head;
mod input;
mod linger;
mod output;
mod tunnel;

use std::rc::Rc;

use bytes::Bytes;

pub(super) use self::input::Io;
use self::input::{BodyReader, ReadHead, Stop};
use super::stream::ClientStream;
use super::thread::Thread;
use crate::cycle::{self, Answer};
use crate::h1::error::HeadError;
use crate::h1::head::RequestHead;
use crate::h1::request::RequestParser;
use crate::http::{Choice, Connection, Head, Incoming, LingeringClose, Local, Request, RequestBody, Version};
use crate::log::Level;

/// Serves a connection until it ends. `first` holds bytes that were read from it already.
pub(super) async fn serve(
    thread: Rc<Thread>,
    mut local: Rc<Local>,
    stream: ClientStream,
    connection: Rc<Connection>,
    first: Vec<u8>,
) {
    let io = Rc::new(Io::new(stream, thread.clone(), first));
    thread.keep(connection.number, &io);
    let mut parser = None;
    while let Some(incoming) = input::next_request(&io, &connection, &mut local, &mut parser).await {
        // The request's own state is on the heap, so that an idle connection is small.
        if !Box::pin(handle(&io, local.clone(), &connection, incoming)).await {
            break;
        }
    }
    thread.forget(connection.number);
}

/// Answers one request; `true` where the connection may bring another one.
async fn handle(io: &Rc<Io>, local: Rc<Local>, connection: &Rc<Connection>, mut incoming: ReadHead) -> bool {
    connection.requests.set(connection.requests.get() + 1);
    let version = incoming.head.version;
    let error = incoming.error.take();
    let gone = incoming.gone;
    let refused = error.is_some();
    let body = if refused { RequestBody::none() } else { BodyReader::body(io, &incoming.head) };
    let regex = incoming.choice.regex.take();
    let r = request(io, local, connection, incoming, body);
    if let Some(regex) = &regex {
        // It matched when the server was chosen; now it leaves its captures.
        let host = r.host.borrow().clone();
        let _ = regex.exec(&r, &host);
    }
    let answer = match (&error, gone) {
        (_, Some((stop, part))) => {
            say_broken_off(&r, stop, part);
            Answer::Close(stop.status())
        }
        (Some(error), None) => {
            r.log_with(Level::Info, |line| {
                line.bytes(&error.message);
            });
            r.out.keep_alive.set(false);
            cycle::refuse(&r, error.fault.status()).await
        }
        (None, None) => cycle::run(&r).await,
    };
    let keep = match answer {
        Answer::Response(response) if io.broken.get() => {
            r.out.status.set(response.status);
            false
        }
        Answer::Response(response) => {
            if !r.expect_settled.get() {
                r.body.invite().await;
            }
            output::send(io, &r, version, response).await
        }
        Answer::Close(status) => {
            r.out.status.set(status);
            false
        }
    };
    finish(io, &r, keep && !refused).await
}

/// What nginx says of a head that broke off.
fn say_broken_off(r: &Request, stop: Stop, part: &str) {
    r.log_with(Level::Info, |line| {
        match stop {
            Stop::Closed => line.put("client prematurely closed connection"),
            Stop::TimedOut => line.put("client timed out").errno(libc::ETIMEDOUT),
        };
        line.put(" while reading client request ").put(part);
    });
}

/// Logs the request, and deals with what the client still sends.
async fn finish(io: &Rc<Io>, r: &Rc<Request>, keep: bool) -> bool {
    // nginx has forgotten by now that it keeps the connection: `$sent_http_connection` is `close` in its logs.
    r.out.keep_alive.set(false);
    io.patience.set(r.location().core.keepalive_timeout);
    cycle::log(r);
    if keep {
        return r.body.is_finished() || linger::discard(io, r).await;
    }
    let lingers = match r.location().core.lingering_close {
        LingeringClose::Off => false,
        LingeringClose::On => r.out.complete.get() && (!r.body.is_finished() || io.has_input()),
        LingeringClose::Always => r.out.complete.get(),
    };
    if lingers {
        linger::close(io, r).await;
    }
    false
}

fn request(
    io: &Rc<Io>,
    local: Rc<Local>,
    connection: &Rc<Connection>,
    read: ReadHead,
    body: RequestBody,
) -> Rc<Request> {
    let mut parsed = read.head;
    let incoming = Incoming {
        host: Bytes::copy_from_slice(&parsed.host),
        head: as_it_came(&parsed),
        args: parsed.args().to_vec(),
        keep_alive: parsed.wants_keep_alive(),
        uri: std::mem::take(&mut parsed.uri),
        headers: std::mem::take(&mut parsed.headers),
        server: read.choice.server,
        body,
        pipelined: read.pipelined,
        client: Some(io.clone()),
        start: read.start,
    };
    Request::new(local, connection.clone(), incoming)
}

/// Takes what later phases ask of the head as it came: one copy of the request line, cut in pieces.
fn as_it_came(parsed: &RequestHead) -> Head {
    let line = Bytes::copy_from_slice(parsed.request_line());
    let start = parsed.request_line().as_ptr() as usize;
    let cut = |piece: &[u8]| {
        let at = (piece.as_ptr() as usize).wrapping_sub(start);
        match at.checked_add(piece.len()) {
            Some(end) if end <= line.len() => line.slice(at..end),
            _ => Bytes::copy_from_slice(piece),
        }
    };
    Head {
        method_name: cut(parsed.method_name()),
        method: parsed.method,
        target: cut(parsed.target()),
        protocol: cut(parsed.protocol()),
        version: parsed.version,
        valid_target: parsed.has_valid_target(),
        length: parsed.length as u64,
        line,
    }
}
