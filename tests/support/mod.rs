//! Parts shared by the test binaries: the conformance harness, built from raw sockets up.

pub mod backend;
pub mod case;
pub mod gateway;
pub mod normal;
pub mod place;
pub mod play;
pub mod ports;
pub mod render;
pub mod run;
pub mod script;
pub mod server;
pub mod text;
pub mod wire;
