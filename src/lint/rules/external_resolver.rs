//! `external-resolver`: names asked of strangers.

use std::net::{IpAddr, SocketAddr};

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
};

pub(super) static RULE: Rule = Rule {
    code: "external-resolver",
    title: "Backends are looked up at a server on the open internet",
    why: "nginx's questions to a `resolver` are plain UDP, not signed. Whoever can answer quicker than 8.8.8.8 decides which machine gets \
          the requests; and inner names are told to strangers.",
    bad: "server {\n    listen 80;\n    resolver 8.8.8.8;\n    location / {\n        set $app app.internal;\n        proxy_set_header Host $host;\n        proxy_pass http://$app:8000;\n    }\n}",
    good: "server {\n    listen 80;\n    resolver 127.0.0.53;\n    location / {\n        set $app app.internal;\n        proxy_set_header Host $host;\n        proxy_pass http://$app:8000;\n    }\n}",
    allow: "Where it is asked for `ssl_stapling` alone.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("resolver") {
        let looks_up = |name: &str| {
            block
                .inside()
                .flat_map(|inner| inner.all(name))
                .any(|pass| pass.args.first().is_some_and(|word| word.value.contains(&b'$')))
        };
        let is_asked = ["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass"].into_iter().any(looks_up);
        let stranger = found.args.iter().find(|word| address(&word.text()).is_some_and(is_public));
        if let Some(word) = stranger.filter(|_| is_asked) {
            out.push(
                RULE.at(word.span, format!("the addresses of backends are whatever {} is said to answer", word.text()))
                    .help("ask a server of the own network, or 127.0.0.53, systemd's"),
            );
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.octets()[0] == 100),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}
