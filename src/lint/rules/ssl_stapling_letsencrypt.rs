//! `ssl-stapling-letsencrypt`: stapling for an authority that has stopped it.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "ssl-stapling-letsencrypt",
    title: "`ssl_stapling` for a certificate of Let's Encrypt",
    why: "Let's Encrypt ended OCSP in 2025: its certificates name nobody to ask any more. nginx says so with a warning at each start, and \
          staples nothing.",
    bad: "server {\n    listen 443 ssl;\n    ssl_certificate /etc/letsencrypt/live/shop.test/fullchain.pem;\n    ssl_certificate_key /etc/letsencrypt/live/shop.test/privkey.pem;\n    \
          ssl_stapling on;\n    resolver 127.0.0.53;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate /etc/letsencrypt/live/shop.test/fullchain.pem;\n    ssl_certificate_key /etc/letsencrypt/live/shop.test/privkey.pem;\n}",
    allow: "Where the folder holds certificates of another authority.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("ssl_stapling") {
        let is_theirs = block.value("ssl_certificate").is_some_and(|path| path.contains("/letsencrypt/"));
        if is_theirs && arg(found, 0).eq_ignore_ascii_case("on") {
            out.push(
                RULE.at(found.span(), "nothing is stapled: Let's Encrypt ended OCSP in 2025")
                    .help("take `ssl_stapling` out"),
            );
        }
    }
}
