//! `no-default-server`: the first server answers for every name.

use std::collections::HashMap;

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View, text::arg},
    syntax::Directive,
};

pub(super) static RULE: Rule = Rule {
    code: "no-default-server",
    title: "Of several servers on one address none is the default",
    why: "A request for a name that nobody has goes to the `default_server`, and without one to the server that happens to be written \
          first: an inner site for whoever comes by the address. With `conf.d/*.conf` it is the file that sorts first, and a new one \
          may change it.",
    bad: "server {\n    listen 8080;\n    server_name internal.test;\n    return 200;\n}\nserver {\n    listen 8080;\n    server_name www.test;\n    return 204;\n}",
    good: "server {\n    listen 8080 default_server;\n    return 444;\n}\nserver {\n    listen 8080;\n    server_name internal.test;\n    return 200;\n}\n\
           server {\n    listen 8080;\n    server_name www.test;\n    return 204;\n}",
    allow: "Where the first one is meant, and stays the first one.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    let mut addresses: Vec<(String, Vec<(Block<'_>, bool)>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for server in view.servers() {
        for listen in server.all("listen") {
            let key = address(listen);
            let is_default = listen.args.iter().any(|word| matches!(&*word.value, b"default_server" | b"default"));
            let at = *places.entry(key.clone()).or_insert_with(|| {
                addresses.push((key, Vec::new()));
                addresses.len() - 1
            });
            addresses[at].1.push((server, is_default));
        }
    }
    for (address, servers) in addresses {
        let (first, _) = servers[0];
        let inner = servers.iter().filter(|(server, _)| server.number() != first.number()).count();
        if inner == 0
            || servers.iter().any(|(_, is_default)| *is_default)
            || is_harmless(first)
            || address.starts_with("unix:")
            || address.starts_with("127.")
        {
            continue;
        }
        let name = name(first);
        out.push(
            RULE.at(first.place(), format!("\"Host: unknown.example\" on {address} is answered by {name}, because it stands first"))
                .help(format!("add `default_server` to the `listen` of the one that is meant, or a server with `listen {address} default_server; return 444;`")),
        );
    }
}

/// The address, as one writes it: of all the ways to say port 80 one.
pub(super) fn address(listen: &Directive) -> String {
    let text = arg(listen, 0);
    let text = text.strip_prefix("*:").or(text.strip_prefix("0.0.0.0:")).unwrap_or(&text).to_owned();
    let has_port = text.starts_with("unix:")
        || text.bytes().all(|byte| byte.is_ascii_digit())
        || text.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port { text } else { format!("{text}:80") }
}

fn name(server: Block<'_>) -> String {
    server.one("server_name").map_or_else(|| "a server without a name".into(), |name| format!("\"{}\"", arg(name, 0)))
}

/// Whether it is meant for all names, or only sends people on.
fn is_harmless(server: Block<'_>) -> bool {
    let names: Vec<_> = server.all("server_name").iter().flat_map(|one| &one.args).map(|word| word.text()).collect();
    let is_open = names.is_empty()
        || names.iter().any(|name| {
            matches!(&**name, "_" | "" | "localhost" | "$hostname") || name.starts_with('~') || name.starts_with("*.")
        });
    let sends_on = |block: Block<'_>| block.one("return").is_some_and(|one| !arg(one, 0).starts_with('2'));
    let all_on = server.locations().next().is_some()
        && server
            .locations()
            .all(|location| sends_on(location) || location.prefix().is_some_and(|path| path.contains("well-known")));
    is_open || sends_on(server) || all_on || server.has("rewrite")
}
