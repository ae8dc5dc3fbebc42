//! `add-header-redefinition`: headers that a block loses by adding one of its own.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        lost::lost,
        text::{arg, list},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "add-header-redefinition",
    title: "An `add_header` drops all those of the blocks around it",
    why: "`add_header` is inherited only by blocks that have none of their own. One more header in a location takes every other one \
          away there: `Strict-Transport-Security`, `X-Frame-Options`, whatever was set for the server.",
    bad: "server {\n    listen 80;\n    add_header X-Frame-Options SAMEORIGIN always;\n    location /downloads/ {\n        \
          add_header Content-Disposition attachment;\n        root /srv;\n    }\n}",
    good: "server {\n    listen 80;\n    add_header X-Frame-Options SAMEORIGIN always;\n    location /downloads/ {\n        \
           add_header X-Frame-Options SAMEORIGIN always;\n        add_header Content-Disposition attachment;\n        root /srv;\n    }\n}",
    allow: "Where the other headers are not wanted.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.answering() {
        let Some(lost) = lost(block, "add_header", |one| arg(one, 0).to_ascii_lowercase()) else { continue };
        let message = format!("answers from here go out without {}", list(&lost.names()));
        out.push(lost.said(&RULE, block, message));
    }
}
