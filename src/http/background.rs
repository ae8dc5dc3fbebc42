//! Work that goes on beside requests for as long as a cycle is the newest one, on one thread of the worker.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::Local;

/// Work beside requests.
pub(crate) trait Background: Send + Sync {
    /// Works until it is dropped.
    fn work(self: Arc<Self>, local: Rc<Local>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// All such work of a cycle, in its extensions.
#[derive(Clone, Default)]
pub(crate) struct BackgroundWork(pub(crate) Vec<Arc<dyn Background>>);
