//! Repairs that a machine can make: for `check --fix`, and for the quick fixes of an editor.

use super::Span;

/// Whether a repair may be made unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is what was meant: `check --fix` makes it.
    Sure,
    /// It is likely what was meant, or it changes what is served: only a person may choose it.
    Likely,
}

/// Other bytes for those of a span; an empty span is a place to insert at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is taken out.
    pub span: Span,
    /// What is put there.
    pub text: String,
}

/// All of these edits, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in the imperative: ``add the missing `;` ``.
    pub title: String,
    /// The edits, sorted by place; they do not overlap.
    pub edits: Vec<Edit>,
    /// Whether it may be made unasked.
    pub certainty: Certainty,
}

impl Fix {
    /// A repair that is surely meant, without edits yet.
    pub fn sure(title: impl Into<String>) -> Self {
        Self { title: title.into(), edits: Vec::new(), certainty: Certainty::Sure }
    }

    /// A repair for a person to choose, without edits yet.
    pub fn likely(title: impl Into<String>) -> Self {
        Self { certainty: Certainty::Likely, ..Self::sure(title) }
    }

    /// Puts a text in the place of a span.
    #[must_use]
    pub fn replace(mut self, span: Span, text: impl Into<String>) -> Self {
        let at = self.edits.partition_point(|edit| edit.span <= span);
        self.edits.insert(at, Edit { span, text: text.into() });
        self
    }

    /// Takes a span out.
    #[must_use]
    pub fn remove(self, span: Span) -> Self {
        self.replace(span, "")
    }

    /// Puts a text before a span.
    #[must_use]
    pub fn before(self, span: Span, text: impl Into<String>) -> Self {
        self.replace(Span { end: span.start, ..span }, text)
    }

    /// Puts a text behind a span.
    #[must_use]
    pub fn behind(self, span: Span, text: impl Into<String>) -> Self {
        self.replace(Span { start: span.end, ..span }, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_stand_in_the_order_of_their_places() {
        let span = |start, end| Span { start, end, ..Span::default() };
        let fix = Fix::sure("x").behind(span(8, 9), ";").remove(span(4, 5)).before(span(1, 2), "a");
        let places: Vec<_> =
            fix.edits.iter().map(|edit| (edit.span.start, edit.span.end, edit.text.as_str())).collect();
        assert_eq!(places, [(1, 1, "a"), (4, 5, ""), (9, 9, ";")]);
    }
}
