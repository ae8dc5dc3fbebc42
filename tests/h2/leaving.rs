//! Clients that leave while they are answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use super::Server;
use super::floods::{DATA, HEADERS, RST_STREAM, SETTINGS, connect, fields, frame};

const WINDOW_UPDATE: u8 = 8;

/// All frames that come until the server closes: their kinds, flags and streams, and how long they are.
fn rest(mut stream: std::net::TcpStream) -> Vec<(u8, u8, u32, usize)> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an orderly end");
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        frames.push((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), length));
        rest = behind.get(length..).expect("a whole frame");
    }
    frames
}

/// How many lines of a log hold a text.
fn lines(server: &Server, log: &str, text: &str) -> usize {
    let log = std::fs::read_to_string(server.folder.path().join(log)).unwrap_or_default();
    log.lines().filter(|line| line.contains(text)).count()
}

/// Waits until so many lines of a log hold a text.
async fn until_logged(server: &Server, log: &str, text: &str, count: usize) {
    for _ in 0..2000 {
        if lines(server, log, text) >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{log} has {text} {} times", lines(server, log, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn has_its_answers_though_it_says_no_more() {
    let server = Server::start().await;
    let mut stream = connect(&server, 1 << 30);
    let settled = [frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes()), frame(SETTINGS, 1, 0, b"")].concat();
    let requests = [("/said", 1), ("/small.txt", 3), ("/missing", 5)];
    let requests = requests.map(|(path, number)| frame(HEADERS, 5, number, &fields(path))).concat();
    stream.write_all(&[settled, requests].concat()).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("half an end");
    let frames = rest(stream);
    let ended = frames.iter().filter(|(kind, flags, ..)| matches!(*kind, DATA | HEADERS) && flags & 1 != 0);
    assert_eq!(ended.count(), 3, "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn is_not_waited_for_where_nobody_else_is() {
    let server = Server::start().await;
    let backend = TcpListener::bind("127.0.0.1:0").expect("a backend");
    let port = backend.local_addr().expect("an address").port();
    for (path, status, resets) in [("ends", 499, false), ("goes-on", 200, false), ("goes-on", 200, true)] {
        let mut stream = connect(&server, 1 << 30);
        stream.write_all(&frame(HEADERS, 5, 1, &fields(&format!("/{path}/?port={port}")))).expect("it reads");
        let (mut asked, _) = backend.accept().expect("a request");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            asked.read_exact(&mut byte).expect("a whole request");
            request.push(byte[0]);
        }
        let sentence = if resets { "client canceled stream 1" } else { "client prematurely" };
        let line = format!("/{path}/?port={port} HTTP/2.0\" {status} 0 ");
        let before = (lines(&server, "error.log", sentence), lines(&server, "access.log", &line));
        if resets {
            stream.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).expect("it reads");
        } else {
            stream.shutdown(Shutdown::Write).expect("half an end");
        }
        until_logged(&server, "error.log", sentence, before.0 + 1).await;
        let _ = asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        until_logged(&server, "access.log", &line, before.1 + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_logged_with_what_it_took() {
    let server = Server::start().await;
    let mut stream = connect(&server, 3);
    stream.write_all(&frame(HEADERS, 5, 1, &fields("/small.txt"))).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("half an end");
    until_logged(&server, "access.log", "/small.txt HTTP/2.0\" 200 3 ", 1).await;
}
