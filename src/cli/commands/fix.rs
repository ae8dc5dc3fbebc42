//! `--fix`: the repairs that are surely meant, written into the files.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use super::{Failure, read};
use crate::{
    diag::{Certainty, Edit, Fix},
    inspect::{Inspection, Options, inspect},
    load::{Disk, Origin, Sources},
};

/// One repair may uncover another; more rounds than this would be a repair that repairs itself.
const ROUNDS: usize = 8;

/// Makes all sure repairs of what was seen, and looks again. A line for each goes to `told`.
pub(super) fn mend(mut look: Inspection, options: &Options, told: &mut Vec<String>) -> Result<Inspection, Failure> {
    for _ in 0..ROUNDS {
        let changed = apply(&look, told)?;
        if !changed {
            break;
        }
        look = inspect(&Disk, options);
    }
    Ok(look)
}

/// Whether anything was changed.
fn apply(look: &Inspection, told: &mut Vec<String>) -> Result<bool, Failure> {
    let sources = &look.loaded.sources;
    let mut edits: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    let sure = |fix: &&Fix| fix.certainty == Certainty::Sure && !fix.edits.is_empty();
    for said in &look.diagnostics {
        let Some(fix) = said.fix.as_ref().filter(sure) else { continue };
        if !fits(sources, fix, &edits) {
            continue;
        }
        for edit in &fix.edits {
            edits.entry(&sources.get(edit.span.file).name).or_default().push(edit);
        }
        told.push(format!("{}: {}", sources.place(fix.edits[0].span), fix.title));
    }
    for (name, edits) in &edits {
        write(Path::new(name), &edited(sources, edits))?;
    }
    Ok(!edits.is_empty())
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

/// Writes a file whole or not at all; a link stays one, and the rights stay what they are.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let failure = |error| read::failure(path, error);
    let real = path.canonicalize().map_err(failure)?;
    let rights = fs::metadata(&real).map_err(failure)?.permissions();
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = real.with_file_name(name);
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&new).and_then(|mut file| {
        file.set_permissions(rights)?;
        file.write_all(text)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, &real)).map_err(|error| {
        // What could not be written is not left behind.
        let _ = fs::remove_file(&new);
        failure(error)
    })
}
