//! Reads what a proxy says of its client before the client's own bytes: `listen … proxy_protocol`.

use std::io;
use std::task::{Poll, ready};

use super::stream::ClientStream;
use super::thread::Thread;
use crate::http::proxy_protocol::parse;
use crate::http::{Connection, Count, Local};
use crate::log::{Level, Line};

/// Reads the head; gives what came behind it. As in nginx the head comes in one piece, or the connection is closed
/// (`None`).
pub(super) async fn read(
    thread: &Thread,
    local: &Local,
    stream: &mut ClientStream,
    connection: &Connection,
) -> Option<Vec<u8>> {
    let _waiting = thread.meter.during(Count::Waiting);
    let server = default_server(local, connection);
    let first = first_bytes(thread, stream, server.client_header_buffer_size);
    let say = |level, message: &[u8], errno| say(local, connection, level, message, errno);
    let Ok(first) = tokio::time::timeout(server.client_header_timeout, first).await else {
        say(Level::Info, b"client timed out", Some(libc::ETIMEDOUT));
        return None;
    };
    let mut first = first.ok()?;
    if first.is_empty() {
        say(Level::Info, b"client closed connection", None);
        return None;
    }
    match parse(&first) {
        Ok((length, header)) => {
            if let Some(header) = header {
                // It is read once, so nothing was there.
                let _ = connection.proxy.set(Box::new(header));
            }
            first.drain(..length);
            Some(first)
        }
        Err(refusal) => {
            if let Some(message) = refusal {
                say(Level::Error, &message, None);
            }
            None
        }
    }
}

/// One read, of so many bytes at most; none at the end of the stream.
async fn first_bytes(thread: &Thread, stream: &mut ClientStream, most: usize) -> io::Result<Vec<u8>> {
    std::future::poll_fn(|cx| {
        let mut buffer = thread.input.borrow_mut();
        let most = most.min(buffer.len());
        let read = ready!(stream.poll_read(cx, &mut buffer[..most]))?;
        Poll::Ready(Ok(buffer[..read].to_vec()))
    })
    .await
}

fn default_server<'a>(local: &'a Local, connection: &Connection) -> &'a crate::http::Server {
    let listen = &local.cycle.listens[connection.listen.get()];
    let servers = listen.virtual_servers(connection.local.map(|local| local.ip()));
    local.cycle.server(servers.default)
}

fn say(local: &Local, connection: &Connection, level: Level, message: &[u8], errno: Option<i32>) {
    let log = &local.cycle.location(default_server(local, connection).base).core.error_log;
    let listen = &local.cycle.listens[connection.listen.get()].spec.text;
    log.write(level, Some(connection.number), |line: &mut Line| {
        line.bytes(message);
        if let Some(errno) = errno {
            line.errno(errno);
        }
        line.put(" while reading PROXY protocol, client: ").bytes(&connection.address.borrow());
        line.put(", server: ").put(listen);
    });
}
