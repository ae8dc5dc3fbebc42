//! rnginx: an interpreter for the nginx configuration language.
//!
//! The rooms, in import order: a room imports only rooms above it. `tests/house.rs` holds us to it.

pub mod diag;
pub mod syntax;

pub mod schema;

#[allow(dead_code, reason = "the engine is not wired to it yet")]
mod http;
pub mod log;
pub mod paths;

#[allow(dead_code, reason = "the command line is not wired to it yet")]
mod process;

#[allow(dead_code, reason = "the program is not wired to it yet")]
mod cli;
