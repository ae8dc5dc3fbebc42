//! `missing-resolver`: a host that can never be looked up.

use crate::{
    diag::Diagnostic,
    lint::{
        Block, Rule, View,
        text::{Target, variables},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "missing-resolver",
    title: "A host with a variable has no `resolver`",
    why: "A host in `proxy_pass` that holds a variable is only known when a request comes, and is looked up then. nginx asks no system \
          library for that but the servers of `resolver`; without it every request is answered 502, `no resolver defined`.",
    bad: "server {\n    listen 80;\n    location ~ ^/u/(?<user>[a-z]+)/ {\n        proxy_pass http://$user.internal:8000;\n    }\n}",
    good: "server {\n    listen 80;\n    resolver 127.0.0.53;\n    location ~ ^/u/(?<user>[a-z]+)/ {\n        proxy_pass http://$user.internal:8000;\n    }\n}",
    allow: "Where the variable only ever holds the name of an `upstream` or an address, or where the `resolver` stands in a file that is not seen here.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass"] {
        for (block, pass) in view.every(name) {
            let Some(target) = Target::of(pass).filter(|target| !target.unix && target.is_variable()) else { continue };
            if block.holds("resolver").is_some() || is_known(block, &target) {
                continue;
            }
            out.push(
                RULE.at(
                    pass.span(),
                    format!("\"{}\" can never be looked up: every request is answered 502", target.authority),
                )
                .label("no `resolver` holds here")
                .help("add `resolver 127.0.0.53;`, or the address of the network's own"),
            );
        }
    }
}

/// Whether the variable holds addresses or names of upstreams, as far as can be seen.
fn is_known(block: Block<'_>, target: &Target) -> bool {
    let view = block.view();
    let names = variables(&crate::syntax::Word {
        value: target.authority.as_bytes().into(),
        span: block.place(),
        quoted: false,
        brace: None,
    });
    let host_is_name = target.host().starts_with('$') && !target.host().contains('.');
    let values = names.iter().flat_map(|name| values(view, name));
    let values: Vec<String> = values.collect();
    let is_known = |value: &String| {
        let target = Target::read(value);
        target.unix
            || target.host().parse::<std::net::IpAddr>().is_ok()
            || view.upstream(target.host()).is_some()
            || value.is_empty()
    };
    host_is_name && !values.is_empty() && values.iter().all(is_known)
}

/// What `set`, `map` and their like give a variable.
fn values(view: &View<'_>, name: &str) -> Vec<String> {
    let is_it = |word: &crate::syntax::Word| word.text().trim_start_matches('$').eq_ignore_ascii_case(name);
    let sets = view
        .every("set")
        .filter(|(_, set)| set.args.first().is_some_and(is_it))
        .filter_map(|(_, set)| Some(set.args.get(1)?.text().into_owned()));
    let tables = crate::schema::Context::MAP | crate::schema::Context::GEO | crate::schema::Context::SPLIT_CLIENTS;
    let lines =
        view.blocks(tables).filter(|block| block.args().last().is_some_and(is_it)).flat_map(|block| block.directives());
    sets.chain(lines.filter_map(|line| Some(line.args.first()?.text().into_owned()))).collect()
}
