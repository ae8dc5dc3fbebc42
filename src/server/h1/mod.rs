//! HTTP/1 connections by our own codec: one request after the other on each. RFC 9112.

mod head;
mod input;
mod linger;
mod output;
mod pace;
mod reading;
mod tunnel;

use std::pin::Pin;
use std::rc::Rc;

use self::input::BodyReader;
pub(super) use self::input::Io;
pub(super) use self::pace::Paced;
pub(super) use self::reading::Reading;
use self::reading::Stop;
pub(crate) use self::reading::limits as head_limits;
use super::stream::ClientStream;
use super::thread::Thread;
use super::tls;
use crate::cycle::{self, Answer, Run, Step};
use crate::h1::error::Part;
use crate::http::{Connection, Count, Flow, Incoming, LingeringClose, Local, Request, RequestBody, doing};
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
    while let Some(reading) = reading::next_request(&io, &connection, &mut local).await {
        let keep = match handle(&io, local.clone(), &connection, reading) {
            Work::Done(keep) => keep,
            Work::Wait(work) => work.await,
        };
        if !keep {
            break;
        }
        if io.has_input() {
            // Whoever sends many requests at once does not keep others waiting for their turn.
            tokio::task::coop::consume_budget().await;
        }
    }
    io.stream.borrow_mut().say_end();
    thread.forget(connection.number);
}

/// A step of a request's way that may have to wait; `true` where the connection may bring another request. Only what
/// waits costs memory, so that small answers are fast and idle connections are small.
enum Work {
    Done(bool),
    Wait(Pin<Box<dyn Future<Output = bool>>>),
}

/// Answers one request.
fn handle(io: &Rc<Io>, local: Rc<Local>, connection: &Rc<Connection>, mut reading: Box<Reading>) -> Work {
    connection.requests.set(connection.requests.get() + 1);
    let (error, gone) = (reading.error.take(), reading.gone);
    reading.counted = None;
    let body =
        if error.is_some() { RequestBody::none() } else { BodyReader::body(io, &reading.head, reading.room as u64) };
    let regex = reading.choice.regex.take();
    let dropped: Vec<(Vec<u8>, usize)> = reading.head.dropped().map(|(line, before)| (line.to_vec(), before)).collect();
    let r = request(io, local, connection, &mut reading, body);
    r.set_doing(doing::READING_HEADERS);
    for (header, before) in dropped {
        say_dropped(&r, &header, before);
    }
    if let Some(regex) = &regex {
        // It matched when the server was chosen; now it leaves its captures.
        let host = r.host.borrow().clone();
        let _ = regex.exec(&r, &host);
    }
    let work = match (error, gone) {
        (_, Some((stop, part))) => {
            r.set_doing(reading_of(&reading, part));
            say_broken_off(&r, stop);
            r.set_doing(doing::READING_HEADERS);
            if stop.status() == 408 {
                reset_if_wanted(io, &r);
            }
            respond(io, &r, Answer::Close(stop.status()))
        }
        (Some(error), None) => {
            r.set_doing(reading_of(&reading, error.fault.part()));
            r.log_with(Level::Info, |line| {
                line.bytes(&error.message);
            });
            r.out.keep_alive.set(false);
            r.out.unread.set(reading.unread);
            go(io, &r, Run::refusal(&r), Some(Flow::Finalize(error.fault.status())))
        }
        (None, None) => match tls::refusal(&r) {
            Some(status) => go(io, &r, Run::refusal(&r), Some(Flow::Finalize(status))),
            None => go(io, &r, Run::new(&r), None),
        },
    };
    reading.reuse(r);
    io.thread.reading.set(Some(reading));
    work
}

/// Runs a request through its handlers, and sends the answer.
fn go(io: &Rc<Io>, r: &Rc<Request>, mut run: Run, first: Option<Flow>) -> Work {
    match run.go_on(r, first) {
        Step::Done(answer) => respond(io, r, answer),
        wait => {
            let (io, r) = (io.clone(), r.clone());
            Work::Wait(Box::pin(async move {
                let answer = run.finish(&r, wait).await;
                respond(&io, &r, answer).done().await
            }))
        }
    }
}

/// Whether the body makes no sense that nobody has read. nginx looks before it begins to answer.
fn is_body_broken(r: &Request) -> bool {
    let before = r.out.doing.take();
    let broken = r.body.is_broken(r);
    if !broken {
        r.set_doing(before);
    }
    broken
}

