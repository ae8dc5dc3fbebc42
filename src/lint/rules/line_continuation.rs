//! `line-continuation`: a backslash at the end of a line, as shells have it.

use crate::{
    check::joins_lines,
    diag::{Diagnostic, Fix},
    lint::{Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "line-continuation",
    title: "A backslash at the end of a line is an argument",
    why: "A directive goes on until its `;`, over as many lines as it takes. The backslash joins nothing: with the line break behind it \
          it is an argument of its own, a file that is not there or a line break in a header.",
    bad: "server {\n    listen 80;\n    location / {\n        try_files $uri \\\n            =404;\n    }\n}",
    good: "server {\n    listen 80;\n    location / {\n        try_files $uri\n            =404;\n    }\n}",
    allow: "Where a line break is meant to be an argument.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::ANY) {
        for word in block.directives().iter().filter_map(joins_lines) {
            let backslash = Fix::sure("take the backslash out").remove(word);
            let said = RULE.at(word, "a backslash does not join lines");
            out.push(said.help("take it out: a directive goes on until its `;`").fix(backslash));
        }
    }
}
