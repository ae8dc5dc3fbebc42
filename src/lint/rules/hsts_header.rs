//! `hsts-header`: Strict-Transport-Security that does not work.

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View, text::arg},
};

/// A year, which the browsers' list asks for.
const YEAR: u64 = 31_536_000;

pub(super) static RULE: Rule = Rule {
    code: "hsts-header",
    title: "A `Strict-Transport-Security` header has no effect",
    why: "Browsers ignore the header where it comes over plain HTTP, and where `max-age` is missing. `preload` is refused by the \
          browsers' list without `includeSubDomains` and a year of `max-age`.",
    bad: "server {\n    listen 80;\n    root /srv/www;\n    add_header Strict-Transport-Security \"max-age=31536000\" always;\n}",
    good: "server {\n    listen 443 ssl;\n    ssl_certificate shop.pem;\n    ssl_certificate_key shop.key;\n    root /srv/www;\n    \
           add_header Strict-Transport-Security \"max-age=31536000\" always;\n}",
    allow: "Where TLS ends before this server, at a load balancer.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("add_header") {
        if !arg(found, 0).eq_ignore_ascii_case("strict-transport-security") {
            continue;
        }
        let value = arg(found, 1);
        let parts: Vec<_> = value.split(';').map(|part| part.trim().to_ascii_lowercase()).collect();
        let age =
            parts.iter().find_map(|part| part.strip_prefix("max-age=")).map(|age| age.trim_matches('"').parse::<u64>());
        let has = |name: &str| parts.iter().any(|part| part == name);
        let wrong = match age {
            _ if value.contains('$') => continue,
            None => "browsers ignore the header: it has no \"max-age\"",
            Some(Err(_)) => "browsers ignore the header: its \"max-age\" is no number of seconds",
            Some(Ok(age)) if has("preload") && (age < YEAR || !has("includesubdomains")) => {
                "\"preload\" needs \"includeSubDomains\" and a \"max-age\" of a year, 31536000"
            }
            _ if is_plain(block) => "browsers ignore the header over plain HTTP, and this server speaks nothing else",
            _ => continue,
        };
        out.push(RULE.at(found.span(), wrong).help(
            "write `add_header Strict-Transport-Security \"max-age=31536000\" always;` into the server with TLS",
        ));
    }
}

/// Whether it is part of a server that listens for plain HTTP alone.
fn is_plain(block: Block<'_>) -> bool {
    let Some(server) = block.server() else { return false };
    let listens = server.all("listen");
    let is_tls = |listen: &&crate::syntax::Directive| {
        listen.args.iter().any(|word| matches!(&*word.value, b"ssl" | b"quic") || word.value.ends_with(b"443"))
    };
    !listens.is_empty()
        && !listens.iter().any(is_tls)
        && !listens.iter().any(|one| {
            arg(one, 0).starts_with("unix:") || one.args.iter().any(|word| &*word.value == b"proxy_protocol")
        })
}
