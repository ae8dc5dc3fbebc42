//! Listeners, connections and the threads that serve them.

mod exchange;
mod fleet;
mod h1;
mod h2;
mod head;
mod listener;
mod ocsp;
mod proxy_protocol;
mod pump;
mod site;
mod stream;
mod thread;
mod tls;
mod tls_certificate;
mod tls_stream;

use std::rc::Rc;

use crate::http::{Connection, Listen, Local};

pub use fleet::{Fleet, ListenSocket};
pub(crate) use h1::head_limits;
pub(crate) use head::settle as settle_head;
pub use site::{Site, SiteBody, SiteError, SiteService};

/// A request runs on the newest cycle, if that still has the address of its connection, and connections to it begin as this
/// one did. Where it has not, the connection ends with this request.
fn move_on(thread: &thread::Thread, local: &mut Rc<Local>, connection: &Connection) {
    if thread.is_newest(local) {
        return;
    }
    let newest = thread.local();
    let old = &local.cycle.listens[connection.listen.get()];
    let begins = |listen: &Listen| {
        let servers = listen.virtual_servers(connection.local.map(|local| local.ip()));
        (servers.ssl, servers.proxy_protocol)
    };
    let is_same = |listen: &Listen| listen.spec.address == old.spec.address && begins(listen) == begins(old);
    match newest.cycle.listens.iter().position(is_same) {
        Some(listen) => {
            connection.listen.set(listen);
            *local = newest;
            thread.moved_on(connection.number);
        }
        None => connection.left.set(true),
    }
}
