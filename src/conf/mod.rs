//! Load-time kit for modules: typed directives, inheritance, names, and the builder of locations.

mod args;
mod builder;
mod cidr;
mod ctx;
mod inherit;
mod module;
mod names;
pub(crate) mod pattern;
mod pcre;
mod resources;
mod script;
mod temp_path;
mod zones;

pub use args::Args;
pub use builder::LocationBuilder;
pub use cidr::Cidr;
pub use ctx::{Ctx, LocationName, NodeId, NodeKind};
pub use inherit::Inherit;
pub use module::{AnyModule, Command, Module, SetResult, assign, erase};
pub use resources::Resources;
pub use script::compile_regex;
pub use temp_path::{claim_default, claim_folder, temp_path};
