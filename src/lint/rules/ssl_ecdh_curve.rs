//! `ssl-ecdh-curve`: curves that are weak, or one alone.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "ssl-ecdh-curve",
    title: "The curves for key exchange are weak, or only one",
    why: "A list without X25519 costs every client the quickest exchange, and those that ask for nothing else a second round or the \
          connection. `auto`, what nginx does by itself, follows OpenSSL, and with it what is added against quantum computers.",
    bad: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_ecdh_curve secp521r1;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_ecdh_curve auto;\n}",
    allow: "Where a rule of the house names the curves.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("ssl_ecdh_curve") {
        let text = arg(found, 0).to_ascii_lowercase();
        let curves: Vec<_> = text.split(':').collect();
        let weak =
            ["prime192v1", "secp192r1", "secp192k1", "secp160r1", "secp160k1", "sect163k1", "secp224r1", "secp224k1"];
        let usual =
            |curve: &&str| curve.contains("x25519") || matches!(*curve, "auto" | "prime256v1" | "secp256r1" | "p-256");
        let said = match curves.iter().find(|curve| weak.contains(curve)) {
            Some(curve) => format!("the curve \"{curve}\" is too weak"),
            None if curves.iter().any(usual) => continue,
            None => "most clients would choose X25519 or prime256v1, and neither is here".into(),
        };
        out.push(RULE.at(found.span(), said).help("write `ssl_ecdh_curve auto;`, or take the line out"));
    }
}
