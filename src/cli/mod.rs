//! The command line.

mod args;
mod version;
