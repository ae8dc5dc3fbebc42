//! `proxy-missing-host`: a backend that is told the client's address and not the name it asked for.

use super::django_without_host::is_django;
use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Rule, View,
        text::{Target, arg, header_names},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-missing-host",
    title: "An application is told everything about the client but the name it asked for",
    why: "Without `proxy_set_header Host` the backend gets what `proxy_pass` says as its `Host`: the name of an upstream, an \
          address, or `localhost`. Links and redirects that it builds lead there, and with several names it cannot tell them apart.",
    bad: "location / {\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    proxy_pass http://127.0.0.1:8000;\n}",
    good: "location / {\n    proxy_set_header Host $host;\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
           proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where the backend is known by the name in `proxy_pass`.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, pass) in view.every("proxy_pass") {
        let Some(target) = Target::of(pass) else { continue };
        let told = header_names(block, "proxy_set_header");
        let has = |name: &str| told.iter().any(|one| one == name);
        let forwards = has("x-forwarded-for") || has("x-real-ip") || has("x-forwarded-proto");
        let is_lost = block
            .up()
            .flat_map(|around| around.all("proxy_set_header"))
            .any(|one| arg(one, 0).eq_ignore_ascii_case("host"));
        if !forwards || is_lost || has("host") || has("x-forwarded-host") || !target.is_near(view) || is_django(block) {
            continue;
        }
        let indent = view.sources.indent(pass.name.span);
        let sees = if target.unix { "localhost" } else { &target.authority };
        out.push(
            RULE.at(
                pass.span(),
                format!("the application is asked for the host \"{sees}\", whatever name the client asked for"),
            )
            .label("no `proxy_set_header Host` holds here")
            .help("add `proxy_set_header Host $host;`")
            .fix(
                Fix::likely("hand the host on")
                    .before(pass.name.span, format!("proxy_set_header Host $host;\n{indent}")),
            ),
        );
    }
}
