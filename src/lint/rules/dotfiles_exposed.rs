//! `dotfiles-exposed`: a project's folder as root.

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View, text::arg},
};

/// What secrets are called.
const SECRETS: [&str; 2] = ["/.git/config", "/.env"];

/// Folders that projects publish, and beside which they keep the rest.
const PUBLIC: [&str; 18] = [
    "public",
    "html",
    "htdocs",
    "dist",
    "build",
    "static",
    "www",
    "web",
    "webroot",
    "public_html",
    "site",
    "_site",
    "out",
    "docs",
    "staticfiles",
    "media",
    "assets",
    "httpdocs",
];

/// Where projects stand.
const PROJECTS: [&str; 7] = ["/home/", "/opt/app", "/app", "/code", "/usr/src/", "/workspace", "/project"];

pub(super) static RULE: Rule = Rule {
    code: "dotfiles-exposed",
    title: "A project's folder is served, with `.git` and `.env` in it",
    why: "A checkout holds its whole history in `.git` and often its passwords in `.env`. nginx serves files whose names begin with \
          a dot like any others, and robots ask every server on the internet for these two.",
    bad: "server {\n    listen 80;\n    root /home/deploy/shop;\n}",
    good: "server {\n    listen 80;\n    root /home/deploy/shop/public;\n    location ~ /\\.(?!well-known/) {\n        return 404;\n    }\n}",
    allow: "Where the folder is made by a build and holds nothing else.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, root) in view.every("root") {
        let folder = arg(root, 0);
        let served = match block.server() {
            Some(server) if server.number() == block.number() => server,
            Some(_) if block.prefix().as_deref() == Some("/") => block,
            _ => continue,
        };
        let is_listed = served.is_on("autoindex") && !is_public(&folder);
        if !is_listed && !is_project(&folder) {
            continue;
        }
        let shown = SECRETS.iter().find(|secret| served.answers(secret).is_some_and(|by| serves(by, &folder)));
        if let Some(secret) = shown {
            out.push(
                RULE.at(
                    root.span(),
                    format!("\"GET {secret}\" reads {}{secret}, if it is there", folder.trim_end_matches('/')),
                )
                .label("this looks like the folder of a project")
                .help("serve a folder of its own, or add `location ~ /\\.(?!well-known/) { return 404; }`"),
            );
        }
    }
}

fn is_public(folder: &str) -> bool {
    let last = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    PUBLIC.iter().any(|name| last.eq_ignore_ascii_case(name)) || folder.contains('$')
}

fn is_project(folder: &str) -> bool {
    PROJECTS.iter().any(|start| folder.starts_with(start)) && !is_public(folder)
}

/// Whether a block serves files of this folder to everybody.
fn serves(block: Block<'_>, folder: &str) -> bool {
    let closed =
        ["deny", "internal", "auth_basic", "auth_request", "alias"].iter().any(|name| block.holds(name).is_some());
    let tried = block
        .one("try_files")
        .is_none_or(|tried| tried.args.first().is_some_and(|word| word.value.starts_with(b"$uri")));
    let returns = block.up().any(|around| around.has("return"));
    block.value("root").as_deref() == Some(folder) && !closed && tried && !returns && !block.has_content()
}
