//! `filesystem-root-exposed`: a root that serves the machine.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

/// Folders that no site is made of.
const SYSTEM: [&str; 12] =
    ["/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/sys", "/usr", "/var"];

pub(super) static RULE: Rule = Rule {
    code: "filesystem-root-exposed",
    title: "A folder of the system is served",
    why: "Everything below a `root` can be asked for by its name. With `/` or `/etc` that is passwords, keys and the sources of \
          every site on the machine.",
    bad: "server {\n    listen 80;\n    root /;\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n}",
    allow: "In a container that holds nothing else, and for `internal` locations.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ["root", "alias"] {
        for (block, found) in view.every(name) {
            let folder = arg(found, 0);
            let bare = if folder.len() > 1 { folder.trim_end_matches('/') } else { &folder };
            // `root /;` in `location /srv/` serves `/srv/` and nothing else.
            let is_narrow =
                name == "root" && block.name().is_some_and(|name| name.text != b"/" && block.prefix().is_some());
            let is_closed = block.up().any(|around| around.has("internal")) || block.has_content();
            if !SYSTEM.contains(&bare)
                || is_narrow
                || is_closed
                || block.name().is_some_and(|one| one.text.starts_with(b"@"))
            {
                continue;
            }
            out.push(
                RULE.at(found.span(), format!("everything in {bare} can be downloaded"))
                    .label("a folder of the system")
                    .help("name the folder of the site"),
            );
        }
    }
}
