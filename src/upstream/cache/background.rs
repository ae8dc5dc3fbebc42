//! `…_cache_background_update`: an old entry is served while a request of our own fetches a new one.

use std::rc::Rc;

use super::Caching;
use crate::http::{Flow, Request, Subrequest};

/// Asks the upstream once more what the client has asked for; `false` where that cannot be.
pub(super) fn update(r: &Rc<Request>, caching: &Rc<Caching>) -> bool {
    let wanted = Subrequest {
        uri: r.uri.borrow().clone(),
        args: r.args.borrow().clone(),
        method: Some(r.method.get()),
        with_body: true,
        beside: true,
        ..Subrequest::default()
    };
    let Ok(sub) = r.subrequest(wanted) else { return false };
    sub.continue_as(r);
    let Some(handler) = sub.content_handler() else { return false };
    let flow = handler.handle(&sub);
    // Until it has come to its end nobody else is to fetch the entry.
    let caching = caching.clone();
    tokio::task::spawn_local(async move {
        let flow = match flow {
            Flow::Async(work) => work.await,
            flow => flow,
        };
        if let Flow::Respond(mut response) = flow {
            while let Some(Ok(_)) = response.body.next().await {}
        }
        sub.finish_upstream();
        drop(caching);
    });
    true
}
