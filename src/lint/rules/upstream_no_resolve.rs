//! `upstream-no-resolve`: an upstream's server that is looked up once.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        text::{Target, arg},
    },
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "upstream-no-resolve",
    title: "A server of an upstream is a name on the internet, looked up once",
    why: "The names in an `upstream` are looked up when the configuration is read and never again, unless `resolve` stands behind them, \
          with a `zone` in the upstream and a `resolver`. A service that moves is lost until a reload.",
    bad: "upstream api {\n    server api.shop-backend.com:443;\n}",
    good: "resolver 127.0.0.53;\nupstream api {\n    zone api 64k;\n    server api.shop-backend.com:443 resolve;\n}",
    allow: "Where the address never changes.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for upstream in view.blocks(Context::UPSTREAM) {
        for server in upstream.all("server") {
            let resolves = server.args.iter().any(|word| &*word.value == b"resolve");
            let target = Target::read(&arg(server, 0));
            if target.is_public_name() && !resolves {
                out.push(
                    RULE.at(
                        server.span(),
                        format!("\"{}\" keeps the address that it has when nginx starts", target.host()),
                    )
                    .help("add `resolve` to it, a `zone` to the upstream, and a `resolver`"),
                );
            }
        }
    }
}
