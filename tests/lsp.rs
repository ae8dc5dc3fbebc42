//! The language server, asked as editors ask it: by its own protocol, and by neovim where that is on the machine.

#[path = "support/editor.rs"]
mod editor;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use editor::Editor;
use serde_json::{Value, json};

/// A request about the place where `§` stands in a text.
fn ask_at(editor: &mut Editor, method: &str, path: &Path, marked: &str) -> Value {
    let before = marked.split('§').next().expect("a mark");
    let line = before.matches('\n').count();
    let character = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count();
    let uri = editor.open(path, &marked.replace('§', ""));
    let position = json!({ "line": line, "character": character });
    editor.ask(method, json!({ "textDocument": { "uri": uri }, "position": position }))
}

fn labels(editor: &mut Editor, path: &Path, marked: &str) -> Vec<String> {
    let answer = ask_at(editor, "textDocument/completion", path, marked);
    let items = answer.as_array().expect("a list").iter();
    items.map(|item| item["label"].as_str().expect("a label").to_owned()).collect()
}

#[test]
fn diagnostics_follow_the_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.conf");
    let mut editor = Editor::new();
    let uri = editor.open(&path, "server {\n    # ü\n    sever_name \"äö\" a;\n}\n");
    let changes = json!([{ "text": "server {\n    server_name a;\n}\n" }]);
    editor.tell(
        "textDocument/didChange",
        json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": changes }),
    );
    editor.ask(
        "textDocument/hover",
        json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 0 } }),
    );
    let errors = |published: &Value| {
        let all = published["diagnostics"].as_array().expect("a list").iter();
        all.filter(|one| one["severity"] == 1).cloned().collect::<Vec<_>>()
    };
    let first = errors(&editor.published[0]);
    assert_eq!(first[0]["code"], "unknown-directive");
    assert_eq!(
        first[0]["range"],
        json!({ "start": { "line": 2, "character": 4 }, "end": { "line": 2, "character": 14 } })
    );
    assert_eq!(errors(&editor.published[1]), Vec::<Value>::new());
}

#[test]
fn completion_knows_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.conf");
    let mut editor = Editor::new();
    let here = labels(&mut editor, &path, "server {\n    location / {\n        proxy_p§\n    }\n}\n");
    assert!(here.contains(&"proxy_pass".into()) && !here.contains(&"listen".into()), "{here:?}");
    let here = labels(&mut editor, &path, "server {\n    §\n}\n");
    assert!(here.contains(&"listen".into()) && !here.contains(&"proxy_pass".into()), "{here:?}");
    assert_eq!(labels(&mut editor, &path, "server { gzip §; }"), ["on", "off"]);
    assert_eq!(labels(&mut editor, &path, "server { satisfy a§"), ["all", "any"]);
    let here = labels(&mut editor, &path, "map $a $mine { default 1; }\nserver { return 200 \"x$h§\"; }");
    assert!(here.contains(&"$host".into()) && here.contains(&"$mine".into()), "{here:?}");
    let here = labels(&mut editor, &path, "upstream app { server a; }\nserver { location / { proxy_pass §; } }");
    assert_eq!(here, ["http://app"]);
    assert_eq!(labels(&mut editor, &path, "server { # gzip §"), Vec::<String>::new());
}

#[test]
fn hover_tells_what_a_directive_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.conf");
    let mut editor = Editor::new();
    let hover = ask_at(&mut editor, "textDocument/hover", &path, "server { client_max_§body_size 1m; }");
    let text = hover["contents"]["value"].as_str().expect("text");
    assert!(text.contains("413") && text.contains("Default: `1m`") && text.contains("nginx.org"), "{text}");
    assert_eq!(hover["range"]["start"]["character"], 9);
    let hover = ask_at(&mut editor, "textDocument/hover", &path, "server { return 200 $remote_§addr; }");
    assert!(hover["contents"]["value"].as_str().is_some_and(|text| text.starts_with("**$remote_addr**")), "{hover}");
    assert_eq!(ask_at(&mut editor, "textDocument/hover", &path, "server { return 200 x§y; }"), Value::Null);
}

