//! Lints: what nginx takes without a word, and what is most likely not meant. One rule, one file, with its page and its
//! examples.
//!
//! A lint is a warning and never an error. Those about matching ask the matcher that serves, and carry the request that shows
//! the fault.

mod allow;
mod lost;
mod page;
mod request;
mod rule;
mod rules;
mod text;
mod unread;
mod view;

pub use allow::Allows;
pub use page::{index, page};
pub use rule::Rule;

use std::collections::HashSet;

use crate::{
    diag::{Diagnostic, Severity, Span},
    load::{Loaded, Origin},
};
use view::{Block, View};

/// Every rule, by code.
pub fn rules() -> &'static [&'static Rule] {
    rules::ALL
}

/// The rule with this code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    rules().iter().find(|rule| rule.code == code).copied()
}

/// Everything that the rules find in a configuration, in nginx's order: all of it warnings.
///
/// `said` is what has been said before: nothing is added on a line with an error, and nothing that nginx warns of itself. What
/// a comment in the file allows is left out, and what is wrong with such comments is in.
pub fn lint(loaded: &Loaded, said: &[Diagnostic]) -> Vec<Diagnostic> {
    let view = View::new(loaded);
    let mut found = Vec::new();
    for rule in rules() {
        (rule.check)(&view, &mut found);
    }
    let broken: HashSet<_> = said
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .flat_map(|one| [one.at, one.nginx_at])
        .flatten()
        .map(|at| line(loaded, at))
        .collect();
    found.retain(|one| one.at.is_some_and(|at| is_written(loaded, at) && !broken.contains(&line(loaded, at))));
    unread::leave_out(&view, said, &mut found);
    let theirs: HashSet<_> = said.iter().filter(|one| one.code == "conflicting-name").map(|one| one.at).collect();
    found.retain(|one| one.code != "conflicting-server-name" || !theirs.contains(&one.at));
    let allows = Allows::read(loaded);
    let unused = allows.faults(found.iter().chain(said));
    allows.silence(&mut found);
    found.extend(unused);
    loaded.sources.sort(&mut found);
    found.dedup_by(|one, other| one.code == other.code && one.at == other.at);
    found
}

/// Whether it stands in a file, and not in what was supplied around one.
fn is_written(loaded: &Loaded, at: Span) -> bool {
    loaded.sources.get(at.file).origin != Origin::Supplied
}

fn line(loaded: &Loaded, at: Span) -> (u32, u32) {
    (at.file.0, loaded.sources.line(at))
}

#[cfg(test)]
mod tests;
