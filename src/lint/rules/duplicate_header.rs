//! `duplicate-header`: a header that one block sets twice.

use std::collections::HashMap;

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

/// Headers of which an answer may have several.
const SEVERAL: [&str; 8] = [
    "set-cookie",
    "link",
    "www-authenticate",
    "cache-control",
    "vary",
    "server-timing",
    "content-security-policy",
    "via",
];

pub(super) static RULE: Rule = Rule {
    code: "duplicate-header",
    title: "A block sets one header twice",
    why: "`add_header` and `proxy_set_header` never replace one another: both lines are sent. Browsers take the first \
          `X-Frame-Options`, or refuse both; applications join two `X-Forwarded-For` or take the wrong one.",
    bad: "location / {\n    proxy_set_header X-Real-IP $remote_addr;\n    proxy_set_header X-Real-IP $http_x_real_ip;\n    \
          proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    good: "location / {\n    proxy_set_header X-Real-IP $remote_addr;\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where at most one of the two ever has a value: an empty one is not sent.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["add_header", "proxy_set_header", "grpc_set_header"] {
        for (block, all) in view
            .blocks(crate::schema::Context::ANY)
            .map(|block| (block, block.all(name)))
            .filter(|(_, all)| all.len() > 1)
        {
            let mut seen = HashMap::new();
            for one in all {
                let header = arg(one, 0).to_ascii_lowercase();
                let has_value =
                    one.args.get(1).is_some_and(|value| !value.value.is_empty() && !value.value.contains(&b'$'));
                let Some((first, always)) = seen.insert(header.clone(), (one.span(), has_value)) else { continue };
                let both =
                    always && has_value || name != "add_header" || block.context() == crate::schema::Context::HTTP;
                if both && !SEVERAL.contains(&header.as_str()) {
                    out.push(
                        RULE.at(one.span(), format!("\"{}\" goes out twice", arg(one, 0)))
                            .label("the second one")
                            .related(first, "the first one"),
                    );
                }
            }
        }
    }
}
