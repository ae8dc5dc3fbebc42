//! The repairs that are surely meant, made on the texts of an inspection.

use std::collections::BTreeMap;

use super::Inspection;
use crate::{
    diag::{Certainty, Edit, FileId, Fix},
    load::{Origin, Sources},
    syntax::parse,
};

/// How many repairs are tried one by one, at most: the others are left for the next look.
const MOST_TRIED: usize = 100;

/// What repairs make of files.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// The new text of each file that changes, by its name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was done, one line a repair: `FILE:LINE: TITLE`.
    pub told: Vec<String>,
}

/// Makes all repairs of an inspection that are [sure](Certainty::Sure), do not touch each other, and leave no file with more
/// faults of syntax than it had. Nothing is written; one repair may uncover another, so that who wants them all looks again.
pub fn repair(look: &Inspection) -> Repaired {
    let sources = &look.loaded.sources;
    let sure = |fix: &&Fix| fix.certainty == Certainty::Sure && !fix.edits.is_empty();
    let (mut edits, mut fixes) = (Edits::new(), Vec::new());
    for fix in look.diagnostics.iter().filter_map(|said| said.fix.as_ref().filter(sure)) {
        if fits(sources, fix, &edits) {
            add(sources, fix, &mut edits);
            fixes.push(fix);
        }
    }
    let mut files = texts(sources, &edits);
    if is_worse(sources, &files) {
        // One of them at least was not what was meant.
        fixes = without_harm(sources, fixes);
        edits.clear();
        fixes.iter().for_each(|fix| add(sources, fix, &mut edits));
        files = texts(sources, &edits);
    }
    let told = fixes.iter().map(|fix| format!("{}: {}", sources.place(fix.edits[0].span), fix.title));
    Repaired { told: told.collect(), files }
}

/// What is to be changed in each file, by its name.
type Edits<'a> = BTreeMap<&'a str, Vec<&'a Edit>>;

fn add<'a>(sources: &'a Sources, fix: &'a Fix, edits: &mut Edits<'a>) {
    for edit in &fix.edits {
        edits.entry(&sources.get(edit.span.file).name).or_default().push(edit);
    }
}

fn texts(sources: &Sources, edits: &Edits<'_>) -> BTreeMap<String, Vec<u8>> {
    edits.iter().map(|(name, edits)| ((*name).to_owned(), edited(sources, edits))).collect()
}

/// Whether some file has more faults of syntax than before.
fn is_worse(sources: &Sources, files: &BTreeMap<String, Vec<u8>>) -> bool {
    let faults = |text: &[u8]| parse(FileId::default(), text).1.len();
    files.iter().any(|(name, text)| {
        let before = sources.iter().find(|source| source.name == *name);
        before.is_some_and(|before| faults(text) > faults(&before.text))
    })
}

/// Those of some repairs that, one after the other, do no harm.
fn without_harm<'a>(sources: &'a Sources, fixes: Vec<&'a Fix>) -> Vec<&'a Fix> {
    let (mut kept, mut edits) = (Vec::new(), Edits::new());
    for fix in fixes.into_iter().take(MOST_TRIED) {
        let before = edits.clone();
        add(sources, fix, &mut edits);
        if is_worse(sources, &texts(sources, &edits)) {
            edits = before;
        } else {
            kept.push(fix);
        }
    }
    kept
}

/// All of its edits are in files, and none touches one that is made already.
fn fits(sources: &Sources, fix: &Fix, made: &Edits<'_>) -> bool {
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
