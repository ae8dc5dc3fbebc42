//! rnginx: an interpreter for the nginx configuration language.
//!
//! As a library it reads, checks and formats configurations, and mounts a compiled one as a `tower::Service` ([`Site`]):
//!
//! - [`inspect::inspect`] says everything that is wrong with a configuration or a part of one, and what is doubtful about it;
//! - [`load::load`] and [`syntax::parse`] give the tree, [`syntax::tokens`] every token and comment;
//! - [`format::format`] lays a text out anew;
//! - [`schema::Schema`] is the table of nginx's directives and variables.
//!
//! ```
//! use rnginx::{
//!     inspect::{Options, inspect},
//!     load::{Memory, sentence},
//! };
//!
//! let files = Memory::default().with("/site.conf", "server {\n    sever_name shop.test;\n}\n");
//! let look = inspect(&files, &Options { offline: true, ..Options::new("/site.conf") });
//! let first = &look.diagnostics[0];
//! assert_eq!(sentence(&look.loaded.sources, first), "unknown directive \"sever_name\" in /site.conf:2");
//! assert_eq!(first.help.as_deref(), Some("did you mean `server_name`?"));
//! ```
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
