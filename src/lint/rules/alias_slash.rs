//! `alias-slash`: a slash at the end of a location and none at the end of its alias.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "alias-slash",
    title: "A location ends with a slash and its `alias` does not",
    why: "What follows the location's name is put right behind the `alias`. Without a slash there the name of the file is glued to \
          the name of the folder, and nothing is ever found.",
    bad: "location /media/ {\n    alias /srv/shop/media;\n}",
    good: "location /media/ {\n    alias /srv/shop/media/;\n}",
    allow: "Where file names are meant to begin with the last part of the `alias`.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let (Some(prefix), Some(alias)) = (block.prefix(), block.one("alias")) else { continue };
        let (folder, word) = (arg(alias, 0), alias.args.first());
        let target = format!("{prefix}a.txt");
        let answers = || block.answers(&target).is_some_and(|answers| answers.number() == block.number());
        if !prefix.ends_with('/') || folder.ends_with('/') || folder.contains('$') || block.has_content() || !answers()
        {
            continue;
        }
        let Some(word) = word else { continue };
        out.push(
            RULE.at(word.span, format!("\"GET {target}\" reads {folder}a.txt"))
                .label("no slash at the end")
                .related(block.place(), "and one here")
                .help(format!("write `alias {folder}/;`"))
                .fix(Fix::likely("put a slash behind the alias").replace(word.span, format!("{folder}/"))),
        );
    }
}
