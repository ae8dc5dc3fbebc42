//! `weak-ciphers`: ciphers that are broken.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        text::{arg, list},
    },
};

/// Parts of the names of ciphers and of groups of them that are broken.
const WEAK: [&str; 14] =
    ["NULL", "aNULL", "eNULL", "EXPORT", "EXP", "LOW", "RC4", "MD5", "DES", "3DES", "IDEA", "SEED", "ADH", "AECDH"];

pub(super) static RULE: Rule = Rule {
    code: "weak-ciphers",
    title: "A cipher is enabled that is broken",
    why: "RC4, DES and 3DES, export ciphers and those without encryption or without a certificate can be read by whoever listens. In a \
          list of `ssl_ciphers` they are shut out by `!`.",
    bad: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_ciphers ECDHE+AESGCM:RC4+SHA;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;\n}",
    allow: "For machines that cannot be changed, on an inner address.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["ssl_ciphers", "proxy_ssl_ciphers"] {
        for (_, found) in view.every(name) {
            let text = arg(found, 0);
            let parts: Vec<_> = text.split([':', ',', ' ']).filter(|part| !part.is_empty()).collect();
            let out_of_it: Vec<_> = parts.iter().filter_map(|part| part.strip_prefix('!')).collect();
            let is_weak = |cipher: &&&str| {
                let names: Vec<_> = cipher.split(['+', '-']).collect();
                // `DES-CBC3-SHA` is 3DES.
                names.iter().any(|name| {
                    WEAK.iter().any(|weak| name.eq_ignore_ascii_case(weak))
                        && !out_of_it.iter().any(|shut| shut.eq_ignore_ascii_case(name))
                })
            };
            let weak: Vec<_> =
                parts.iter().filter(|part| !part.starts_with(['!', '-', '@', '+'])).filter(is_weak).collect();
            if !weak.is_empty() {
                out.push(
                    RULE.at(found.span(), format!("{} can be broken by whoever listens", list(&weak)))
                        .help("leave them out; `ssl_ciphers HIGH:!aNULL:!MD5` is what nginx has by itself"),
                );
            }
        }
    }
}
