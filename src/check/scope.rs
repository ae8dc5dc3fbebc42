//! What the directives of one block have set so far.

use std::collections::HashMap;

use super::value::Fault;
use crate::{
    diag::{Diagnostic, Span},
    schema::DirectiveSpec,
    syntax::Directive,
};

/// The values of one block.
#[derive(Default)]
pub(super) struct Scope {
    /// By slot: the directive that filled it.
    singles: Vec<(&'static str, &'static str, Span)>,
    /// By slot: the words that add up in it.
    sets: HashMap<&'static str, Vec<Vec<u8>>>,
}

impl Scope {
    /// `"x" directive is duplicate`, and its kin for two directives that exclude each other.
    pub(super) fn enter(&mut self, directive: &Directive, spec: &'static DirectiveSpec) -> Result<(), Fault> {
        if !spec.single {
            return Ok(());
        }
        let first = self.singles.iter().find(|(slot, name, _)| *slot == spec.slot || spec.rival == Some(name));
        let Some((_, earlier, at)) = first else {
            self.singles.push((spec.slot, spec.name, directive.name.span));
            return Ok(());
        };
        let name = spec.name;
        let message = match spec.rival {
            Some(rival) if rival == *earlier => {
                format!("\"{name}\" directive is duplicate, \"{rival}\" directive was specified earlier")
            }
            _ => format!("\"{name}\" directive is duplicate"),
        };
        let fault = Diagnostic::error("duplicate-directive", message).at(directive.name.span);
        Err(Box::new(fault.label("a block takes one").related(*at, "the first one")))
    }

    /// Adds a word to those of a slot; false where it is among them. `first` are those it has from the start.
    pub(super) fn add(&mut self, spec: &DirectiveSpec, word: &[u8], first: &[&str]) -> bool {
        let start = || first.iter().map(|word| word.as_bytes().to_vec()).collect();
        let words = self.sets.entry(spec.slot).or_insert_with(start);
        let word = word.to_ascii_lowercase();
        let is_new = !words.contains(&word);
        if is_new {
            words.push(word);
        }
        is_new
    }

    /// Takes a word out of a slot.
    pub(super) fn remove(&mut self, spec: &DirectiveSpec, word: &[u8]) {
        if let Some(words) = self.sets.get_mut(spec.slot) {
            words.retain(|one| one != word);
        }
    }
}
