//! Where a diagnostic is, as programs count: lines and columns from 1, columns in characters.

use crate::{
    diag::{Diagnostic, Span},
    inspect::Inspection,
    load::{Origin, Source},
};

/// A range of a file; its end is behind the last character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
}

/// Where a diagnostic is; the beginning of the main file for one without a place.
pub(super) fn of(look: &Inspection, said: &Diagnostic) -> Place {
    let span = said.at.or(said.nginx_at).filter(|span| look.loaded.sources.get(span.file).origin != Origin::Supplied);
    let span = span.or_else(|| look.loaded.sources.main());
    match span {
        Some(span) => at(look, span),
        None => Place { file: look.paths.conf.display().to_string(), line: 1, column: 1, end_line: 1, end_column: 1 },
    }
}

/// Where a span is.
pub(super) fn at(look: &Inspection, span: Span) -> Place {
    let source = look.loaded.sources.get(span.file);
    let (line, column) = position(source, span.start);
    let (end_line, end_column) = position(source, span.end);
    Place { file: source.name.clone(), line, column, end_line, end_column }
}

fn position(source: &Source, offset: u32) -> (u32, u32) {
    let bytes = source.column(offset) - 1;
    let start = (offset - bytes) as usize;
    let before = String::from_utf8_lossy(&source.text[start..offset as usize]);
    (source.line(offset), before.chars().count() as u32 + 1)
}
