//! What the language allows: every directive and variable of nginx 1.28, read from `grammar/directives.conf`.

mod about;
mod arity;
mod context;
mod document;
mod key;
mod spec;
mod table;
pub mod value;

pub use about::about;
pub use arity::Arity;
pub use context::Context;
pub use document::document;
pub(crate) use key::key;
pub use spec::{DirectiveSpec, Opens, Presence, Rule, ValueType, VariableSpec, Version};
pub use table::Schema;
