//! `host-spoofing`: a name that the client may choose freely.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Rule, View,
        text::{arg, uses},
    },
    syntax::Directive,
};

pub(super) static RULE: Rule = Rule {
    code: "host-spoofing",
    title: "The application is told the `Host` as the client wrote it",
    why: "`$http_host` is the header as it came, whatever stands in it, even where the request line names another host and that one \
          chose the server. An application that builds links from it, in a mail that resets a password above all, sends people to \
          the attacker's site. `$host` is the name that chose the server: in lower case, without the port.",
    bad: "location / {\n    proxy_set_header Host $http_host;\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
          proxy_pass http://127.0.0.1:8000;\n}",
    good: "location / {\n    proxy_set_header Host $host;\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
           proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where the application checks the name itself (`ALLOWED_HOSTS` in Django) and needs the port in it.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["proxy_set_header", "grpc_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"] {
        for (_, found) in view.every(name) {
            if tells_host(found) && found.args.get(1).is_some_and(|value| uses(value, &["http_host"])) {
                let value = &found.args[1];
                let text = value.text().replace("${http_host}", "$host").replace("$http_host", "$host");
                out.push(
                    RULE.at(value.span, format!("\"{}\" is whatever the client sent as its Host", arg(found, 0)))
                        .help("use `$host`; with a port, `$host:$server_port`")
                        .fix(Fix::likely("use `$host`").replace(value.span, text)),
                );
            }
        }
    }
}

fn tells_host(found: &Directive) -> bool {
    matches!(arg(found, 0).to_ascii_lowercase().as_str(), "host" | "x-forwarded-host" | "http_host" | "server_name")
}
