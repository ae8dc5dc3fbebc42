//! `missing-group`: a capture that does not exist.

use crate::{
    conf::pattern::Pattern,
    diag::Diagnostic,
    lint::{Rule, View, text::variables},
};

pub(super) static RULE: Rule = Rule {
    code: "missing-group",
    title: "A capture is used that the expression does not have",
    why: "`$2` is what the second pair of brackets matched. Where the expression has only one it is always empty, and nginx does not say so.",
    bad: "server {\n    listen 80;\n    rewrite ^/old/(.*)$ /new/$1/$2 last;\n}",
    good: "server {\n    listen 80;\n    rewrite ^/old/([^/]*)/(.*)$ /new/$1/$2 last;\n}",
    allow: "Never.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("rewrite") {
        let [pattern, target, ..] = &found.args[..] else { continue };
        let Some(read) = Pattern::read(&pattern.value, false) else { continue };
        let beyond = variables(target)
            .into_iter()
            .find(|name| name.parse::<usize>().is_ok_and(|number| number > read.groups.len()));
        if let Some(number) = beyond {
            let count = read.groups.len();
            let groups = if count == 1 { "1 group".into() } else { format!("{count} groups") };
            out.push(
                RULE.at(target.span, format!("`${number}` is always empty: the expression has {groups}"))
                    .related(pattern.span, "the expression"),
            );
        }
    }
}
