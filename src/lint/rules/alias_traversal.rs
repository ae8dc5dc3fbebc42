//! `alias-traversal`: a request climbs out of an alias.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "alias-traversal",
    title: "A request can climb out of the folder of an `alias`",
    why: "nginx puts what follows the location's name behind the `alias`. A name without a slash at its end matches \
          `/static../secret` too, and what follows is `../secret`: with a slash at the end of the `alias` that is the folder \
          around it. The whole project, with its settings and its keys, can be downloaded.",
    bad: "location /static {\n    alias /srv/shop/static/;\n}",
    good: "location /static/ {\n    alias /srv/shop/static/;\n}",
    allow: "Never: the slash costs nothing.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let (Some(prefix), Some(name), Some(alias)) = (block.prefix(), block.name(), block.one("alias")) else {
            continue;
        };
        let folder = arg(alias, 0);
        if prefix.ends_with('/') || !folder.ends_with('/') || block.has_content() {
            continue;
        }
        let target = format!("{prefix}../secret");
        if block.answers(&target).is_none_or(|answers| answers.number() != block.number()) {
            continue;
        }
        out.push(
            RULE.at(name.word.span, format!("\"GET {target}\" reads {folder}../secret"))
                .label("this matches `..` behind it, too")
                .related(alias.span(), "and this ends with a slash")
                .help(format!("write `location {prefix}/`"))
                .fix(
                    Fix::likely("put a slash behind the location's name").replace(name.word.span, format!("{prefix}/")),
                ),
        );
    }
}
