//! `root-should-be-alias`: a root that repeats the location's name.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "root-should-be-alias",
    title: "A `root` repeats the name of its location",
    why: "The whole path of a request stands behind the `root`, the location's name with it. If the `root` ends with that name, \
          files are looked for in a folder of that name inside itself, and the answer is 404.",
    bad: "location /static/ {\n    root /srv/shop/static;\n}",
    good: "location /static/ {\n    alias /srv/shop/static/;\n}",
    allow: "Where there really is such a folder inside the folder.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let (Some(prefix), Some(root)) = (block.prefix(), block.one("root")) else { continue };
        let folder = arg(root, 0).trim_end_matches('/').to_owned();
        let repeated = prefix.trim_end_matches('/');
        if repeated.is_empty() || !folder.ends_with(repeated) || block.has_content() {
            continue;
        }
        let slash = if prefix.ends_with('/') { "/" } else { "" };
        let target = format!("{}/a.css", repeated);
        if block.answers(&target).is_none_or(|answers| answers.number() != block.number()) {
            continue;
        }
        let value = root.args[0].span;
        out.push(
            RULE.at(root.span(), format!("\"GET {target}\" reads {folder}{target}"))
                .label("the location's name is added once more")
                .related(block.place(), "the location's name")
                .help(format!("write `alias {folder}{slash};`, or `root {};`", shorter(&folder, repeated)))
                .fix(
                    Fix::likely("use `alias`")
                        .replace(root.name.span, "alias")
                        .replace(value, format!("{folder}{slash}")),
                ),
        );
    }
}

/// The folder without what is repeated.
fn shorter(folder: &str, repeated: &str) -> String {
    let rest = folder.strip_suffix(repeated).unwrap_or(folder);
    if rest.is_empty() { "/".into() } else { rest.into() }
}
