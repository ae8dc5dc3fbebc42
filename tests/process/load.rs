//! Many clients at once, each on a connection that it keeps, who count what they lose.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::place::eventually;

/// How long a client thinks between an answer and its next request.
const PAUSE: Duration = Duration::from_millis(4);

/// Clients that ask again and again until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Whole answers of status 200.
    pub answers: usize,
    /// Connections that were made.
    pub connections: usize,
    /// Kept connections that ended before a byte of the next answer came: a browser asks again.
    pub unanswered: Vec<String>,
    /// Connections that could not be made, answers of other statuses, answers that broke off.
    pub lost: Vec<String>,
}

impl Load {
    /// Starts clients that ask for these paths in turn; comes back when all of them have been answered.
    pub fn start(port: u16, clients: usize, paths: &'static [&'static str]) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |number| {
            let (stop, answers) = (stop.clone(), answers.clone());
            std::thread::spawn(move || ask_until(&stop, &answers, port, paths.iter().cycle().skip(number)))
        };
        let clients = (0..clients).map(client).collect::<Vec<_>>();
        let load = Self { stop, answers, clients };
        load.wait(load.clients.len());
        load
    }

    /// Waits for so many more answers.
    pub fn wait(&self, answers: usize) {
        let until = self.answers.load(Ordering::Relaxed) + answers;
        eventually("answers", || (self.answers.load(Ordering::Relaxed) >= until).then_some(()));
    }

    /// Stops all clients; what came of all of them together.
    pub fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).fold(Tally::default(), |mut all, tally| {
            all.answers += tally.answers;
            all.connections += tally.connections;
            all.unanswered.extend(tally.unanswered);
            all.lost.extend(tally.lost);
            all
        })
    }
}

fn ask_until<'p>(
    stop: &AtomicBool,
    answers: &AtomicUsize,
    port: u16,
    mut paths: impl Iterator<Item = &'p &'static str>,
) -> Tally {
    let (mut tally, mut kept) = (Tally::default(), None);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let was_kept = kept.is_some();
        let stream = match kept.take() {
            Some(stream) => stream,
            None => match connect(port) {
                Ok(stream) => {
                    tally.connections += 1;
                    stream
                }
                Err(error) => {
                    tally.lost.push(format!("connect: {error}"));
                    continue;
                }
            },
        };
        match ask(stream, paths.next().unwrap()) {
            Ok(Answered { status: 200, stream }) => {
                tally.answers += 1;
                answers.fetch_add(1, Ordering::Relaxed);
                kept = stream;
            }
            Ok(Answered { status, stream }) => {
                tally.lost.push(format!("status {status}"));
                kept = stream;
            }
            Err((true, error)) if was_kept => tally.unanswered.push(error.to_string()),
            Err((_, error)) => tally.lost.push(error.to_string()),
        }
    }
    tally
}

fn connect(port: u16) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(BufReader::new(stream))
}

struct Answered {
    status: u16,
    /// The connection, where it is to be kept.
    stream: Option<BufReader<TcpStream>>,
}

/// A request's answer; an error says whether it came before the first byte.
fn ask(mut stream: BufReader<TcpStream>, path: &str) -> Result<Answered, (bool, io::Error)> {
    let mut line = String::new();
    let sent = write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let read = sent.and_then(|()| stream.read_line(&mut line)).map_err(|error| (true, error))?;
    if read == 0 {
        return Err((true, io::ErrorKind::UnexpectedEof.into()));
    }
    receive(stream, &line).map_err(|error| (false, error))
}

fn receive(mut stream: BufReader<TcpStream>, status_line: &str) -> io::Result<Answered> {
    let status =
        status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let (mut length, mut keeps) = (0, true);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?,
            Some(("Connection", value)) => keeps = value != "close",
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok(Answered { status, stream: keeps.then_some(stream) })
}
