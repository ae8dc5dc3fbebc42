//! Backends of a case on raw sockets: they echo what the proxy really sent, or play a script, and remember what they received.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use socket2::{Socket, Type};

use super::gateway::{self, Dialect};
use super::play::play;
use super::render;
use super::script::Step;
use super::wire::{Wire, address};

/// What a backend does with its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers 200 with the bytes of the request as the body.
    Echo,
    /// Plays the first script on the first connection, and so on; the last one on all others.
    Scripts(Vec<Vec<Step>>),
    /// Listens with a full queue: nobody gets connected.
    Full,
}

pub struct Backend {
    listener: Arc<Socket>,
    thread: Option<JoinHandle<()>>,
    transcripts: Arc<Mutex<Vec<String>>>,
    /// Fills the queue of [`Manner::Full`].
    _filler: Option<Wire>,
}

impl Backend {
    /// Listens on `at` (`127.0.0.1:8081`, `unix:/path`).
    pub fn start(at: &str, manner: Manner, dialect: Dialect) -> io::Result<Backend> {
        let full = manner == Manner::Full;
        let listener = Arc::new(listen(at, if full { 0 } else { 128 })?);
        let transcripts = Arc::default();
        if full {
            let _filler = Some(Wire::connect(at)?);
            return Ok(Backend { listener, thread: None, transcripts, _filler });
        }
        let (socket, notes) = (listener.clone(), transcripts.clone());
        let thread = Some(std::thread::spawn(move || serve(&socket, &manner, dialect, &notes)));
        Ok(Backend { listener, thread, transcripts, _filler: None })
    }

    /// Whether one of its connections has received `text` so far.
    pub fn has_received(&self, text: &str) -> bool {
        self.transcripts.lock().expect("no backend panicked").iter().any(|t| t.contains(text))
    }

    /// Ends it, and gives a text for each connection that it had.
    pub fn finish(mut self) -> Vec<String> {
        // Wakes the thread out of `accept`.
        let _ = self.listener.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a backend does not panic");
        }
        std::mem::take(&mut self.transcripts.lock().expect("no backend panicked"))
    }
}

fn listen(at: &str, backlog: i32) -> io::Result<Socket> {
    let (domain, address) = address(at).map_err(io::Error::other)?;
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address)?;
    socket.listen(backlog)?;
    if let Some(path) = at.strip_prefix("unix:") {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(path, open)?;
    }
    Ok(socket)
}

fn serve(listener: &Socket, manner: &Manner, dialect: Dialect, transcripts: &Arc<Mutex<Vec<String>>>) {
    let mut connections = Vec::new();
    while let Ok((socket, _)) = listener.accept() {
        let Ok(mut wire) = Wire::new(socket) else {
            continue;
        };
        wire.dialect = dialect;
        let (steps, slot, transcripts) = (steps(manner, connections.len()), connections.len(), transcripts.clone());
        transcripts.lock().expect("no backend panicked").push(String::new());
        connections.push(std::thread::spawn(move || match steps {
            None if dialect != Dialect::Http => echo_application(wire, dialect),
            None => echo(wire),
            Some(steps) => script(wire, &steps, &mut |text| {
                transcripts.lock().expect("no backend panicked")[slot].push_str(text);
            }),
        }));
    }
    for connection in connections {
        connection.join().expect("a backend connection does not panic");
    }
}

fn steps(manner: &Manner, connection: usize) -> Option<Vec<Step>> {
    match manner {
        Manner::Scripts(scripts) => scripts.get(connection).or(scripts.last()).cloned(),
        _ => None,
    }
}

/// A script that begins by sending reads a request first.
fn script(mut wire: Wire, steps: &[Step], note: &mut impl FnMut(&str)) {
    let mut all = Vec::new();
    if matches!(steps.first(), Some(Step::Send(_))) {
        all.push(Step::Request);
    }
    all.extend_from_slice(steps);
    play(&mut wire, &all, note);
}

/// What the echo received stands in its answers, so it notes nothing.
fn echo(mut wire: Wire) {
    loop {
        let (request, stop) = render::echo(&mut wire);
        if stop.is_some() {
            return;
        }
        let close = wants_close(&request);
        wire.send(&echo_answer(&request, close));
        if close {
            return;
        }
    }
}

/// An application that answers with what it was told.
fn echo_application(mut wire: Wire, dialect: Dialect) {
    loop {
        let (request, stop) = gateway::request(&mut wire, dialect);
        if stop.is_some() {
            return;
        }
        let answer = ["Content-Type: text/plain\r\n\r\n", request.trim_start_matches("~ ")].concat();
        wire.send(&[dialect.answer(answer.as_bytes()), dialect.end()].concat());
        if !request.starts_with("~ fastcgi role 1 flags 1") {
            return;
        }
    }
}

fn echo_answer(request: &[u8], close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    let length = request.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{connection}\r\n");
    let body = if request.starts_with(b"HEAD ") { b"" } else { request };
    [head.as_bytes(), body].concat()
}

fn wants_close(request: &[u8]) -> bool {
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let says = |value: String| value.eq_ignore_ascii_case("close");
    line.ends_with(b"HTTP/1.0") || render::header(request, "connection").is_some_and(says)
}
