//! HTTP/2 connections on hyper. RFC 9113.

use std::rc::Rc;

use super::h1;
use super::stream::ClientStream;
use super::thread::Thread;
use crate::http::{Connection, Local};

/// Serves a connection that may begin with HTTP/2's preface, or with an HTTP/1 request.
pub(super) async fn serve_or_h1(
    thread: Rc<Thread>,
    local: Rc<Local>,
    stream: ClientStream,
    connection: Rc<Connection>,
) {
    h1::serve(thread, local, stream, connection, Vec::new()).await;
}
