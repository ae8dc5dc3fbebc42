//! Text to tree, pure and total: a broken file still gives a tree and all its errors.

mod tree;

pub use tree::{Block, Directive, Word};
