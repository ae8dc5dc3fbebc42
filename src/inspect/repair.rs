//! The repairs that are surely meant, made on the texts of an inspection.

use std::collections::BTreeMap;

use super::Inspection;
use crate::{
    diag::{Certainty, Edit, Fix},
    load::{Origin, Sources},
};

/// What repairs make of files.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// The new text of each file that changes, by its name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was done, one line a repair: `FILE:LINE: TITLE`.
    pub told: Vec<String>,
}

/// Makes all repairs of an inspection that are [sure](Certainty::Sure) and do not touch each other. Nothing is written; one
/// repair may uncover another, so that who wants them all looks again.
pub fn repair(look: &Inspection) -> Repaired {
    let sources = &look.loaded.sources;
    let (mut edits, mut told) = (BTreeMap::<&str, Vec<&Edit>>::new(), Vec::new());
    let sure = |fix: &&Fix| fix.certainty == Certainty::Sure && !fix.edits.is_empty();
    for fix in look.diagnostics.iter().filter_map(|said| said.fix.as_ref().filter(sure)) {
        if !fits(sources, fix, &edits) {
            continue;
        }
        for edit in &fix.edits {
            edits.entry(&sources.get(edit.span.file).name).or_default().push(edit);
        }
        told.push(format!("{}: {}", sources.place(fix.edits[0].span), fix.title));
    }
    let files = edits.iter().map(|(name, edits)| ((*name).to_owned(), edited(sources, edits))).collect();
    Repaired { files, told }
}

/// All of its edits are in files, and none touches one that is made already.
fn fits(sources: &Sources, fix: &Fix, made: &BTreeMap<&str, Vec<&Edit>>) -> bool {
    fix.edits.iter().all(|edit| {
        let source = sources.get(edit.span.file);
        let others = made.get(&*source.name).into_iter().flatten();
        let apart = |other: &&Edit| edit.span.end < other.span.start || other.span.end < edit.span.start;
        source.origin == Origin::File && others.into_iter().all(apart)
    })
}

fn edited(sources: &Sources, edits: &[&Edit]) -> Vec<u8> {
    let Some(first) = edits.first() else { return Vec::new() };
    let mut edits = edits.to_vec();
    edits.sort_by_key(|edit| edit.span.start);
    let text = &sources.get(first.span.file).text;
    let (mut out, mut done) = (Vec::with_capacity(text.len()), 0);
    for edit in edits {
        out.extend_from_slice(&text[done..edit.span.start as usize]);
        out.extend_from_slice(edit.text.as_bytes());
        done = edit.span.end as usize;
    }
    out.extend_from_slice(&text[done..]);
    out
}
