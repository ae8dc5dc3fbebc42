//! A brace too few or too many: which one it is, by how the lines are indented.

use super::{Directive, lexer};
use crate::diag::Span;

/// A block that seems to be left open.
pub(super) struct Unclosed {
    /// Its directive.
    pub opening: Span,
    /// The last thing that seems to be meant for it.
    pub last: Span,
    /// What stands behind it, no further to the right: a directive, or a `}` that closes it by mistake.
    pub behind: Span,
    /// Whether it is a `}`.
    pub is_close: bool,
}

/// A `}` that seems to be one too many.
pub(super) struct Surplus {
    /// It stands further to the right than the block that it closes.
    pub close: Span,
    /// The directive of that block.
    pub opening: Span,
}

/// The lines of a text.
pub(super) struct Lines<'a>(pub &'a [u8]);

impl<'a> Lines<'a> {
    /// The first block that was left open, of a tree in which some block was not closed.
    pub fn unclosed(&self, tree: &[Directive]) -> Option<Unclosed> {
        let mut first = None;
        self.walk(tree, &mut |directive| keep_first(&mut first, self.left_open(directive), |one| one.behind));
        first
    }

    /// The first `}` too many, of a tree behind which some was left.
    pub fn surplus(&self, tree: &[Directive]) -> Option<Surplus> {
        let mut first = None;
        self.walk(tree, &mut |directive| keep_first(&mut first, self.closed_early(directive), |one| one.close));
        first
    }

    /// What a line begins with, as text.
    pub fn indent_of(&self, span: Span) -> String {
        String::from_utf8_lossy(self.indent(span).unwrap_or_default()).into_owned()
    }

    fn walk(&self, directives: &[Directive], see: &mut dyn FnMut(&Directive)) {
        for directive in directives {
            see(directive);
            self.walk(directive.children(), see);
        }
    }

    /// A block's lines stand further to the right than it does; the first that does not is not meant for it.
    fn left_open(&self, directive: &Directive) -> Option<Unclosed> {
        let block = directive.block.as_ref()?;
        let opening = directive.span();
        let own = self.indent(opening)?;
        let (mut last, mut is_deep) = (block.open, false);
        let left = |last, behind, is_close| Some(Unclosed { opening, last, behind, is_close });
        for child in &block.directives {
            match self.indent(child.span()) {
                Some(indent) if is_deeper(indent, own) => is_deep = true,
                Some(indent) if is_deep && own.starts_with(indent) => return left(last, child.span(), false),
                _ => {}
            }
            last = child.block.as_ref().map_or(child.end, |block| block.close);
        }
        let close = self.indent(block.close).filter(|_| block.close.start < block.close.end)?;
        if is_deeper(own, close) { left(last, block.close, true) } else { None }
    }

    fn closed_early(&self, directive: &Directive) -> Option<Surplus> {
        let block = directive.block.as_ref()?;
        let opening = directive.span();
        let is_early = is_deeper(self.indent(block.close)?, self.indent(opening)?);
        is_early.then_some(Surplus { close: block.close, opening })
    }

    /// What a line begins with; none where `span` is not the first thing on it.
    fn indent(&self, span: Span) -> Option<&'a [u8]> {
        let line = self.0[..span.start as usize].rsplit(|&byte| byte == b'\n').next()?;
        line.iter().all(|&byte| lexer::is_space(byte)).then_some(line)
    }
}

/// Where tabs and spaces are mixed nothing can be said.
fn is_deeper(one: &[u8], other: &[u8]) -> bool {
    one.len() > other.len() && one.starts_with(other)
}

fn keep_first<T>(first: &mut Option<T>, found: Option<T>, place: fn(&T) -> Span) {
    let Some(found) = found else { return };
    if first.as_ref().is_none_or(|first| place(&found).start < place(first).start) {
        *first = Some(found);
    }
}
