//! The command line.

mod args;
mod report;
mod version;
