//! The configuration as it is in force: every block with what it inherits, each line with its place.

use super::{
    Inspection,
    effective::{InForce, Nest, Nests, words},
};
use crate::{load::Origin, syntax::Directive};

/// One line of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The directive and its arguments as they were written, without `;`.
    pub text: String,
    /// Where it is written: `FILE:LINE`, or who supplied it.
    pub place: String,
    /// Whether it is written in a block around this one.
    pub inherited: bool,
    /// Whether nobody wrote it: it stands around a file that is a part of a configuration.
    pub supplied: bool,
    /// What stands in its block; none for a line without one.
    pub block: Option<Vec<Line>>,
}

/// The whole configuration in force: what a block inherits comes first in it, the nearest blocks' first.
pub fn dump(look: &Inspection) -> Vec<Line> {
    let nests = Nests::new(look);
    nests.all().first().map_or_else(Vec::new, |root| block(look, &nests, root))
}

fn block(look: &Inspection, nests: &Nests<'_>, nest: &Nest<'_>) -> Vec<Line> {
    let in_force = nest.in_force();
    let is_supplied =
        |line: &InForce<'_>| look.loaded.sources.get(line.directive.name.span.file).origin == Origin::Supplied;
    let inherited = in_force.iter().filter(|line| line.inherited && !is_supplied(line));
    let own = in_force.iter().filter(|line| !line.inherited);
    inherited.chain(own).map(|line| one(look, nests, line)).collect()
}

fn one(look: &Inspection, nests: &Nests<'_>, line: &InForce<'_>) -> Line {
    let InForce { directive, inherited, .. } = *line;
    let inside = directive.block.is_some().then(|| match nests.at(directive.name.span) {
        Some(nest) => block(look, nests, nest),
        None => directive.children().iter().map(|entry| entry_of(look, entry)).collect(),
    });
    let supplied = look.loaded.sources.get(directive.name.span.file).origin == Origin::Supplied;
    Line { text: words(look, directive), place: place(look, directive), inherited, supplied, block: inside }
}

/// A line of a table.
fn entry_of(look: &Inspection, entry: &Directive) -> Line {
    Line { text: words(look, entry), place: place(look, entry), inherited: false, supplied: false, block: None }
}

/// Where a directive is written.
pub(super) fn place(look: &Inspection, directive: &Directive) -> String {
    let source = look.loaded.sources.get(directive.name.span.file);
    match source.origin {
        Origin::Supplied => source.name.clone(),
        _ => look.loaded.sources.place(directive.name.span),
    }
}
