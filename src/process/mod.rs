//! Master and worker: privileges, sockets handed on, signals, reload.

mod channel;
mod fork;
mod pid;
mod signals;
mod title;

pub use signals::Order;
