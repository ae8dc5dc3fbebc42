//! `low-keepalive-requests`: connections that end too soon.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "low-keepalive-requests",
    title: "Connections end after a few requests",
    why: "A page asks for some dozens of files over one connection. With a small `keepalive_requests` it has to begin anew in the middle, over \
          HTTP/2 too, where the end of a connection hits everything on it. nginx takes 1000 by itself.",
    bad: "server {\n    listen 80;\n    keepalive_requests 20;\n}",
    good: "server {\n    listen 80;\n    keepalive_requests 1000;\n}",
    allow: "Where a load balancer in front is meant to spread connections.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("keepalive_requests") {
        let count = arg(found, 0).parse::<u32>().unwrap_or(1000);
        if (1..100).contains(&count) {
            out.push(
                RULE.at(found.span(), format!("every connection ends after {count} requests"))
                    .help("take it out: nginx's own 1000 is enough for most"),
            );
        }
    }
}
