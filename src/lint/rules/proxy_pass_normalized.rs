//! `proxy-pass-normalized`: a path that is decoded and never encoded again.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::uses},
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-pass-normalized",
    title: "A `proxy_pass` with `$uri` sends a decoded path",
    why: "`$uri` is the path after nginx has decoded it: `%20` is a space, `%0d%0a` is a line break. With variables in it, \
          `proxy_pass` sends what they hold and encodes nothing, so that the backend gets a broken request line, and a client can \
          write headers of its own into the request. `$request_uri` is the path as it came. rnginx cuts line breaks out.",
    bad: "location / {\n    proxy_set_header Host $host;\n    set $app 127.0.0.1:8000;\n    proxy_pass http://$app$uri;\n}",
    good: "location / {\n    proxy_set_header Host $host;\n    set $app 127.0.0.1:8000;\n    proxy_pass http://$app$request_uri;\n}",
    allow: "Where the path comes from a `rewrite` that admits only letters and digits.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["proxy_pass", "grpc_pass"] {
        for (block, pass) in view.every(name) {
            let Some(word) = pass.args.first().filter(|word| uses(word, &["uri", "document_uri"])) else { continue };
            let is_exact = block.name().is_some_and(|name| name.kind == crate::http::LocationKind::Exact);
            if is_exact {
                continue;
            }
            let prefix = block.prefix().unwrap_or_else(|| "/".into());
            let prefix = prefix.trim_end_matches('/');
            out.push(
                RULE.at(word.span, format!("\"GET {prefix}/a%20b\" is sent to the backend as \"GET {prefix}/a b\""))
                    .label("the path is decoded, and not encoded again")
                    .help("use `$request_uri`, or no path at all: `proxy_pass http://name;` sends the path as it came"),
            );
        }
    }
}
