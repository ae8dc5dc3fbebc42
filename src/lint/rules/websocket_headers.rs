//! `websocket-headers`: a path for WebSockets that cannot upgrade.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Block, Rule, View,
        text::{arg, list},
    },
    load::Form,
};

/// Parts of paths that WebSockets are usually on.
const PATHS: [&str; 8] = ["ws", "wss", "websocket", "websockets", "socket.io", "sockjs", "sockjs-node", "cable"];

pub(super) static RULE: Rule = Rule {
    code: "websocket-headers",
    title: "A path for WebSockets cannot become one",
    why: "A WebSocket begins as an HTTP/1.1 request with `Upgrade` and `Connection: upgrade`. These belong to one connection and are \
          never handed on by themselves, and nginx speaks HTTP/1.0 to backends unless told otherwise. All three are needed: \
          `proxy_http_version 1.1`, and both headers.",
    bad: "location /socket.io/ {\n    proxy_set_header Host $host;\n    proxy_set_header Upgrade $http_upgrade;\n    proxy_pass http://127.0.0.1:3000;\n}",
    good: "location /socket.io/ {\n    proxy_http_version 1.1;\n    proxy_set_header Host $host;\n    proxy_set_header Upgrade $http_upgrade;\n    \
           proxy_set_header Connection \"upgrade\";\n    proxy_pass http://127.0.0.1:3000;\n}",
    allow: "Where the path is no WebSocket, whatever its name.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, pass) in view.every("proxy_pass") {
        let headers = block.holds("proxy_set_header").map_or(&[][..], |(_, all)| all);
        let sets = |name: &str| headers.iter().any(|one| arg(one, 0).eq_ignore_ascii_case(name));
        if !is_websocket(block) && !sets("upgrade") {
            continue;
        }
        let is_new = block.value("proxy_http_version").is_some_and(|version| version != "1.0");
        let wanted = [
            (is_new, "proxy_http_version 1.1;"),
            (sets("upgrade"), "proxy_set_header Upgrade $http_upgrade;"),
            (sets("connection"), "proxy_set_header Connection \"upgrade\";"),
        ];
        let missing: Vec<_> = wanted.iter().filter(|(is_there, _)| !is_there).map(|(_, line)| *line).collect();
        // Around locations alone there may be a `proxy_http_version` that is not seen here.
        let is_part = matches!(view.form, Form::Fragment | Form::Part(_));
        if missing.is_empty() || is_part && missing == ["proxy_http_version 1.1;"] {
            continue;
        }
        let indent = view.sources.indent(pass.name.span);
        let text: String = missing.iter().map(|line| format!("{line}\n{indent}")).collect();
        out.push(
            RULE.at(pass.span(), "a WebSocket through this location fails: the backend is never asked to upgrade")
                .label(format!("missing: {}", list(&missing)))
                .help("all three are needed: HTTP/1.1, Upgrade and Connection")
                .fix(Fix::likely("hand the upgrade on").before(pass.name.span, text)),
        );
    }
}

fn is_websocket(block: Block<'_>) -> bool {
    let Some(prefix) = block.name().map(|name| String::from_utf8_lossy(name.text).to_ascii_lowercase()) else {
        return false;
    };
    prefix.split('/').any(|part| PATHS.contains(&part))
}
