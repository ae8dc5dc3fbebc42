//! A client with one connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap()
    }

    pub fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and gives the body of the answer; the connection stays open.
    pub fn get(&mut self, path: &str) -> String {
        self.send(path);
        self.receive()
    }

    pub fn send(&mut self, path: &str) {
        self.send_with(path, "");
    }

    /// Sends a request with more lines in its head.
    pub fn send_with(&mut self, path: &str, lines: &str) {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").unwrap();
    }

    /// Sends these bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    pub fn receive(&mut self) -> String {
        let length = self.receive_head();
        String::from_utf8(self.receive_body(length)).unwrap()
    }

    /// Reads so many bytes of a body.
    pub fn receive_body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// Sends a request and gives the status of the answer; the connection stays open.
    pub fn status(&mut self, path: &str) -> u16 {
        self.send(path);
        let (status, length) = self.receive_status();
        self.receive_body(length);
        status
    }

    /// Reads the head of an answer, and gives the length of its body.
    pub fn receive_head(&mut self) -> usize {
        self.receive_status().1
    }

    /// Reads the head of an answer, and gives its status and the length of its body.
    pub fn receive_status(&mut self) -> (u16, usize) {
        let head = self.receive_lines();
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        (head[9..12].parse().unwrap(), length.map_or(0, |(_, length)| length.parse().unwrap()))
    }

    /// Reads the head of an answer.
    pub fn receive_lines(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "the connection was closed");
        }
        head
    }

    /// Reads until the other end closes the connection, and gives the number of bytes.
    pub fn receive_rest(&mut self) -> usize {
        self.stream.read_to_end(&mut Vec::new()).unwrap()
    }

    /// Whether the other end has closed the connection, and not reset it.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]))
    }
}
