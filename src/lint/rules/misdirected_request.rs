//! `misdirected-request`: a server for all other names that breaks shared connections.

use super::no_default_server::address;
use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "misdirected-request",
    title: "A server for all other names refuses requests that only came on the wrong connection",
    why: "Over HTTP/2 a browser uses one connection for all names that its certificate covers. If the default server shares its certificate \
          with others, requests for names it does not know may come that way by right. 421 sends the browser to a \
          connection of its own; any other refusal is shown to the visitor.",
    bad: "server {\n    listen 443 ssl default_server;\n    http2 on;\n    ssl_certificate wild.pem;\n    ssl_certificate_key wild.key;\n    return 404;\n}\n\
          server {\n    listen 443 ssl;\n    server_name shop.test;\n    ssl_certificate wild.pem;\n    ssl_certificate_key wild.key;\n}",
    good: "server {\n    listen 443 ssl default_server;\n    http2 on;\n    ssl_certificate wild.pem;\n    ssl_certificate_key wild.key;\n    return 421;\n}\n\
           server {\n    listen 443 ssl;\n    server_name shop.test;\n    ssl_certificate wild.pem;\n    ssl_certificate_key wild.key;\n}",
    allow: "Where every name is covered by a server of its own.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for server in view.servers() {
        let Some(done) = server.one("return").filter(|one| arg(one, 0).starts_with('4') && arg(one, 0) != "421") else {
            continue;
        };
        let listens: Vec<_> = server
            .all("listen")
            .iter()
            .filter(|one| one.args.iter().any(|word| word.value.starts_with(b"default")))
            .collect();
        let speaks_http2 =
            server.is_on("http2") || listens.iter().any(|one| one.args.iter().any(|word| &*word.value == b"http2"));
        let (Some(certificate), true) = (server.value("ssl_certificate"), speaks_http2) else { continue };
        let shares = |other: &Block<'_>| {
            other.number() != server.number()
                && other.value("ssl_certificate").as_deref() == Some(&*certificate)
                && other.all("listen").iter().any(|one| listens.iter().any(|own| address(own) == address(one)))
        };
        if let Some(other) = view.servers().find(shares) {
            out.push(
                RULE.at(
                    done.span(),
                    format!(
                        "a browser that holds a connection for {certificate} is shown {} instead of asking anew",
                        arg(done, 0)
                    ),
                )
                .related(other.place(), "this server has the same certificate")
                .help("write `return 421;`"),
            );
        }
    }
}
