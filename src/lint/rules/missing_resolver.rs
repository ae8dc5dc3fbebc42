//! `missing-resolver`: a host that can never be looked up.

use crate::{
    diag::Diagnostic,
    lint::{
        Block, Rule, View,
        text::{Target, variables},
    },
    schema::{Context, Schema},
    syntax::Word,
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

/// Whether it can only become addresses and names of upstreams, as far as can be seen; or is given by what is not seen.
fn is_known(block: Block<'_>, target: &Target) -> bool {
    let view = block.view();
    let mut hosts = vec![target.authority.clone()];
    for name in names(&target.authority) {
        let values = match values(view, &name) {
            values if values.is_empty() => return !is_given(block, &name),
            values => values,
        };
        let put = |host: &String, value: &String| {
            host.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
        };
        hosts = hosts
            .iter()
            .flat_map(|host| values.iter().map(|value| put(host, value)).collect::<Vec<_>>())
            .take(MOST_VALUES)
            .collect();
    }
    let is_known = |host: &String| {
        let target = Target::read(host);
        target.unix
            || target.host().parse::<std::net::IpAddr>().is_ok()
            || view.upstream(target.host()).is_some()
            || host.is_empty()
    };
    hosts.iter().all(is_known)
}

/// So many combinations of values are looked at.
const MOST_VALUES: usize = 64;

fn names(text: &str) -> Vec<String> {
    let word = Word { value: text.as_bytes().into(), span: crate::diag::Span::default(), quoted: false, brace: None };
    variables(&word)
}

/// Whether nginx itself gives the variable its value: one of its own, or a group of an expression. Others are given by a file
/// that is not seen, by a module, or by whoever fills a template in.
fn is_given(block: Block<'_>, name: &str) -> bool {
    let is_own = Schema::nginx()
        .variables()
        .iter()
        .any(|known| known.name == name || known.is_prefix && name.starts_with(known.name));
    let is_group =
        |text: &[u8]| memchr::memmem::find(&text.to_ascii_lowercase(), format!("<{name}>").as_bytes()).is_some();
    let mut around = block.up().flat_map(|around| {
        let names = around.all("server_name").iter().flat_map(|one| &one.args);
        around.args().iter().chain(names)
    });
    is_own || name.parse::<u8>().is_ok() || around.any(|word| is_group(&word.value))
}

/// What `set`, `map` and their like give a variable.
fn values(view: &View<'_>, name: &str) -> Vec<String> {
    let is_it = |word: &Word| word.text().trim_start_matches('$').eq_ignore_ascii_case(name);
    let sets = view
        .every("set")
        .filter(|(_, set)| set.args.first().is_some_and(is_it))
        .filter_map(|(_, set)| Some(set.args.get(1)?.text().into_owned()));
    let tables = Context::MAP | Context::GEO | Context::SPLIT_CLIENTS;
    let lines =
        view.blocks(tables).filter(|block| block.args().last().is_some_and(is_it)).flat_map(|block| block.directives());
    sets.chain(lines.filter_map(|line| Some(line.args.first()?.text().into_owned()))).collect()
}
