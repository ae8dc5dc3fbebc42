//! The language server: what `check`, `fmt` and the table of directives know, inside an editor.
//! <https://microsoft.github.io/language-server-protocol/>

mod actions;
mod complete;
mod definition;
mod document;
mod hover;
mod rpc;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde_json::{Value, json};

use crate::{
    diag::{Diagnostic, Severity},
    format::{Style, format},
    inspect::Inspection,
};
use document::{Document, path_of};

/// Serves one editor until it says goodbye; `true` where it did so in order.
///
/// # Errors
/// What reading and writing says, and messages that are none.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<bool> {
    let mut server = Server { documents: BTreeMap::new(), output, stopping: false };
    while let Some(message) = rpc::read(input)? {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        if method == "exit" {
            return Ok(server.stopping);
        }
        let params = &message["params"];
        match message.get("id").filter(|id| !id.is_null() && !method.is_empty()) {
            Some(id) => {
                let answer = server.answer(&method, params);
                server.reply(id, answer)?;
            }
            None => server.notice(&method, params)?,
        }
    }
    Ok(false)
}

/// What the protocol calls a method that is not there.
const METHOD_NOT_FOUND: i32 = -32601;

/// What it calls a request behind `shutdown`.
const INVALID_REQUEST: i32 = -32600;

struct Server<'o> {
    documents: BTreeMap<String, Document>,
    output: &'o mut dyn Write,
    stopping: bool,
}

impl Server<'_> {
    fn reply(&mut self, id: &Value, answer: Result<Value, i32>) -> io::Result<()> {
        let message = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(code) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "this is not done here" } })
            }
        };
        rpc::write(self.output, &message)
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, i32> {
        if self.stopping {
            return Err(INVALID_REQUEST);
        }
        match method {
            "initialize" => return Ok(capabilities()),
            "shutdown" => {
                self.stopping = true;
                return Ok(Value::Null);
            }
            _ => {}
        }
        let answer: fn(&Self, &Document, &Value) -> Value = match method {
            "textDocument/completion" => |_, document, params| complete::complete(document, document.asked(params)),
            "textDocument/hover" => |_, document, params| hover::hover(document, document.asked(params)),
            "textDocument/definition" => |server, document, params| {
                definition::definition(document, server.documents.values(), document.asked(params))
            },
            "textDocument/formatting" => |_, document, params| formatted(document, &params["options"]),
            "textDocument/codeAction" => |_, document, params| actions::actions(document, &params["range"]),
            _ => return Err(METHOD_NOT_FOUND),
        };
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
        Ok(self.documents.get(uri).map_or(Value::Null, |document| answer(self, document, params)))
    }

    fn notice(&mut self, method: &str, params: &Value) -> io::Result<()> {
        let about = &params["textDocument"];
        let uri = about["uri"].as_str().unwrap_or_default().to_owned();
        match method {
            "textDocument/didOpen" => self.take(uri, about["text"].as_str().unwrap_or_default()),
            "textDocument/didChange" => {
                // The whole text comes with each change: that is what was asked for.
                let changes = params["contentChanges"].as_array();
                let text = changes.and_then(|changes| changes.last()?["text"].as_str());
                text.map_or(Ok(()), |text| self.take(uri, text))
            }
            "textDocument/didSave" => self.look_again(),
            "textDocument/didClose" => {
                self.documents.remove(&uri);
                self.publish(&uri, &[])
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, uri: String, text: &str) -> io::Result<()> {
        let texts: Vec<_> = self.documents.values().map(|one| (one.path.clone(), one.text.clone())).collect();
        let document = Document::new(&uri, text, &texts);
        let found = told(&document);
        self.documents.insert(uri.clone(), document);
        self.publish(&uri, &found)
    }

    /// A file that was written may be part of others.
    fn look_again(&mut self) -> io::Result<()> {
        let all: Vec<_> = self.documents.iter().map(|(uri, one)| (uri.clone(), one.text.clone())).collect();
        all.into_iter().try_for_each(|(uri, text)| self.take(uri, &text))
    }

    fn publish(&mut self, uri: &str, found: &[Value]) -> io::Result<()> {
        let params = json!({ "uri": uri, "diagnostics": found });
        rpc::write(
            self.output,
            &json!({ "jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params }),
        )
    }
}

fn capabilities() -> Value {
    json!({
        "capabilities": {
            "textDocumentSync": { "openClose": true, "change": 1, "save": true },
            "completionProvider": { "triggerCharacters": ["$", "@", "/"] },
            "hoverProvider": true,
            "definitionProvider": true,
            "documentFormattingProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
        },
        "serverInfo": { "name": "rnginx", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// What is said of the document itself; of a file that it includes, at the `include`.
fn told(document: &Document) -> Vec<Value> {
    let is_shown = |said: &&Diagnostic| !matches!(said.code, "supplied" | "unresolved-host");
    document.look.diagnostics.iter().filter(is_shown).map(|said| one(document, &document.look, said)).collect()
}

fn one(document: &Document, look: &Inspection, said: &Diagnostic) -> Value {
    let severity = match said.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Note => 3,
    };
    let parts = [Some(&said.message), said.label.as_ref(), said.help.as_ref()];
    let message: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    let related = said.related.iter().filter_map(|(span, label)| {
        let (uri, range) = document::place(look, *span)?;
        Some(json!({ "location": { "uri": uri, "range": range }, "message": label }))
    });
    json!({
        "range": document.range_of(said.at.or(said.nginx_at)),
        "severity": severity,
        "code": said.code,
        "source": "rnginx",
        "message": message.join("\n"),
        "relatedInformation": related.collect::<Vec<_>>(),
    })
}

/// One edit of the whole text, or none where nothing changes or the text is broken.
fn formatted(document: &Document, options: &Value) -> Value {
    let spaces = options["insertSpaces"].as_bool().unwrap_or(true);
    let indent = options["tabSize"].as_u64().filter(|_| spaces).and_then(|size| usize::try_from(size).ok());
    let style = indent.map_or_else(Style::default, |indent| Style { indent: indent.min(16) });
    match format(document.text.as_bytes(), style) {
        Ok(new) if new != document.text.as_bytes() => {
            let range = document.range(0, document.text.len());
            json!([{ "range": range, "newText": String::from_utf8_lossy(&new) }])
        }
        Ok(_) => json!([]),
        Err(_) => Value::Null,
    }
}
