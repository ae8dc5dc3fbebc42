//! Listeners, connections and the threads that serve them.

mod exchange;
mod fleet;
mod h1;
mod h2;
mod h2_guard;
mod h2_stream;
mod head;
mod listener;
mod proxy_protocol;
mod pump;
mod site;
mod stream;
mod thread;
mod tls;
mod tls_certificate;
mod tls_stream;

use std::rc::Rc;

use crate::http::{Connection, Local};

pub use fleet::{Fleet, ListenSocket};
pub(crate) use h1::head_limits;
pub use site::{Site, SiteBody, SiteError, SiteService};

/// A request runs on the newest cycle, if that still has the address of its connection.
fn move_on(thread: &thread::Thread, local: &mut Rc<Local>, connection: &Connection) {
    if thread.is_newest(local) {
        return;
    }
    let newest = thread.local();
    let address = &local.cycle.listens[connection.listen.get()].spec.address;
    let listen = newest.cycle.listens.iter().position(|listen| listen.spec.address == *address);
    if let Some(listen) = listen {
        connection.listen.set(listen);
        *local = newest;
        thread.moved_on(connection.number);
    }
}
