//! An editor that is a nuisance to the language server.

#[path = "../support/editor.rs"]
mod client;

use serde_json::json;

use crate::texts::Random;
use client::Editor;

/// One document, and everything that can be asked about it.
pub(crate) struct Nuisance {
    editor: Editor,
    uri: String,
    version: u64,
}

impl Nuisance {
    pub(crate) fn new() -> Self {
        let mut editor = Editor::new();
        let uri = editor.open("/nowhere/conf.d/site.conf".as_ref(), "");
        Self { editor, uri, version: 1 }
    }

    /// Shows a text, and asks everything about some places in and beside it.
    pub(crate) fn bother(&mut self, text: &str, random: &mut Random) {
        self.version += 1;
        let Self { editor, uri, version } = self;
        let document = json!({ "uri": uri, "version": version });
        editor
            .tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
        let document = json!({ "uri": uri });
        for _ in 0..4 {
            let line = random.below(text.lines().count() + 2);
            let character = random.below(text.lines().nth(line).map_or(5, |line| line.len() + 2));
            let position = json!({ "line": line, "character": character });
            for method in ["completion", "hover", "definition"] {
                let about = json!({ "textDocument": document, "position": position });
                editor.ask(&format!("textDocument/{method}"), about);
            }
            let range = json!({ "start": position, "end": position });
            let about = json!({ "textDocument": document, "range": range, "context": { "diagnostics": [] } });
            editor.ask("textDocument/codeAction", about);
        }
        let options = json!({ "tabSize": 4, "insertSpaces": true });
        editor.ask("textDocument/formatting", json!({ "textDocument": document, "options": options }));
        editor.published.clear();
    }
}
