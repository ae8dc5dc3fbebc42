//! Directives that hold in a block only until it has one of its own.

use std::borrow::Cow;

use super::{Rule, view::Block};
use crate::{
    diag::{Diagnostic, Fix},
    syntax::Directive,
};

/// So many of what is lost are marked, at most.
const SHOWN: usize = 8;

/// What a block loses of what stands around it.
pub(super) struct Lost<'v> {
    /// The first one of its own.
    pub(super) own: &'v Directive,
    /// Those around it that do not hold in it, without those that it repeats.
    pub(super) outer: Vec<&'v Directive>,
}

/// What a block loses by its own directives of a name. `key` says which of them mean the same thing.
pub(super) fn lost<'v>(block: Block<'v>, name: &str, key: fn(&Directive) -> String) -> Option<Lost<'v>> {
    let own = block.all(name);
    let first = own.first()?;
    let (_, outer) = block.parent()?.holds(name)?;
    let kept: Vec<_> = own.iter().map(|one| key(one)).collect();
    let outer: Vec<_> = outer.iter().copied().filter(|one| !kept.contains(&key(one))).collect();
    (!outer.is_empty()).then_some(Lost { own: first, outer })
}

impl Lost<'_> {
    /// What is lost, by its first argument.
    pub(super) fn names(&self) -> Vec<Cow<'_, str>> {
        let mut names: Vec<_> = self.outer.iter().map(|one| super::text::arg(one, 0)).collect();
        names.dedup();
        names
    }

    /// Says that it is lost.
    pub(super) fn said(&self, rule: &'static Rule, block: Block<'_>, message: String) -> Diagnostic {
        let said = rule.at(self.own.span(), message).label("with one of its own a block loses those around it");
        let said = self.outer.iter().take(SHOWN).fold(said, |said, outer| said.related(outer.span(), "this is lost"));
        said.help("repeat them in this block").fix(self.fix(block))
    }

    /// Repeats it before the block's own.
    fn fix(&self, block: Block<'_>) -> Fix {
        let sources = block.view().sources;
        let indent = sources.indent(self.own.name.span);
        let written = |one: &&Directive| {
            let text = String::from_utf8_lossy(sources.text(one.span())).into_owned();
            format!("{text};\n{indent}")
        };
        let text: String = self.outer.iter().map(written).collect();
        Fix::likely("repeat what is lost").before(self.own.name.span, text)
    }
}
