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
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }

    pub fn receive(&mut self) -> String {
        let mut body = vec![0; self.receive_head()];
        self.stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    /// Reads the head of an answer, and gives the length of its body.
    pub fn receive_head(&mut self) -> usize {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "the connection was closed");
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                return length;
            }
        }
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
