//! `proxy-keepalive`: connections to a backend that are kept for nothing.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Rule, View,
        text::{Target, arg},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-keepalive",
    title: "An upstream keeps connections that `proxy_pass` closes",
    why: "`keepalive` in an upstream keeps connections open for the next request. But nginx speaks HTTP/1.0 to backends unless told \
          otherwise, and sends `Connection: close`: each connection is closed after one request, and none is ever kept.",
    bad: "upstream app {\n    server 127.0.0.1:8000;\n    keepalive 16;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_set_header Host $host;\n        \
          proxy_pass http://app;\n    }\n}",
    good: "upstream app {\n    server 127.0.0.1:8000;\n    keepalive 16;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_http_version 1.1;\n        \
           proxy_set_header Connection \"\";\n        proxy_set_header Host $host;\n        proxy_pass http://app;\n    }\n}",
    allow: "Where the backend must close.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, pass) in view.every("proxy_pass") {
        let Some(target) = Target::of(pass) else { continue };
        let Some(kept) = view.upstream(target.host()).and_then(|upstream| upstream.one("keepalive")) else { continue };
        let is_new = block.value("proxy_http_version").is_some_and(|version| version != "1.0");
        let headers = block.holds("proxy_set_header").map_or(&[][..], |(_, all)| all);
        let is_cleared = headers
            .iter()
            .any(|one| arg(one, 0).eq_ignore_ascii_case("connection") && !arg(one, 1).eq_ignore_ascii_case("close"));
        if is_new && is_cleared {
            continue;
        }
        let indent = view.sources.indent(pass.name.span);
        let mut text = String::new();
        if !is_new {
            text += &format!("proxy_http_version 1.1;\n{indent}");
        }
        if !is_cleared {
            text += &format!("proxy_set_header Connection \"\";\n{indent}");
        }
        out.push(
            RULE.at(
                pass.span(),
                format!("no connection to \"{}\" is ever kept: each is closed after one request", target.host()),
            )
            .related(kept.span(), "these are kept for nothing")
            .help("add `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`")
            .fix(Fix::likely("speak HTTP/1.1 to the backend, and keep the connection").before(pass.name.span, text)),
        );
    }
}
