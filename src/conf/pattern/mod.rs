//! Regular expressions as sets of texts: what one matches, what one cannot match, and a text that shows the difference.
//!
//! The engine answers whether a text matches. Checks ask other things: is there a text that this one matches and that one
//! does not? Only patterns that are regular in the strict sense are read: no references, no looking around.

mod machine;
mod set;
mod tree;

pub use machine::{Answer, Machine, shortest};
pub use set::ByteSet;
pub use tree::{Node, Pattern};

use super::pcre;
use crate::http::{Regex, VarIndex};

/// Compiles a pattern for the engine that serves; its named groups stay without variables.
pub fn compile(pattern: &[u8], caseless: bool) -> Option<Regex> {
    let translated = pcre::translate(pattern).ok()?;
    Regex::new(pattern, &translated, caseless, |_| VarIndex(0)).ok()
}
