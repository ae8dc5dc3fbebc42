//! What a request meets where it is passed on to an application: shared by FastCGI, uwsgi and SCGI.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::params::Params;
use super::pass::{Destination, Schemes, Target};
use crate::http::{Flow, PhaseHandler, Request};
use crate::modules::resolver::NameService;
use crate::tls::Backend;
use crate::upstream::{
    BodyWanted, Conf, Content, Exchange, Named, Passage, Protocol, Stop, Unchanged, Upstream, from_cache, respond,
};

/// How a request is written in the protocol of an application.
pub trait Speaker: Send + Sync + 'static {
    /// Appends all that is sent before the client's body.
    ///
    /// # Errors
    /// The status for a request that cannot be written so.
    fn write(&self, r: &Request, params: &Params, content: &Content, out: &mut Vec<u8>) -> Result<(), u16>;
}

/// Everything about a location that passes requests to an application, resolved.
pub struct Passing<S> {
    pub(crate) conf: Arc<Conf>,
    pub(crate) target: Target,
    pub(crate) schemes: Schemes,
    pub(crate) protocol: Protocol,
    /// How connections are encrypted, where they are.
    pub(crate) backend: Option<Arc<Backend>>,
    pub(crate) body: BodyWanted,
    pub(crate) params: Params,
    pub(crate) speaker: S,
}

/// Answers all requests of a location.
pub struct PassingHandler<S>(pub(crate) Arc<Passing<S>>);

impl<S: Speaker> PhaseHandler for PassingHandler<S> {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let (passing, r) = (self.0.clone(), r.clone());
        Flow::wait(async move { passing.serve(&r).await.unwrap_or_else(Stop::flow) })
    }

    fn destination(&self, r: &Rc<Request>) -> Option<Vec<u8>> {
        self.0.target.url(&self.0.schemes, r)
    }
}

impl<S: Speaker> Passing<S> {
    async fn serve(&self, r: &Rc<Request>) -> Result<Flow, Stop> {
        let Destination { named, secure, .. } = self.target.destination(r).map_err(Stop::Answer)?;
        let content = self.body.read(r).await?;
        let passage = Passage::begin(r, Bytes::from_static(self.schemes.name(secure).as_bytes()));
        if let Some(flow) = from_cache((r, &self.conf, &passage), (&Unchanged, &self.protocol), |_| {}).await? {
            return Ok(flow);
        }
        let mut out = passage.take_request();
        let is_kept = passage.caching().is_some_and(|caching| caching.is_cacheable());
        let params = if is_kept { self.params.for_cache() } else { &self.params };
        self.speaker.write(r, params, &content, &mut out).map_err(Stop::Answer)?;
        passage.set_request(out, 0..0);
        let upstream = look_up(named, r, &self.conf).await?;
        let protocol = self.protocol.clone();
        let secure = self
            .backend
            .as_ref()
            .filter(|_| secure)
            .map(|backend| (backend.clone(), backend.name_for(r, &upstream.name)));
        let exchange = Exchange { r, conf: &self.conf, upstream, passage: &passage, protocol, secure };
        let answer = exchange.run(content).await?;
        Ok(respond(&exchange, answer, &Unchanged, false).await)
    }
}

/// The upstream that a request goes to.
///
/// # Errors
/// As [`Named::look_up`].
pub async fn look_up(named: Named, r: &Rc<Request>, conf: &Conf) -> Result<Arc<Upstream>, Stop> {
    if let Named::Upstream(upstream) = named {
        return Ok(upstream);
    }
    let names = r.location().extensions.get::<NameService>();
    let resolver = names.map(|names| (&names.resolver, names.timeout));
    Box::pin(named.look_up(r, resolver, !conf.ignore_client_abort)).await
}
