//! Clients that mean harm: their connections are ended, others do not notice, and memory stays as it was.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Server, read, request};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// The most that memory may grow, in bytes.
const GROWTH: u64 = 20 << 20;

/// The next frame: its kind, its stream, and its payload.
fn next_frame(stream: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).expect("its payload");
    (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_read_whole_may_come_at_once() {
    const WINDOW_UPDATE: u8 = 8;
    let server = Server::start().await;
    let mut stream = connect(&server, 65_535);
    let post = [&[0x83][..], &fields("/taken")[1..]].concat();
    stream.write_all(&frame(HEADERS, 4, 1, &post)).expect("it reads");
    let room = loop {
        if let (WINDOW_UPDATE, 1, more) = next_frame(&mut stream) {
            break u32::from_be_bytes([more[0], more[1], more[2], more[3]]);
        }
    };
    assert!(room > 1 << 30, "it is told to send {room} bytes more");
    let many = frame(DATA, 0, 1, &[b'x'; 16_000]).repeat(50);
    stream.write_all(&[many, frame(DATA, 1, 1, b"")].concat()).expect("it reads");
    let answer = loop {
        if let (DATA, 1, data) = next_frame(&mut stream) {
            break data;
        }
    };
    assert!(answer.starts_with(b"POST /said "), "{}", String::from_utf8_lossy(&answer));
}

/// How long others may wait for a small answer, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    [&[a, b, c, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// The fields of a request for a path of less than 127 bytes.
pub(super) fn fields(path: &str) -> Vec<u8> {
    let text = |name: u8, value: &str| [&[name, value.len() as u8], value.as_bytes()].concat();
    [vec![0x82, 0x86], text(0x04, path), text(0x01, "a.test")].concat()
}

/// A client that has said who it is; `window` is what it takes of each answer, in bytes.
pub(super) fn connect(server: &Server, window: u32) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let settings = frame(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    stream.write_all(&hello).expect("a greeting");
    stream
}

/// Whether the server ends the connection; what it says before that is dropped.
fn ends(mut stream: TcpStream) -> bool {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            }
        }
    }
}

/// Whether the server resets so many streams; what else it says is dropped.
fn are_reset(mut stream: TcpStream, count: usize) -> bool {
    let mut reset = 0;
    while reset < count {
        let (kind, _, payload) = next_frame(&mut stream);
        reset += usize::from(kind == RST_STREAM && payload == [0, 0, 0, 1]);
    }
    true
}

/// Sends the same again and again until the server has enough of it.
fn pour(mut stream: TcpStream, first: &[u8], mut next: impl FnMut(u32) -> Vec<u8>, times: u32) -> bool {
    let _ = stream.write_all(first);
    for number in 0..times {
        if stream.write_all(&next(number)).is_err() {
            return true;
        }
    }
    ends(stream)
}

/// The memory of the workers, in bytes.
fn memory(server: &Server) -> u64 {
    let master = server.process.id();
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("its workers");
    let pages = |pid: &str| {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0)
    };
    children.split_whitespace().map(pages).sum::<u64>() * rustix::param::page_size() as u64
}

/// Attacks a server; somebody else asks for a small file all the while.
async fn attack(server: &Arc<Server>, attack: impl FnOnce(&Server) -> bool + Send + 'static) {
    let mut other = server.h2().await;
    read(other.send_request(request("GET", "a.test", "/small.txt", "")).await.expect("an answer")).await;
    let before = memory(server);
    let over = Arc::new(AtomicBool::new(false));
    let (attacked, told) = (server.clone(), over.clone());
    let attacking = tokio::task::spawn_blocking(move || {
        let ended = attack(&attacked);
        told.store(true, Ordering::Relaxed);
        ended
    });
    let mut most = before;
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answer = other.send_request(request("GET", "a.test", "/small.txt", "")).await.expect("an answer");
        assert_eq!(read(answer).await.0, 200);
        assert!(start.elapsed() < PATIENCE, "others wait {:?}", start.elapsed());
        most = most.max(memory(server));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(attacking.await.expect("the attack"), "it goes on");
    assert!(most - before < GROWTH, "memory grew by {} bytes", most - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_floods() {
    let server = Arc::new(Server::start().await);
    // Rapid reset.
    attack(&server, |server| {
        let reset = |number: u32| {
            let stream = 2 * number + 1;
            [frame(HEADERS, 5, stream, &fields("/large.txt")), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        };
        pour(connect(server, 65_535), b"", reset, 100_000)
    })
    .await;
    // A head without end, of much, and of nothing.
    for piece in [[&[0, 1, b'a', 0x7f, 0x81, 0x7c][..], &[b'a'; 16_000]].concat(), Vec::new()] {
        attack(&server, move |server| {
            let first = frame(HEADERS, 1, 1, &fields("/large.txt"));
            pour(connect(server, 65_535), &first, |_| frame(CONTINUATION, 0, 1, &piece), 100_000)
        })
        .await;
    }
    // Settings, pings, and data of no length.
    for (kind, stream, payload) in [(SETTINGS, 0, Vec::new()), (PING, 0, vec![0; 8]), (DATA, 1, Vec::new())] {
        attack(&server, move |server| {
            let first = frame(HEADERS, 4, 1, &fields("/said"));
            let many = frame(kind, 0, stream, &payload).repeat(1000);
            pour(connect(server, 65_535), &first, |_| many.clone(), 2000)
        })
        .await;
    }
    // A long field by its number, again and again.
    attack(&server, |server| {
        let long = [&[0x40, 1, b'a', 0x7f, 0x81, 0x1e][..], &[b'a'; 3968]].concat();
        let bomb = [fields("/small.txt"), long, vec![0xbe; 12_000]].concat();
        pour(connect(server, 65_535), &frame(HEADERS, 5, 1, &bomb), |_| Vec::new(), 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_streams_take_little() {
    let server = Arc::new(Server::start().await);
    attack(&server, |server| {
        let mut stalled: Vec<_> = (0..10).map(|_| connect(server, 0)).collect();
        for stream in &mut stalled {
            let request = |number: u32| frame(HEADERS, 5, 2 * number + 1, &fields("/stalled/large.txt"));
            stream.write_all(&(0..100).flat_map(request).collect::<Vec<_>>()).expect("it reads");
        }
        // `send_timeout` ends them, and no connection.
        stalled.into_iter().all(|stream| are_reset(stream, 100))
    })
    .await;
}
