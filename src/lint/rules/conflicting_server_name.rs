//! `conflicting-server-name`: a name that two servers have on one address.

use std::collections::HashMap;

use super::no_default_server::address;
use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
};

pub(super) static RULE: Rule = Rule {
    code: "conflicting-server-name",
    title: "Two servers have one name on one address",
    why: "The first server with a name gets its requests, the second one is never asked under it. nginx only warns, without a line; what \
          was changed in the second server has no effect, and nothing says why.",
    bad: "server {\n    listen 80 default_server;\n    server_name a.test www.a.test;\n    return 200;\n}\nserver {\n    listen 80;\n    server_name www.a.test b.test;\n    return 200;\n}",
    good: "server {\n    listen 80 default_server;\n    server_name a.test www.a.test;\n    return 200;\n}\nserver {\n    listen 80;\n    server_name b.test;\n    return 200;\n}",
    allow: "While a server is moved from one file to another.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    let mut seen = HashMap::new();
    for server in view.servers() {
        let mut addresses: Vec<_> = server.all("listen").iter().map(|listen| address(listen)).collect();
        if addresses.is_empty() {
            addresses.push("80".into());
        }
        for word in server.all("server_name").iter().flat_map(|one| &one.args) {
            let name = word.text().to_ascii_lowercase();
            let clash = addresses.iter().find_map(|address| {
                let first = seen.entry((address.clone(), name.clone())).or_insert((word.span, server.number()));
                (first.1 != server.number()).then_some((address, first.0))
            });
            if let Some((address, first)) = clash.filter(|_| !name.starts_with('~')) {
                out.push(
                    RULE.at(word.span, format!("\"Host: {name}\" on {address} is never answered by this server"))
                        .label("an earlier server has this name")
                        .related(first, "the first one")
                        .help("take the name out of one of them"),
                );
            }
        }
    }
}
