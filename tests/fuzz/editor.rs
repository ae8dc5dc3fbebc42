//! An editor that is a nuisance to the language server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::texts::Random;

const URI: &str = "file:///nowhere/conf.d/site.conf";

pub(crate) struct Editor {
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    version: u64,
}

impl Editor {
    pub(crate) fn new() -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_rnginx"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (to, from) = (server.stdin.take().expect("a pipe"), server.stdout.take().expect("a pipe"));
        let mut editor = Self { server, to, from: BufReader::new(from), last: 0, version: 1 };
        editor.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        editor.tell("initialized", json!({}));
        let document = json!({ "uri": URI, "languageId": "nginx", "version": 1, "text": "" });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        editor
    }

    /// Shows a text, and asks everything about some places in and beside it.
    pub(crate) fn bother(&mut self, text: &str, random: &mut Random) {
        self.version += 1;
        let document = json!({ "uri": URI, "version": self.version });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
        let document = json!({ "uri": URI });
        for _ in 0..4 {
            let line = random.below(text.lines().count() + 2);
            let character = random.below(text.lines().nth(line).map_or(5, |line| line.len() + 2));
            let position = json!({ "line": line, "character": character });
            for method in ["completion", "hover", "definition"] {
                let about = json!({ "textDocument": document, "position": position });
                self.ask(&format!("textDocument/{method}"), about);
            }
            let range = json!({ "start": position, "end": position });
            let about = json!({ "textDocument": document, "range": range, "context": { "diagnostics": [] } });
            self.ask("textDocument/codeAction", about);
        }
        let options = json!({ "tabSize": 4, "insertSpaces": true });
        self.ask("textDocument/formatting", json!({ "textDocument": document, "options": options }));
    }

    /// Says goodbye; the server has lived through everything.
    pub(crate) fn leave(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        assert!(self.server.wait().expect("the server ends").success());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn ask(&mut self, method: &str, params: Value) {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        // Diagnostics come in between.
        while self.read()["id"] != id {}
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("the server reads");
        self.to.flush().expect("the server reads");
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).expect("the server writes") > 0, "the server is gone");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", number)) => length = number.parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).expect("a whole message");
        serde_json::from_slice(&body).expect("JSON")
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // Nothing to be done for one that is gone.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
