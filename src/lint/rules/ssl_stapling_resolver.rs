//! `ssl-stapling-resolver`: stapling that cannot ask.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "ssl-stapling-resolver",
    title: "`ssl_stapling` has no `resolver`",
    why: "To staple an answer nginx asks the certificate's authority, whose name it has to look up. Without a `resolver` it cannot, says \
          so in the log once an hour, and staples nothing.",
    bad: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_stapling on;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_stapling on;\n    resolver 127.0.0.53;\n}",
    allow: "Where `ssl_stapling_file` brings the answer, or the `resolver` stands in a file that is not seen here.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("ssl_stapling") {
        let is_on = arg(found, 0).eq_ignore_ascii_case("on");
        let inside = || block.inside().any(|inner| inner.has("resolver"));
        if is_on && block.holds("resolver").is_none() && block.holds("ssl_stapling_file").is_none() && !inside() {
            out.push(
                RULE.at(found.span(), "nothing is stapled: the authority's name cannot be looked up")
                    .help("add `resolver 127.0.0.53;`, or the machine's own"),
            );
        }
    }
}
