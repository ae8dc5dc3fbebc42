//! `proxy-set-header-redefinition`: headers for the backend that a block loses by setting one of its own.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        lost::lost,
        text::{arg, list},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-set-header-redefinition",
    title: "A `proxy_set_header` drops all those of the blocks around it",
    why: "`proxy_set_header` is inherited only by blocks that have none of their own. One more header in a location takes `Host`, \
          `X-Forwarded-For` and the rest away there, and the application sees nginx's name for the backend as its own.",
    bad: "server {\n    listen 80;\n    proxy_set_header Host $host;\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
          location /api/ {\n        proxy_set_header X-Api 1;\n        proxy_pass http://127.0.0.1:8001;\n    }\n}",
    good: "server {\n    listen 80;\n    location /api/ {\n        proxy_set_header Host $host;\n        \
           proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        proxy_set_header X-Api 1;\n        \
           proxy_pass http://127.0.0.1:8001;\n    }\n}",
    allow: "Where the backend must not get the other headers.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.answering() {
        let passes = block.inside().any(|inner| inner.has("proxy_pass"))
            || block.location().is_some_and(|around| around.has("proxy_pass"));
        let Some(lost) = lost(block, "proxy_set_header", |one| arg(one, 0).to_ascii_lowercase()).filter(|_| passes)
        else {
            continue;
        };
        let message = format!("requests from here reach the backend without the {} set around it", list(&lost.names()));
        out.push(lost.said(&RULE, block, message));
    }
}
