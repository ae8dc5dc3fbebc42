//! Listeners, connections and the threads that serve them.

mod fleet;
mod h1;
mod h2;
mod listener;
mod stream;
mod thread;
mod timer;

pub use fleet::{Fleet, ListenSocket};
