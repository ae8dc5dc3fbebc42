//! What a request meets where it is passed on to a gRPC server.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::headers::Headers;
use super::{SCHEMES, authority};
use crate::http::escape::append_escaped;
use crate::http::{Escape, Flow, HeaderId, Method, PhaseHandler, Request};
use crate::modules::upstream::{Destination, Target, look_up};
use crate::tls::Backend;
use crate::upstream::{
    BodyWanted, Conf, Content, Exchange, Passage, Protocol, Stop, Unchanged, append_indexed, append_named, respond,
};

/// Everything about a location, resolved.
pub(super) struct Grpc {
    pub(super) conf: Arc<Conf>,
    pub(super) target: Target,
    /// How connections are encrypted, where they are.
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) authority: Authority,
    pub(super) headers: Headers,
}

/// `:authority`
pub(super) enum Authority {
    Fixed(Bytes),
    /// As the variables of `grpc_pass` say it.
    Evaluated,
}

/// Answers all requests of a location.
pub(super) struct Handler(pub(super) Arc<Grpc>);

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let (grpc, r) = (self.0.clone(), r.clone());
        Flow::wait(async move { grpc.serve(&r).await.unwrap_or_else(Stop::flow) })
    }

    fn destination(&self, r: &Rc<Request>) -> Option<Vec<u8>> {
        let mut url = self.0.target.url(&SCHEMES, r)?;
        url.extend_from_slice(&path(r));
        Some(url)
    }
}

/// Calls are sent on as they come, and answered before they have ended.
const BODY: BodyWanted = BodyWanted { passes: true, streams: true, chunked: true };

// Numbers of HPACK's static table.
const AUTHORITY: u8 = 1;
const METHOD: u8 = 2;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;

impl Grpc {
    async fn serve(&self, r: &Rc<Request>) -> Result<Flow, Stop> {
        let destination = self.target.destination(r).map_err(Stop::Answer)?;
        let mut content = BODY.read(r).await?;
        if matches!(content, Content::None) && (r.body.exists() || r.header(HeaderId::ContentLength).is_some()) {
            // A body that is announced has an end of its own, though there is nothing in it.
            content = Content::Stored(r.body.read(r).await?);
        }
        let scheme = SCHEMES.name(destination.secure);
        let passage = Passage::begin(r, Bytes::from_static(scheme.as_bytes()));
        let mut out = passage.take_request();
        self.write(r, &destination, &mut out);
        passage.set_request(out, 0..0);
        let upstream = look_up(destination.named, r, &self.conf).await?;
        let secure = self.backend.as_ref().filter(|_| destination.secure);
        let secure = secure.map(|backend| (backend.clone(), backend.name_for(r, &upstream.name)));
        let protocol = Protocol::Grpc;
        let exchange = Exchange { r, conf: &self.conf, upstream, passage: &passage, protocol, secure };
        let answer = exchange.run(content).await?;
        Ok(respond(&exchange, answer, &Unchanged, false).await)
    }

    /// The block of headers.
    fn write(&self, r: &Request, destination: &Destination, out: &mut Vec<u8>) {
        match r.method.get() {
            Method::Get => append_indexed(METHOD, out),
            Method::Post => append_indexed(METHOD_POST, out),
            method if method == r.head.method => append_named(METHOD, r.head.method_name(), out),
            method => append_named(METHOD, method.name().as_bytes(), out),
        }
        append_indexed(if destination.secure { SCHEME_HTTPS } else { SCHEME_HTTP }, out);
        match path(r) {
            path if path == b"/" => append_indexed(PATH, out),
            path => append_named(PATH, &path, out),
        }
        if !self.headers.host_is_set {
            match &self.authority {
                Authority::Fixed(host) => append_named(AUTHORITY, host, out),
                Authority::Evaluated => append_named(AUTHORITY, &authority(destination.text.clone()), out),
            }
        }
        self.headers.append(r, out);
    }
}

/// The target as it came, or the URI as it has become.
fn path(r: &Request) -> Vec<u8> {
    if r.unchanged_uri.get() && r.head.valid_target {
        return r.head.target().to_vec();
    }
    let mut path = Vec::new();
    let (uri, args) = (r.uri.borrow(), r.args.borrow());
    if r.internal.get() || r.has_quoted_path() {
        append_escaped(&uri, Escape::Uri, &mut path);
    } else {
        path.extend_from_slice(&uri);
    }
    if !args.is_empty() {
        path.push(b'?');
        path.extend_from_slice(&args);
    }
    path
}
