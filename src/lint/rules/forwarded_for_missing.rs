//! `forwarded-for-missing`: an application that never learns who asks, and how.

use super::django_without_host::is_django;
use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Block, Rule, View,
        text::{Target, header_names},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "forwarded-for-missing",
    title: "A proxied application never learns the client's address, or that it came by HTTPS",
    why: "To the application every request comes from nginx, over plain HTTP, for the host that `proxy_pass` names. Logs and limits \
          see one client, links begin with `http://`, redirects go round. What the client really asked is handed on in `Host`, \
          `X-Forwarded-For` and `X-Forwarded-Proto`.",
    bad: "upstream app {\n    server unix:/run/gunicorn.sock;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_pass http://app;\n    }\n}",
    good: "upstream app {\n    server unix:/run/gunicorn.sock;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_set_header Host $host;\n        \
           proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        proxy_set_header X-Forwarded-Proto $scheme;\n        \
           proxy_pass http://app;\n    }\n}",
    allow: "Where the backend asks for neither, as one that hands out files.",
    check,
};

/// What tells an application about the client.
const TELLING: [&str; 9] = [
    "host",
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-client-ip",
    "remote-addr",
    "cf-connecting-ip",
];

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for server in view.servers() {
        let bare: Vec<_> = server.inside().filter(|block| is_bare(*block)).collect();
        let Some((first, rest)) = bare.split_first() else { continue };
        let Some(pass) = first.one("proxy_pass") else { continue };
        let indent = view.sources.indent(pass.name.span);
        let headers = ["Host $host", "X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-Proto $scheme"];
        let written: String = headers.iter().map(|header| format!("proxy_set_header {header};\n{indent}")).collect();
        let mut said = RULE
            .at(
                pass.span(),
                "the application never learns the client's address, nor the scheme and the host it asked for",
            )
            .label("no `proxy_set_header` tells it")
            .help("add `proxy_set_header` lines for Host, X-Forwarded-For and X-Forwarded-Proto")
            .fix(Fix::likely("tell the application who asks").before(pass.name.span, written));
        for other in rest {
            if let Some(pass) = other.one("proxy_pass") {
                said = said.related(pass.span(), "nor here");
            }
        }
        out.push(said);
    }
}

/// Whether it proxies to an application of one's own and tells it nothing.
fn is_bare(block: Block<'_>) -> bool {
    let Some(target) = block.one("proxy_pass").and_then(Target::of) else { return false };
    let told = header_names(block, "proxy_set_header");
    let is_told = told.iter().any(|name| TELLING.contains(&name.as_str()));
    !is_told
        && !is_told_around(block)
        && target.is_near(block.view())
        && !is_django(block)
        && !block.is_on("internal")
        && !block.has("internal")
}

/// Whether the blocks around would tell it, if this one had no header of its own: that is another rule's finding.
pub(super) fn is_told_around(block: Block<'_>) -> bool {
    let headers = block.up().flat_map(|around| around.all("proxy_set_header"));
    headers.map(|one| super::super::text::arg(one, 0).to_ascii_lowercase()).any(|name| TELLING.contains(&name.as_str()))
}