#[test]
fn definitions_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let part = folder.path().join("part.conf");
    fs::write(&part, "root /srv;\n").expect("a file");
    let path = folder.path().join("nginx.conf");
    let text = "events { }\nhttp {\n    upstream app { server 127.0.0.1:1; }\n    limit_req_zone $host zone=slow:1m rate=1r/s;\n    \
                map $host $mine { default 1; }\n    server {\n        include part.conf;\n        \
                location / { try_files $uri @back; limit_req zone=slow; }\n        \
                location @back { proxy_pass http://app/$mine; }\n    }\n}\n";
    let mut editor = Editor::new();
    let mut line_of = |word: &str, inside: usize| {
        let at = text.find(word).expect("the word") + inside;
        let marked = format!("{}§{}", &text[..at], &text[at..]);
        let found = ask_at(&mut editor, "textDocument/definition", &path, &marked);
        let first = found[0].clone();
        let file = first["uri"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        (file, first["range"]["start"]["line"].as_u64())
    };
    assert_eq!(line_of("http://app", 8), ("nginx.conf".into(), Some(2)));
    assert_eq!(line_of("zone=slow;", 6), ("nginx.conf".into(), Some(3)));
    assert_eq!(line_of("$mine;", 2), ("nginx.conf".into(), Some(4)));
    assert_eq!(line_of("@back;", 2), ("nginx.conf".into(), Some(8)));
    assert_eq!(line_of("part.conf", 3), ("part.conf".into(), Some(0)));
}

#[test]
fn texts_are_laid_out_and_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.conf");
    let mut editor = Editor::new();
    let uri = editor.open(&path, "server{listen 80;}");
    let options = json!({ "tabSize": 2, "insertSpaces": true });
    let edits = editor.ask("textDocument/formatting", json!({ "textDocument": { "uri": uri }, "options": options }));
    assert_eq!(edits[0]["newText"], "server {\n  listen 80;\n}\n");
    let broken = "server {\n    index index.html\n    server_name a;\n}\n";
    let uri = editor.open(&path, broken);
    let range = json!({ "start": { "line": 1, "character": 4 }, "end": { "line": 1, "character": 4 } });
    let actions = editor.ask(
        "textDocument/codeAction",
        json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": [] } }),
    );
    let edit = &actions[0]["edit"]["changes"][&uri][0];
    assert_eq!(
        (&edit["newText"], &edit["range"]["start"]),
        (&json!(";"), &json!({ "line": 1, "character": 20 })),
        "{actions}"
    );
}

/// neovim's own client, without a screen.
#[test]
fn neovim_gets_on_with_it() {
    if Command::new("nvim").arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (path, script, said) =
        (folder.path().join("site.conf"), folder.path().join("go.lua"), folder.path().join("said"));
    fs::write(&path, "server {\nsever_name a;\n}\n").expect("a file");
    let lua = format!(
        "vim.cmd('edit {file}')\n\
         local id = vim.lsp.start_client({{ name = 'rnginx', cmd = {{ '{server}', 'lsp' }} }})\n\
         vim.lsp.buf_attach_client(0, id)\n\
         vim.wait(20000, function() return #vim.diagnostic.get(0) > 0 end)\n\
         local found = vim.diagnostic.get(0)[1]\n\
         vim.lsp.buf_request_sync(0, 'textDocument/hover', vim.lsp.util.make_position_params(), 20000)\n\
         local answers = vim.lsp.buf_request_sync(0, 'textDocument/formatting', vim.lsp.util.make_formatting_params({{}}), 20000)\n\
         for _, answer in pairs(answers) do vim.lsp.util.apply_text_edits(answer.result, 0, 'utf-16') end\n\
         local lines = vim.api.nvim_buf_get_lines(0, 0, -1, false)\n\
         vim.fn.writefile({{ found.code, tostring(found.lnum), lines[2] }}, '{said}')\n\
         vim.cmd('qa!')\n",
        file = path.display(),
        server = env!("CARGO_BIN_EXE_rnginx"),
        said = said.display(),
    );
    fs::write(&script, lua).expect("a script");
    let run = Command::new("nvim")
        .args(["--headless", "-u", "NONE", "-i", "NONE", "--cmd"])
        .arg(format!("luafile {}", script.display()))
        .env("XDG_STATE_HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .expect("neovim runs");
    let said = fs::read_to_string(&said);
    let said = said.unwrap_or_else(|_| panic!("neovim said {}", String::from_utf8_lossy(&run.stderr)));
    assert_eq!(said.lines().take(2).collect::<Vec<_>>(), ["unknown-directive", "1"]);
    assert_eq!(
        said.lines().nth(2),
        Some("        sever_name a;").filter(|_| said.contains("        sever")).or(Some("    sever_name a;"))
    );
}
