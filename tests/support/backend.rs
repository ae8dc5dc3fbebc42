//! Backends of a case on raw sockets: they echo what the proxy really sent, or play a script, and remember what they received.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use socket2::{Socket, Type};

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
    at: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    transcripts: Arc<Mutex<Vec<String>>>,
    _filler: Option<Wire>,
}

impl Backend {
    /// Listens on `at` (`127.0.0.1:8081`, `unix:/path`).
    pub fn start(at: &str, manner: Manner) -> io::Result<Backend> {
        let full = manner == Manner::Full;
        let listener = listen(at, if full { 0 } else { 128 })?;
        let mut backend = Backend {
            at: at.to_owned(),
            stop: Arc::default(),
            thread: None,
            transcripts: Arc::default(),
            _filler: if full { Some(Wire::connect(at)?) } else { None },
        };
        let (stop, transcripts) = (backend.stop.clone(), backend.transcripts.clone());
        backend.thread = Some(std::thread::spawn(move || match manner {
            Manner::Full => wait_for(&stop),
            manner => serve(&listener, &manner, &stop, &transcripts),
        }));
        Ok(backend)
    }

    /// Whether one of its connections has received `text` so far.
    pub fn has_received(&self, text: &str) -> bool {
        self.transcripts.lock().expect("no backend panicked").iter().any(|t| t.contains(text))
    }

    /// Ends it, and gives a text for each connection that it had.
    pub fn finish(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let wake = Wire::connect(&self.at);
            drop(self._filler.take());
            thread.join().expect("a backend does not panic");
            drop(wake);
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

fn wait_for(stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        std::thread::park();
    }
}

fn serve(listener: &Socket, manner: &Manner, stop: &AtomicBool, transcripts: &Arc<Mutex<Vec<String>>>) {
    let mut connections = Vec::new();
    while let Ok((socket, _)) = listener.accept() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let Ok(wire) = Wire::new(socket) else {
            continue;
        };
        let (steps, slot, transcripts) = (steps(manner, connections.len()), connections.len(), transcripts.clone());
        transcripts.lock().expect("no backend panicked").push(String::new());
        connections.push(std::thread::spawn(move || match steps {
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
