//! `version-disclosure`: the server's version for everybody.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        text::{arg, uses},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "version-disclosure",
    title: "The server tells everybody its version",
    why: "`server_tokens on` and `$nginx_version` in an answer say which faults to try first. Nobody but a robot reads it.",
    bad: "server {\n    listen 80;\n    root /srv/www;\n    server_tokens on;\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n    server_tokens off;\n}",
    allow: "On machines that only their makers reach.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("server_tokens") {
        if matches!(arg(found, 0).to_ascii_lowercase().as_str(), "on" | "build") {
            out.push(
                RULE.at(found.span(), "every answer names the server's version").help("write `server_tokens off;`"),
            );
        }
    }
    for name in ["add_header", "return"] {
        for (_, found) in view.every(name) {
            if let Some(word) = found.args.iter().find(|word| uses(word, &["nginx_version"])) {
                out.push(RULE.at(word.span, "an answer names the server's version").help("leave `$nginx_version` out"));
            }
        }
    }
}
