//! `stale-dns`: an address that is looked up once.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::Target},
};

pub(super) static RULE: Rule = Rule {
    code: "stale-dns",
    title: "A name on the internet is looked up once, at the start",
    why: "A host that is written out in `proxy_pass` is looked up when the configuration is read and never again. Clouds move their \
          services to other addresses every few minutes: requests then go to somebody else's machine, or nowhere, until a reload.",
    bad: "location /api/ {\n    proxy_pass https://api.shop-backend.com;\n}",
    good: "location /api/ {\n    resolver 127.0.0.53;\n    set $api api.shop-backend.com;\n    proxy_pass https://$api;\n}",
    allow: "Where the address never changes.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["proxy_pass", "grpc_pass"] {
        for (_, pass) in view.every(name) {
            let Some(target) = Target::of(pass).filter(Target::is_public_name) else { continue };
            if view.upstream(target.host()).is_none() && view.upstream(&target.authority).is_none() {
                out.push(
                    RULE.at(
                        pass.span(),
                        format!("\"{}\" keeps the address that it has when nginx starts", target.host()),
                    )
                    .help("put the name into a variable with `set`, and add a `resolver`"),
                );
            }
        }
    }
}
