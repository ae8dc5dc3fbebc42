//! An upstream that a request names: it may have to be looked up first.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::address::Address;
use super::conf::Upstream;
use super::dns::Resolver;
use super::stop::Stop;
use crate::http::Request;
use crate::log::Level;

/// Where a request goes, as variables say it.
pub(crate) enum Named {
    /// An upstream of the configuration, or an address.
    Upstream(Arc<Upstream>),
    /// A name, and the port there.
    Host(Bytes, u16),
}

impl Named {
    /// The upstream's name, or the host.
    pub(crate) fn name(&self) -> &Bytes {
        match self {
            Named::Upstream(upstream) => &upstream.name,
            Named::Host(host, _) => host,
        }
    }

    /// The upstream; a host is looked up, by the resolver with its timeout.
    ///
    /// # Errors
    /// The status for a host that has no address, or 499 where the client did not wait.
    pub(crate) async fn look_up(
        &self,
        r: &Rc<Request>,
        resolver: Option<(&Arc<Resolver>, Duration)>,
        watches_client: bool,
    ) -> Result<Arc<Upstream>, Stop> {
        let (host, port) = match self {
            Named::Upstream(upstream) => return Ok(upstream.clone()),
            Named::Host(host, port) => (host, *port),
        };
        let Some((resolver, timeout)) = resolver else {
            r.log_with(Level::Error, |line| {
                line.put("no resolver defined to resolve ").bytes(host);
            });
            return Err(Stop::Answer(502));
        };
        let mut lookup = std::pin::pin!(resolver.resolve(&r.local, host, timeout));
        let client = r.client.as_ref().filter(|_| watches_client);
        let resolved = poll_fn(|cx| match lookup.as_mut().poll(cx) {
            Poll::Ready(resolved) => Poll::Ready(Ok(resolved)),
            Poll::Pending => client.map_or(Poll::Pending, |client| client.poll_gone(cx).map(Err)),
        });
        match resolved.await {
            Ok(Ok(resolved)) => {
                let address = |ip: &std::net::IpAddr| Address::Tcp(SocketAddr::new(*ip, port));
                let upstream = Upstream::passing(host.clone(), resolved.addresses.iter().map(address));
                Ok(Arc::new(upstream))
            }
            Ok(Err(fault)) => {
                let name = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
                r.log_with(Level::Error, |line| {
                    line.bytes(&name).put(format_args!(" {fault}"));
                });
                Err(Stop::Answer(502))
            }
            Err(()) => {
                r.log(Level::Info, "epoll_wait() reported that client prematurely closed connection");
                Err(Stop::Close(499))
            }
        }
    }
}
