//! Diagnostics for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::place::{self, Place};
use crate::{
    diag::{Certainty, Diagnostic, Fix, Severity},
    inspect::Inspection,
};

/// One object: `{"diagnostics": […]}`.
pub(super) fn print(out: &mut dyn Write, looks: &[Inspection]) -> io::Result<()> {
    let all = looks.iter().flat_map(|look| look.diagnostics.iter().map(|said| diagnostic(look, said)));
    serde_json::to_writer_pretty(&mut *out, &json!({ "diagnostics": all.collect::<Vec<_>>() }))?;
    writeln!(out)
}

/// `error`, `warning` or `note`.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn diagnostic(look: &Inspection, said: &Diagnostic) -> Value {
    let related = said.related.iter().map(|(span, label)| with(place::at(look, *span), "message", json!(label)));
    let mut value = with(place::of(look, said), "severity", json!(severity(said.severity)));
    value["code"] = json!(said.code);
    value["message"] = json!(said.message);
    value["label"] = json!(said.label);
    value["help"] = json!(said.help);
    value["related"] = related.collect();
    if let Some(fix) = &said.fix {
        value["fix"] = repair(look, fix);
    }
    value
}

fn repair(look: &Inspection, fix: &Fix) -> Value {
    let edits = fix.edits.iter().map(|edit| with(place::at(look, edit.span), "text", json!(edit.text)));
    json!({ "title": fix.title, "sure": fix.certainty == Certainty::Sure, "edits": edits.collect::<Vec<_>>() })
}

fn with(place: Place, key: &str, value: Value) -> Value {
    let Place { file, line, column, end_line, end_column } = place;
    let mut object =
        json!({ "file": file, "line": line, "column": column, "end_line": end_line, "end_column": end_column });
    object[key] = value;
    object
}
