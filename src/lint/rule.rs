//! A rule, and what is written about it.

use super::View;
use crate::diag::{Diagnostic, Span};

/// One lint: its code, its page and its check.
pub struct Rule {
    /// Kebab-case name, stable: people write it into comments.
    pub code: &'static str,
    /// What is wrong, in one line without a full stop.
    pub title: &'static str,
    /// What happens and why, as Markdown.
    pub why: &'static str,
    /// A configuration, site or fragment that it finds something in.
    pub bad: &'static str,
    /// The same as it should be.
    pub good: &'static str,
    /// When it is fine to allow it.
    pub allow: &'static str,
    pub(super) check: fn(&View<'_>, &mut Vec<Diagnostic>),
}

impl Rule {
    /// A finding of this rule.
    pub(super) fn at(&self, place: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.code, message).at(place)
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({})", self.code)
    }
}
