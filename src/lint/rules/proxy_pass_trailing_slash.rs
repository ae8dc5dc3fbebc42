//! `proxy-pass-trailing-slash`: paths that are glued together, or have two slashes.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::Target},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-pass-trailing-slash",
    title: "A location and its `proxy_pass` do not both end with a slash",
    why: "If `proxy_pass` has a path, that path takes the place of the location's name, byte by byte. `/app/` before `/v1` makes \
          `/v1users` of `/app/users`; `/app` before `/v1/` makes `/v1//users`. Both end with a slash, or neither does.",
    bad: "location /app/ {\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000/v1;\n}",
    good: "location /app/ {\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000/v1/;\n}",
    allow: "Where the last part of the path is meant to be the beginning of a name.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let (Some(prefix), Some(pass)) = (block.prefix(), block.one("proxy_pass")) else { continue };
        let Some(uri) = Target::of(pass).and_then(|target| target.uri) else { continue };
        if pass.args[0].value.contains(&b'$') || uri.contains('?') || prefix.ends_with('/') == uri.ends_with('/') {
            continue;
        }
        let (target, word) = (format!("{}/x", prefix.trim_end_matches('/')), &pass.args[0]);
        if block.answers(&target).is_none_or(|answers| answers.number() != block.number()) {
            continue;
        }
        let sent = format!("{uri}{}", target.strip_prefix(&*prefix).unwrap_or_default());
        let text = word.text();
        let meant = if prefix.ends_with('/') { format!("{text}/") } else { text.trim_end_matches('/').to_owned() };
        out.push(
            RULE.at(pass.span(), format!("\"GET {target}\" becomes \"GET {sent}\""))
                .label("this takes the place of the location's name")
                .related(block.place(), "the location's name")
                .help(format!("write `proxy_pass {meant};`"))
                .fix(Fix::likely("let both end alike").replace(word.span, meant)),
        );
    }
}
