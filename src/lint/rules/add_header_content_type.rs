//! `add-header-content-type`: a second Content-Type.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "add-header-content-type",
    title: "An `add_header` adds a second `Content-Type`",
    why: "`add_header` adds and never replaces: the answer has two `Content-Type` headers, its own and this one, and the browser \
          chooses. The type of an answer is set by `default_type` or `types`.",
    bad: "location = /status {\n    add_header Content-Type application/json;\n    return 200 '{}';\n}",
    good: "location = /status {\n    default_type application/json;\n    return 200 '{}';\n}",
    allow: "Where the backend's own `Content-Type` is hidden by `proxy_hide_header`.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("add_header") {
        let hides = ["proxy_hide_header", "fastcgi_hide_header", "uwsgi_hide_header", "grpc_hide_header"];
        let hidden = hides
            .iter()
            .filter_map(|name| block.holds(name))
            .flat_map(|(_, all)| all)
            .any(|one| arg(one, 0).eq_ignore_ascii_case("content-type"));
        if arg(found, 0).eq_ignore_ascii_case("content-type") && !hidden {
            let value = arg(found, 1);
            out.push(
                RULE.at(found.span(), "the answer gets a second \"Content-Type\"")
                    .help(format!("write `default_type {value};`")),
            );
        }
    }
}
