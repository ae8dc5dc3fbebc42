//! Quick fixes: the repairs that come with diagnostics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::{Document, place};
use crate::diag::{Certainty, Diagnostic, Fix};

pub(super) fn actions(document: &Document, range: &Value) -> Value {
    let (start, end) = (document.offset(&range["start"]), document.offset(&range["end"]));
    let touches = |said: &&Diagnostic| {
        let places = [said.at, said.nginx_at].into_iter().flatten().chain(said.related.iter().map(|(span, _)| *span));
        let edits = said.fix.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
        let line = |offset: usize| {
            memchr::memchr_iter(b'\n', &document.text.as_bytes()[..offset.min(document.text.len())]).count()
        };
        let is_here = |span: crate::diag::Span| {
            let source = document.look.loaded.sources.get(span.file);
            let here = std::path::Path::new(&source.name) == document.path;
            here && line(span.start as usize) <= line(end) && line(start) <= line(span.end as usize)
        };
        places.chain(edits).any(is_here)
    };
    let with_fix = document.look.diagnostics.iter().filter(touches).filter_map(|said| Some((said, said.fix.as_ref()?)));
    with_fix.filter_map(|(said, fix)| action(document, said, fix)).collect()
}

fn action(document: &Document, said: &Diagnostic, fix: &Fix) -> Option<Value> {
    let mut changes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        let (uri, range) = place(&document.look, edit.span)?;
        let uri = if super::path_of(&uri) == document.path { document.uri.clone() } else { uri };
        changes.entry(uri).or_default().push(json!({ "range": range, "newText": edit.text }));
    }
    Some(json!({
        "title": fix.title,
        "kind": "quickfix",
        "isPreferred": fix.certainty == Certainty::Sure,
        "diagnostics": [super::one(document, &document.look, said)],
        "edit": { "changes": changes },
    }))
}
