//! The tree that the parser makes of a file.

use std::borrow::Cow;

use crate::diag::Span;

/// One token: a directive's name or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The bytes that nginx would see, quotes removed and escapes resolved.
    pub value: Box<[u8]>,
    /// Where it stands, quotes included.
    pub span: Span,
    /// Whether it was written in quotes.
    pub quoted: bool,
    /// A `{` inside it that was most likely meant for a part of it, as in `^/[a-z]{2}/`, and that begins a block to nginx. The
    /// check answers it with an error.
    pub brace: Option<Span>,
}

impl Word {
    /// The value as text, for messages; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// One statement: a name, arguments, and a block or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The first word.
    pub name: Word,
    /// The words behind it.
    pub args: Vec<Word>,
    /// The block, where the statement ended with `{`.
    pub block: Option<Block>,
    /// The `;` or `{` that ended the statement: the line that nginx names.
    pub end: Span,
}

impl Directive {
    /// From the name to the last word.
    pub fn span(&self) -> Span {
        let end = self.args.last().map_or(self.name.span.end, |word| word.span.end);
        Span { end, ..self.name.span }
    }

    /// The first `{` that was most likely meant for a part of a word: nginx had read no further when it complains.
    pub fn brace(&self) -> Option<(&Word, Span)> {
        self.args.iter().find_map(|word| Some((word, word.brace?)))
    }

    /// The directives of its block; none where it has no block.
    pub fn children(&self) -> &[Directive] {
        self.block.as_ref().map_or(&[], |block| &block.directives)
    }
}

/// What stands between `{` and `}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The `{`. It is [`Directive::end`] too, unless a stray `;` had ended the statement before it.
    pub open: Span,
    /// The statements in the order they were written.
    pub directives: Vec<Directive>,
    /// Whether statements were taken out because something was wrong with them.
    pub pruned: bool,
    /// The `}`, or the end of the file where it is missing.
    pub close: Span,
}
