//! Greets a client with certificates whose names hold variables.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustls::ServerConfig;

use crate::http::{Connection, Head, Headers, Incoming, Local, Request, RequestBody, ServerId, TlsInfo};
use crate::tls::{Certificates, Dynamic, Site};

/// The configuration for one client; `None` where a certificate could not be read, which the log knows then.
pub(super) fn config(
    local: &Rc<Local>,
    connection: &Connection,
    server: ServerId,
    site: &Site,
    dynamic: &Dynamic,
    greeting: TlsInfo,
) -> Option<Arc<ServerConfig>> {
    let asked = connection.for_stream();
    // It is a new one.
    let _ = asked.tls.set(Rc::new(greeting));
    let r = nobody(local.clone(), Rc::new(asked), server);
    let keys = dynamic.keys(&r)?;
    let mut config = (*site.config).clone();
    config.cert_resolver = Arc::new(Certificates { keys, staples: Vec::new(), choosing: site.choosing.clone() });
    Some(Arc::new(config))
}

/// A request that nobody made, for variables to be asked of.
fn nobody(local: Rc<Local>, connection: Rc<Connection>, server: ServerId) -> Rc<Request> {
    let incoming = Incoming {
        head: Head::default().broken(),
        headers: Headers::new(),
        host: Vec::new(),
        uri: Vec::new(),
        args: Vec::new(),
        server,
        body: RequestBody::none(),
        pipelined: false,
        client: None,
        keep_alive: false,
        start: Instant::now(),
        counted: None,
    };
    Request::new(local, connection, incoming)
}
