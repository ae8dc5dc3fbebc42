//! A backend that counts who comes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A backend on threads of its own.
pub struct Backend {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    /// Hands every connection to `serve`.
    pub fn start(serve: impl Fn(BufReader<TcpStream>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (count, serve) = (connections.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                std::thread::spawn(move || drop(serve(BufReader::new(stream))));
            }
        });
        Self { address, connections }
    }

    /// One that answers every request with a text, and keeps its connections.
    pub fn answering(text: &'static str) -> Self {
        Self::start(move |mut stream| {
            while read_head(&mut stream)?.is_some() {
                write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
            }
            Ok(())
        })
    }

    /// How many connections have come.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A request's head, its body read and thrown away; `None` where no more comes.
pub fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let before = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if let Some(value) = head[before..].to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok(Some(head))
}