/// Sends the answer and ends the request.
fn respond(io: &Rc<Io>, r: &Rc<Request>, answer: Answer) -> Work {
    if matches!(answer, Answer::Response(_)) && !r.expect_settled.get() && is_body_broken(r) {
        return go(io, r, Run::refusal(r), Some(Flow::Finalize(400)));
    }
    let sent = match answer {
        Answer::Response(response) if io.broken.get() => {
            r.out.status.set(response.status);
            Work::Done(false)
        }
        Answer::Response(response) if r.body.is_finished() || r.expect_settled.get() => output::send(io, r, response),
        Answer::Response(response) => {
            let (io, r) = (io.clone(), r.clone());
            Work::Wait(Box::pin(async move {
                r.body.invite().await;
                output::send(&io, &r, response).done().await
            }))
        }
        Answer::Close(status) => {
            r.out.status.set(status);
            if status == 444 || (status == 408 && !r.body.is_finished()) {
                reset_if_wanted(io, r);
            }
            Work::Done(false)
        }
    };
    match sent {
        Work::Done(keep) => finish(io, r, keep),
        Work::Wait(work) => {
            let (io, r) = (io.clone(), r.clone());
            Work::Wait(Box::pin(async move {
                let keep = work.await;
                finish(&io, &r, keep).done().await
            }))
        }
    }
}

/// The client is to learn of the end by RST: it has waited too long, or gets no answer on purpose.
fn reset_if_wanted(io: &Io, r: &Request) {
    if r.location().core.reset_timedout_connection {
        io.stream.borrow().reset_on_close();
    }
}

/// Ends the request when nothing is left to do for it.
fn finish(io: &Rc<Io>, r: &Rc<Request>, keep: bool) -> Work {
    let Some(work) = cycle::afterwards(r) else { return finish_at_once(io, r, keep) };
    let (io, r) = (io.clone(), r.clone());
    Work::Wait(Box::pin(async move {
        work.await;
        // What was run behind the answer may have ended in a way that ends the connection.
        let keep = keep && r.out.keep_alive.get();
        finish_at_once(&io, &r, keep).done().await
    }))
}

/// Logs the request, and deals with what the client still sends.
fn finish_at_once(io: &Rc<Io>, r: &Rc<Request>, keep: bool) -> Work {
    // nginx has forgotten by now that it keeps the connection: `$sent_http_connection` is `close` in its logs.
    r.out.keep_alive.set(false);
    io.patience.set(r.location().core.keepalive_timeout);
    cycle::log(r);
    if keep {
        return if r.body.is_finished() { Work::Done(true) } else { Work::Wait(Box::pin(linger::discard(r.clone()))) };
    }
    let lingers = match r.location().core.lingering_close {
        LingeringClose::Off => false,
        LingeringClose::On => {
            r.out.complete.get()
                && (!r.body.is_finished()
                    || io.has_input()
                    || io.is_early()
                    || io.pipelined.get()
                    || r.out.unread.get())
        }
        LingeringClose::Always => r.out.complete.get(),
    };
    if lingers { Work::Wait(Box::pin(linger::close(io.clone(), r.clone()))) } else { Work::Done(false) }
}

impl Work {
    async fn done(self) -> bool {
        match self {
            Work::Done(keep) => keep,
            Work::Wait(work) => work.await,
        }
    }
}

/// What nginx says of a header line that it passes over; it has read only the fields before it by then.
#[cold]
fn say_dropped(r: &Request, header: &[u8], fields_before: usize) {
    let known = r.headers.borrow().first(fields_before);
    let all = r.headers.replace(known);
    r.log_with(Level::Info, |line| {
        line.put("client sent invalid header line: \"").bytes(header).put('"');
    });
    r.headers.replace(all);
}

/// What nginx says of a head that broke off.
fn say_broken_off(r: &Request, stop: Stop) {
    r.log_with(Level::Info, |line| {
        match stop {
            Stop::Closed => line.put("client prematurely closed connection"),
            Stop::Failed(errno) => line.put("recv() failed").errno(errno),
            Stop::TimedOut => line.put("client timed out").errno(libc::ETIMEDOUT),
        };
    });
}

/// What nginx was doing when it found something wrong with a part of a head.
fn reading_of(reading: &Reading, part: Part) -> &'static str {
    match part {
        Part::Line if reading.pipelined => doing::READING_PIPELINED_LINE,
        Part::Line => doing::READING_LINE,
        Part::Headers => doing::READING_HEADERS,
    }
}

fn request(
    io: &Rc<Io>,
    local: Rc<Local>,
    connection: &Rc<Connection>,
    reading: &mut Reading,
    body: RequestBody,
) -> Rc<Request> {
    let parsed = &mut reading.head;
    let incoming = Incoming {
        head: parsed.as_it_came(),
        host: std::mem::take(&mut parsed.host),
        args: parsed.args().to_vec(),
        keep_alive: parsed.wants_keep_alive(),
        uri: std::mem::take(&mut parsed.uri),
        headers: std::mem::take(&mut parsed.headers),
        server: reading.choice.server,
        body,
        pipelined: reading.pipelined,
        counted: Some(io.thread.meter.during(Count::Writing)),
        client: Some(io.clone()),
        start: reading.start,
    };
    Request::new(local, connection.clone(), incoming)
}
