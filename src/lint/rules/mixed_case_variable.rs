//! `mixed-case-variable`: two names that are one variable.

use std::collections::HashMap;

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
    schema::Context,
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "mixed-case-variable",
    title: "Two spellings are one variable",
    why: "The names of variables have no case: `$Site` and `$site` are one. Whoever sets both overwrites the first with the second.",
    bad: "server {\n    listen 80;\n    set $Site a;\n    set $site b;\n    return 200 $Site$site;\n}",
    good: "server {\n    listen 80;\n    set $site_name a;\n    set $site b;\n    return 200 $site_name$site;\n}",
    allow: "Where one variable is meant.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    let sets = view.every("set").filter_map(|(_, set)| set.args.first());
    let maps =
        view.blocks(Context::MAP | Context::GEO | Context::SPLIT_CLIENTS).filter_map(|block| block.args().last());
    let mut seen: HashMap<String, &Word> = HashMap::new();
    for word in sets.chain(maps) {
        let first = *seen.entry(word.text().to_ascii_lowercase()).or_insert(word);
        if first.value != word.value {
            out.push(
                RULE.at(word.span, format!("`{}` is the same variable as `{}`", word.text(), first.text()))
                    .related(first.span, "the other spelling")
                    .help("give one of them another name"),
            );
        }
    }
}
