//! rnginx: an interpreter for the nginx configuration language.
//!
//! The rooms, in import order: a room imports only rooms above it. `tests/house.rs` holds us to it.

pub mod diag;
pub mod log;
pub mod paths;
pub mod syntax;
