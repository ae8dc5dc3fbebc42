//! `add-header-multiline`: a header value with a line break.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "add-header-multiline",
    title: "A header's value holds a line break",
    why: "Values of headers are one line. A line break in a quoted value is sent as it is by nginx, and ends the header there: what \
          follows is a header of its own or spoils the answer. HTTP/2 clients refuse such an answer whole. rnginx cuts the break \
          out.",
    bad: "location / {\n    root /srv/www;\n    add_header Content-Security-Policy \"default-src 'self';\n        img-src *\";\n}",
    good: "location / {\n    root /srv/www;\n    add_header Content-Security-Policy \"default-src 'self'; img-src *\";\n}",
    allow: "Never.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["add_header", "proxy_set_header", "more_set_headers", "add_trailer"] {
        for (_, found) in view.every(name) {
            if let Some(word) =
                found.args.iter().find(|word| word.value.iter().any(|byte| matches!(byte, b'\n' | b'\r')))
            {
                out.push(
                    RULE.at(word.span, format!("the value of \"{}\" holds a line break", arg(found, 0)))
                        .help("write it on one line"),
                );
            }
        }
    }
}
