//! Real processes: the command line, start and end, signals, reload, a new binary. Root and plain users where they differ.

#![expect(clippy::unwrap_used, reason = "a test that fails here says where")]

mod cache;
mod client;
mod command_line;
mod faults;
mod place;
mod reload;
mod service;
mod signals;
mod start;
mod upgrade;
