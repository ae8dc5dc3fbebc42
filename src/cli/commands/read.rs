//! Which files a command reads: those that were named, and in folders those that are configurations.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use super::{Failure, stream::STDIN};
use crate::{
    cli::{output::report, terminal_of},
    diag::Severity,
    inspect::{Inspection, infer},
    schema::Schema,
    syntax::{Directive, parse},
};

/// A file to read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Whether it was found in a folder: one that another file includes needs no look of its own.
    pub(super) in_folder: bool,
}

/// The files behind some operands. Whole configurations come first, so that what they include is known.
pub(super) fn files(operands: &[OsString]) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for operand in operands {
        let path = Path::new(operand);
        if operand == STDIN {
            found.push(Found { path: path.to_owned(), in_folder: false });
            continue;
        }
        let kind = fs::metadata(path).map_err(|error| failure(path, error))?;
        if kind.is_dir() {
            let mut inside = Vec::new();
            walk(path, &mut inside, &mut HashSet::new())?;
            inside.sort();
            inside.sort_by_key(|path| !is_whole(path));
            found.extend(inside.into_iter().map(|path| Found { path, in_folder: true }));
        } else {
            found.push(Found { path: path.to_owned(), in_folder: false });
        }
    }
    Ok(found)
}

pub(super) fn failure(path: &Path, error: std::io::Error) -> Failure {
    Failure::File(path.display().to_string(), error)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>, seen: &mut HashSet<PathBuf>) -> Result<(), Failure> {
    let real = folder.canonicalize().map_err(|error| failure(folder, error))?;
    if !seen.insert(real) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(|error| failure(folder, error))? {
        let path = entry.map_err(|error| failure(folder, error))?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.is_empty() || name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() {
            walk(&path, found, seen)?;
        } else if path.is_file() && is_configuration(&path, name) {
            found.push(path);
        }
    }
    Ok(())
}

/// By its name, or where that has no ending, by what it holds.
fn is_configuration(path: &Path, name: &str) -> bool {
    match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("conf" | "nginx" | "vhost") => true,
        Some("types") => name == "mime.types",
        Some(ending) if !matches!(ending, "com" | "net" | "org" | "local" | "dev" | "io" | "localhost") => false,
        _ => fs::read(path).is_ok_and(|text| holds_directives(&text)),
    }
}

/// Whether most statements are nginx's.
fn holds_directives(text: &[u8]) -> bool {
    let (tree, _) = parse(crate::diag::FileId::default(), text);
    let known = |directive: &&Directive| Schema::nginx().named(&directive.name.value).next().is_some();
    !text.contains(&0) && tree.iter().filter(known).count() * 2 > tree.len()
}

fn is_whole(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| infer(Schema::nginx(), &path.to_string_lossy(), &text).is_none())
}

/// Says on stderr what nginx would refuse in a configuration.
pub(super) fn tell_errors(look: &Inspection) -> std::io::Result<()> {
    let errors: Vec<_> = look.diagnostics.iter().filter(|said| said.severity == Severity::Error).cloned().collect();
    let stderr = std::io::stderr();
    let style = terminal_of(&stderr).unwrap_or(report::Style::Plain);
    report::print(&mut stderr.lock(), &look.loaded.sources, &errors, style)
}
