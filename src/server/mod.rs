//! Listeners, connections and the threads that serve them.

mod exchange;
mod fleet;
mod h1;
mod h2;
mod head;
mod listener;
mod proxy_protocol;
mod site;
mod stream;
mod thread;
mod tls;
mod tls_stream;

pub use fleet::{Fleet, ListenSocket};
pub(crate) use h1::head_limits;
pub use site::{Site, SiteBody, SiteError, SiteService};
