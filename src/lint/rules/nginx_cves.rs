//! `nginx-cves`: what is safe in a patched nginx only.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "nginx-cves",
    title: "This is safe only in an nginx that was patched",
    why: "Some faults of nginx are open only to configurations that use a certain directive:\n\n\
          - `mp4`: reading and writing of memory by a crafted file, CVE-2022-41741, CVE-2022-41742 and CVE-2024-7347, mended in \
          1.23.2 and 1.27.1 (1.26.2).\n- `ssl_verify_client` in one of several servers that share sessions: the certificate of a client is \
          not asked for where a session of another server is resumed, CVE-2025-23419, mended in 1.27.4 (1.26.3).\n\n\
          rnginx has none of these; another nginx that reads the same file may.",
    bad: "server {\n    listen 80;\n    root /srv/films;\n    location /films/ {\n        mp4;\n    }\n}",
    good: "server {\n    listen 80;\n    root /srv/films;\n    location /films/ {\n    }\n}",
    allow: "Where the version is new enough.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("mp4") {
        out.push(
            RULE.at(found.span(), "a crafted file can crash an nginx older than 1.27.1 (1.26.2): CVE-2024-7347")
                .help("bring that nginx up to date, or take `mp4` out"),
        );
    }
    for server in view.servers() {
        let Some(verify) = server.one("ssl_verify_client").filter(|one| arg(one, 0) != "off") else { continue };
        let shares = server
            .holds("ssl_session_cache")
            .is_some_and(|(at, all)| at.number() != server.number() && arg(all[0], 0).starts_with("shared"));
        let others = view.servers().any(|other| {
            other.number() != server.number() && !other.has("ssl_verify_client") && other.has("ssl_certificate")
        });
        if shares && others {
            out.push(
                RULE.at(verify.span(), "a session of another server passes by this check in an nginx older than 1.27.4 (1.26.3): CVE-2025-23419")
                    .help("bring that nginx up to date, or give this server an `ssl_session_cache` of its own"),
            );
        }
    }
}
