//! What a request meets where requests are passed on.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::cookie::SettledCookies;
use super::headers::Headers;
use super::pass::{Target, Vars};
use super::redirect::{Rule, apply_first};
use super::request;
use crate::http::{Flow, PhaseHandler, Request, Script};
use crate::tls::Backend;
use crate::upstream::{
    BodyWanted, Conf, Content, Exchange, Named, Passage, Protocol, Resolver, Rewrite, Stop, Upstream, from_cache,
    respond,
};

/// Everything that `proxy_pass` and its kin say about a location, resolved.
pub struct Proxy {
    pub(super) conf: Arc<Conf>,
    pub(super) target: Target,
    /// How those are spoken to whose URL begins with `https`.
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) headers: Headers,
    /// The same for answers that may be kept.
    pub(super) cached_headers: Option<Headers>,
    pub(super) body: Option<Script>,
    pub(super) method: Option<Script>,
    pub(super) http_11: bool,
    pub(super) pass_request_headers: bool,
    pub(super) body_wanted: BodyWanted,
    pub(super) redirects: Vec<Arc<Rule>>,
    pub(super) cookies: SettledCookies,
    /// Whom to ask for hosts that variables name, and how long to wait.
    pub(super) resolver: Option<(Arc<Resolver>, Duration)>,
}

/// Answers all requests of a location.
pub struct Handler(pub(super) Arc<Proxy>);

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let (proxy, r) = (self.0.clone(), r.clone());
        Flow::wait(async move { proxy.serve(&r).await.unwrap_or_else(Stop::flow) })
    }

    fn destination(&self, r: &Rc<Request>) -> Option<Vec<u8>> {
        request::destination(&self.0, r)
    }
}

/// What `$proxy_host` and `$proxy_port` are for a request, where variables say where it goes.
#[derive(Default)]
pub(super) struct EvaluatedVars(pub(super) std::cell::RefCell<Vars>);

impl Proxy {
    /// How many bytes of a request's URI give way to the one written in `proxy_pass`.
    pub(super) fn prefix(&self) -> usize {
        match &self.target {
            Target::Fixed { prefix, .. } => *prefix,
            Target::Evaluated(_) => 0,
        }
    }

    async fn serve(&self, r: &Rc<Request>) -> Result<Flow, Stop> {
        // In a box: few requests have them, and all wait with room for them.
        let evaluated;
        let (upstream, vars): (Result<&Arc<Upstream>, &Named>, &Vars) = match &self.target {
            Target::Fixed { upstream, vars, .. } => (Ok(upstream), vars),
            Target::Evaluated(script) => {
                evaluated = Box::new(Target::evaluate(script, r).map_err(Stop::Answer)?);
                let (named, vars) = &*evaluated;
                *r.context::<EvaluatedVars>().0.borrow_mut() = vars.clone();
                (Err(named), vars)
            }
        };
        let content = self.body_wanted.read(r).await?;
        let passage = Passage::begin(r, vars.scheme.clone());
        let key = |out: &mut Vec<u8>| request::append_key(self, r, vars, out);
        if let Some(flow) = from_cache((r, &self.conf, &passage), (self, &Protocol::Http), key).await? {
            return Ok(flow);
        }
        let streamed = matches!(content, Content::Streamed { .. });
        let built = request::build(self, vars, r, &passage, streamed).map_err(Stop::Answer)?;
        let upstream = match upstream {
            Ok(upstream) => upstream.clone(),
            Err(named) => {
                let resolver = self.resolver.as_ref().map(|(resolver, timeout)| (resolver, *timeout));
                Box::pin(named.look_up(r, resolver, !self.conf.ignore_client_abort)).await?
            }
        };
        let secure = self.backend.as_ref().filter(|_| vars.is_secure());
        let secure = secure.map(|backend| (backend.clone(), backend.name_for(r, &vars.host)));
        let exchange = Exchange { r, conf: &self.conf, upstream, passage: &passage, protocol: Protocol::Http, secure };
        let answer = exchange.run(content).await?;
        Ok(respond(&exchange, answer, self, built.asks_head).await)
    }
}

impl Rewrite for Proxy {
    fn location(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>> {
        apply_first(&self.redirects, r, value, 0)
    }

    fn refresh(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>> {
        let at = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))?;
        apply_first(&self.redirects, r, value, at + 4)
    }

    fn cookie(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>> {
        self.cookies.apply(r, value)
    }
}
