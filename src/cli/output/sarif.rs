//! Diagnostics as SARIF 2.1.0, for code forges and security dashboards.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::{Value, json};

use super::{
    json::severity,
    place::{self, Place},
};
use crate::{
    diag::{CODES, Diagnostic, Fix},
    inspect::{Inspection, finding},
    lint,
};

/// One run of one tool.
pub(super) fn print(out: &mut dyn Write, looks: &[Inspection]) -> io::Result<()> {
    let all = || looks.iter().flat_map(|look| look.diagnostics.iter().map(move |said| (look, said)));
    let codes: std::collections::BTreeSet<_> = all().map(|(_, said)| said.code).collect();
    let index: BTreeMap<_, _> = codes.iter().enumerate().map(|(at, code)| (*code, at)).collect();
    let rules: Vec<_> = codes.iter().map(|code| rule(code)).collect();
    let results: Vec<_> = all().map(|(look, said)| result(look, said, index[said.code])).collect();
    let driver = json!({
        "name": "rnginx",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn rule(code: &str) -> Value {
    let mut value = json!({ "id": code, "shortDescription": { "text": code.replace('-', " ") } });
    if let Some(known) = CODES.iter().find(|known| known.code == code) {
        value["shortDescription"] = json!({ "text": known.meaning });
    }
    if let Some(finding) = finding(code) {
        value["help"] = json!({ "text": finding.why, "markdown": finding.page() });
    }
    if let Some(rule) = lint::rule(code) {
        value["shortDescription"] = json!({ "text": rule.title });
        value["help"] = json!({ "text": rule.why.trim(), "markdown": lint::page(rule) });
    }
    value
}

fn result(look: &Inspection, said: &Diagnostic, rule: usize) -> Value {
    let parts = [Some(&said.message), said.label.as_ref(), said.help.as_ref()];
    let text: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    let related = said.related.iter().map(|(span, label)| {
        let mut location = location(&place::at(look, *span));
        location["message"] = json!({ "text": label });
        location
    });
    let mut result = json!({
        "ruleId": said.code,
        "ruleIndex": rule,
        "level": severity(said.severity),
        "message": { "text": text.join("\n") },
        "locations": [location(&place::of(look, said))],
        "relatedLocations": related.collect::<Vec<_>>(),
    });
    if let Some(fix) = said.fix.as_ref().filter(|fix| !fix.edits.is_empty()) {
        result["fixes"] = json!([repair(look, fix)]);
    }
    result
}

fn location(place: &Place) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": crate::paths::uri(&place.file) }, "region": region(place) } })
}

fn region(place: &Place) -> Value {
    let Place { line, column, end_line, end_column, .. } = place;
    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
}

fn repair(look: &Inspection, fix: &Fix) -> Value {
    let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        let place = place::at(look, edit.span);
        let replacement = json!({ "deletedRegion": region(&place), "insertedContent": { "text": edit.text } });
        files.entry(place.file).or_default().push(replacement);
    }
    let changes = files
        .into_iter()
        .map(|(file, replacements)| json!({ "artifactLocation": { "uri": crate::paths::uri(&file) }, "replacements": replacements }));
    json!({ "description": { "text": fix.title }, "artifactChanges": changes.collect::<Vec<_>>() })
}
