//! `gzip-not-enabled`: settings of what is off.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View},
    load::Form,
};

pub(super) static RULE: Rule = Rule {
    code: "gzip-not-enabled",
    title: "`gzip` is set up and never switched on",
    why: "`gzip_types` and its like only say how. Without `gzip on` nothing is compressed.",
    bad: "events { }\nhttp {\n    gzip_types text/css application/javascript;\n    server {\n        listen 80;\n    }\n}",
    good: "events { }\nhttp {\n    gzip on;\n    gzip_types text/css application/javascript;\n    server {\n        listen 80;\n    }\n}",
    allow: "Where it is switched off for a time.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    // In a part of a configuration it may be on outside; `gzip off` says that it is meant.
    if view.form != Form::Full || view.has("gzip") || view.has("gzip_static") {
        return;
    }
    let found = ["gzip_types", "gzip_comp_level", "gzip_min_length", "gzip_proxied"]
        .iter()
        .find_map(|name| view.every(name).next());
    if let Some((_, found)) = found {
        let indent = view.sources.indent(found.name.span);
        out.push(
            RULE.at(found.span(), "nothing is compressed: `gzip` is off")
                .help("add `gzip on;`")
                .fix(Fix::likely("switch it on").before(found.name.span, format!("gzip on;\n{indent}"))),
        );
    }
}
