//! `valid-referers-none`: a check of the Referer that takes requests without one.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
};

pub(super) static RULE: Rule = Rule {
    code: "valid-referers-none",
    title: "A check of `Referer` lets requests without one reach an application",
    why: "With `none` a request without a `Referer` counts as valid, and every page can send one: `Referrer-Policy: no-referrer`. Against \
          pictures that others embed that is a fair compromise; as a guard of an application it keeps nobody out.",
    bad: "location /account/ {\n    valid_referers none server_names;\n    if ($invalid_referer) {\n        return 403;\n    }\n    \
          proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    good: "location /account/ {\n    valid_referers server_names;\n    if ($invalid_referer) {\n        return 403;\n    }\n    \
           proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where the application checks a token of its own.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("valid_referers") {
        let none = found.args.iter().find(|word| &*word.value == b"none");
        if let (Some(none), true) = (none, block.inside().any(|inner| inner.pass().is_some())) {
            out.push(
                RULE.at(none.span, "a request without a Referer is let through, and any page can send one")
                    .help("leave `none` out"),
            );
        }
    }
}
