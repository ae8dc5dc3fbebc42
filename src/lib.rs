//! rnginx: an interpreter for the nginx configuration language.
//!
//! The rooms, in import order: a room imports only rooms above it. `tests/house.rs` holds us to it.

#![allow(dead_code, reason = "the kits are whole; the modules that need the rest of them come one by one")]

pub mod diag;

pub mod log;

pub mod paths;

pub mod syntax;

pub mod format;

pub mod schema;

pub mod load;

pub mod check;

mod http;

mod h1;

mod tls;

mod cache;

mod upstream;

mod conf;

mod modules;

mod cycle;

pub mod lint;

mod server;

mod process;

pub mod inspect;

mod lsp;

pub mod cli;

pub use server::{Site, SiteBody, SiteError, SiteService};

#[doc(hidden)]
pub use modules::commands_without_rows;
