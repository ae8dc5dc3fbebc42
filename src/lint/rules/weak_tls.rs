//! `weak-tls`: versions of TLS that are broken.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::list},
};

pub(super) static RULE: Rule = Rule {
    code: "weak-tls",
    title: "A version of TLS is enabled that is broken",
    why: "SSLv2, SSLv3, TLSv1 and TLSv1.1 have known faults and no browser speaks them any more (RFC 7568, RFC 8996). Whoever sits between \
          can make a client fall back to the weakest one that is offered.",
    bad: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_protocols TLSv1 TLSv1.2 TLSv1.3;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    ssl_protocols TLSv1.2 TLSv1.3;\n}",
    allow: "For machines that cannot be changed, on an inner address.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["ssl_protocols", "proxy_ssl_protocols", "grpc_ssl_protocols", "uwsgi_ssl_protocols"] {
        for (_, found) in view.every(name) {
            let is_weak = |text: &str| {
                ["sslv2", "sslv3", "tlsv1", "tlsv1.0", "tlsv1.1"].contains(&text.to_ascii_lowercase().as_str())
            };
            let (weak, strong): (Vec<_>, Vec<_>) =
                found.args.iter().map(|word| word.text().into_owned()).partition(|text| is_weak(text));
            if weak.is_empty() {
                continue;
            }
            let strong = if strong.is_empty() { vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()] } else { strong };
            let meant = format!("{name} {}", strong.join(" "));
            out.push(
                RULE.at(found.span(), format!("{} can be broken by whoever listens", list(&weak)))
                    .help(format!("write `{meant};`"))
                    .fix(Fix::likely("leave the weak ones out").replace(found.span(), meant)),
            );
        }
    }
}
