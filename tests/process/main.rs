//! Real processes: the command line, start and end, signals, reload, a new binary. Root and plain users where they differ.

#![expect(clippy::unwrap_used, reason = "a test that fails here says where")]

mod backend;
mod cache;
mod client;
mod command_line;
mod faults;
mod kept;
mod load;
mod place;
mod reload;
mod service;
mod signals;
mod soak;
mod start;
mod unbroken;
mod upgrade;
mod upstreams;
