//! `autoindex-everywhere`: lists of files for a whole server.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "autoindex-everywhere",
    title: "`autoindex on` holds for a whole server",
    why: "Every folder without an index file is listed: backups, uploads and half-finished pages are found by whoever looks. Lists \
          belong into the one location that is meant to have them.",
    bad: "server {\n    listen 80;\n    root /srv/www;\n    autoindex on;\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n    location /downloads/ {\n        autoindex on;\n    }\n}",
    allow: "Where the server is a mirror, and all its files are meant to be found.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("autoindex") {
        let is_wide = block.context().intersects(Context::HTTP | Context::SERVER);
        let names = block.all("server_name").iter().flat_map(|one| &one.args);
        let is_mirror = names
            .map(|word| word.text())
            .any(|name| ["mirror", "files", "download", "ftp", "dl."].iter().any(|part| name.contains(part)));
        if is_wide && arg(found, 0).eq_ignore_ascii_case("on") && !is_mirror {
            out.push(
                RULE.at(found.span(), "every folder without an index file is listed to everybody")
                    .help("move it into the location whose files are meant to be listed"),
            );
        }
    }
}
