//! `root-in-location`: the root of `/` that other locations do not have.

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View},
};

pub(super) static RULE: Rule = Rule {
    code: "root-in-location",
    title: "A `root` stands in `location /`, and other locations have none",
    why: "Locations stand side by side, `/images/` is not inside `/`. A `root` in `location /` holds there alone; the others look \
          for their files in nginx's own `html` folder.",
    bad: "server {\n    listen 80;\n    location / {\n        root /srv/www;\n    }\n    location /images/ {\n        expires 7d;\n    }\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n    location /images/ {\n        expires 7d;\n    }\n}",
    allow: "Where the other locations are never meant to find a file.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for server in view.servers() {
        let first = server.locations().find(|block| block.prefix().as_deref() == Some("/"));
        let Some((first, root)) = first.and_then(|block| Some((block, block.one("root")?))) else { continue };
        if server.holds("root").is_some() {
            continue;
        }
        for other in server.locations().filter(|other| other.number() != first.number() && looks_for_files(*other)) {
            let Some(prefix) = other.prefix() else { continue };
            let target = format!("{}/a.png", prefix.trim_end_matches('/'));
            if other.answers(&target).is_none_or(|answers| answers.number() != other.number()) {
                continue;
            }
            out.push(
                RULE.at(
                    other.place(),
                    format!(
                        "\"GET {target}\" is looked for in nginx's own folder html, not in {}",
                        super::super::text::arg(root, 0)
                    ),
                )
                .label("this location has no root")
                .related(root.span(), "this one holds in `location /` only")
                .help("move the `root` out of `location /`, into the server"),
            );
        }
    }
}

/// Whether it serves files, and does something for them.
fn looks_for_files(block: Block<'_>) -> bool {
    let elsewhere = [
        "root",
        "alias",
        "internal",
        "deny",
        "try_files",
        "rewrite",
        "error_page",
        "if",
        "content_by_lua_block",
        "js_content",
    ];
    !block.has_content()
        && !block.directives().is_empty()
        && block.locations().next().is_none()
        && !elsewhere.iter().any(|name| block.has(name))
}
