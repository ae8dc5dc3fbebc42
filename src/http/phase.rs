//! Phases, handlers and filters: the fixed order of nginx, and what a handler may ask for.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::{Request, Response};

/// The phases of a request in nginx's order. Content handlers of a location that has one of its own
/// (`proxy_pass`, `return` has none) stand apart, in [`super::Location::content`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Right behind the head (`realip`).
    PostRead,
    /// `rewrite`, `if`, `return`, `set` of the server block.
    ServerRewrite,
    /// `rewrite`, `if`, `return`, `set` of the location.
    Rewrite,
    /// Limits (`limit_conn`, `limit_req`).
    Preaccess,
    /// `allow`, `auth_basic`, `auth_request`, under `satisfy`.
    Access,
    /// `try_files`, `mirror`.
    Precontent,
    /// `index`, `autoindex`, static files.
    Content,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = Phase::Content as usize + 1;
}

/// Work that ends in a [`Flow`]; it runs on the thread that owns the request.
pub type FlowFuture = Pin<Box<dyn Future<Output = Flow>>>;

/// What a handler asks the engine to do next.
pub enum Flow {
    /// Not mine: ask the next handler.
    Declined,
    /// The phase is settled; in the access phase, access is granted.
    Ok,
    /// Answer with this status: nginx's page or the location's `error_page`.
    Finalize(u16),
    /// Answer with this response.
    Respond(Box<Response>),
    /// Begin again with another URI, as an internal request.
    Redirect {
        /// The new path, normalised.
        uri: Vec<u8>,
        /// The new arguments, without `?`.
        args: Vec<u8>,
    },
    /// Go on in the named location `@name` (the name without `@`).
    Named(Vec<u8>),
    /// Wait, then go on with the next handler.
    Delay(Duration),
    /// Wait for this work, then do what it says.
    Async(FlowFuture),
    /// Close the connection without an answer (444, 499).
    Close(u16),
}

impl Flow {
    /// Boxes work into [`Flow::Async`].
    pub fn wait(work: impl Future<Output = Flow> + 'static) -> Self {
        Flow::Async(Box::pin(work))
    }

    /// Boxes a response into [`Flow::Respond`].
    pub fn respond(response: Response) -> Self {
        Flow::Respond(Box::new(response))
    }
}

/// One step of a phase, installed in a location by a module.
pub trait PhaseHandler: Send + Sync {
    /// Looks at the request and says what comes next.
    fn handle(&self, r: &Rc<Request>) -> Flow;

    /// The type's path, for those who tell what happens.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The URL that the request would be sent to, of a handler that sends requests on.
    fn destination(&self, _r: &Rc<Request>) -> Option<Vec<u8>> {
        None
    }
}

/// The filters in the order in which nginx runs them over a response's head; the body passes through
/// them in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterSlot {
    /// `slice`.
    Slice,
    /// Conditional requests.
    NotModified,
    /// Ranges over the body as the content handler made it; the head is settled in [`FilterSlot::RangeHeader`].
    RangeBody,
    /// `add_header`, `expires`.
    Headers,
    /// `userid`.
    Userid,
    /// `gunzip`.
    Gunzip,
    /// `add_before_body`, `add_after_body`.
    Addition,
    /// `sub_filter`.
    Sub,
    /// `charset`.
    Charset,
    /// `ssi`.
    Ssi,
    /// Where answers to subrequests join the body.
    Postpone,
    /// `gzip`.
    Gzip,
    /// Range requests.
    RangeHeader,
}

/// One step over a response before it is sent.
pub trait Filter: Send + Sync {
    /// Changes the head and wraps the body. `Err(status)` drops the response and answers with nginx's
    /// page for the status, as a header filter of nginx that returns one does.
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16>;
}

/// What runs when a request has ended, sent or not (`access_log`, `limit_conn`'s release).
pub trait LogHandler: Send + Sync {
    /// Looks at the ended request.
    fn log(&self, r: &Request);
}
