//! Text to tree, pure and total: a broken file still gives a tree and all its errors.

mod balance;
mod fault;
mod lexer;
mod parser;
mod reader;
mod tokens;
mod tree;

pub(crate) use fault::{SURPLUS, UNCLOSED};
pub(crate) use parser::parse_to_the_letter;
pub use parser::{parse, parse_parameter};
pub use tokens::{Token, TokenKind, tokens};
pub use tree::{Block, Directive, Word};
