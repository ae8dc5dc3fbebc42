//! `try-files-alias`: try_files under an alias, with a name that is no file there.

use crate::{
    diag::Diagnostic,
    lint::{
        Block, Rule, View,
        text::{arg, variables},
    },
    schema::Context,
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "try-files-alias",
    title: "A `try_files` beside an `alias` names something that is no file under it",
    why: "Beside an `alias` only names that begin with the location's own name are cut to fit: `$uri` is, most others are put \
          behind the folder as they are. The last name is no file at all but a path that is asked for again, from the beginning: \
          it has to lead to the file through some location. If it leads back here and the file is missing, nginx goes round \
          until it gives up with 500.",
    bad: "location /docs/ {\n    alias /srv/docs/;\n    try_files $uri /docs/index.html;\n}",
    good: "location /docs/ {\n    root /srv;\n    try_files $uri $uri/ =404;\n}",
    allow: "Where the last name was tried, and its file is always there.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let (Some(alias), Some(tried), Some(name)) = (block.one("alias"), block.one("try_files"), block.name()) else {
            continue;
        };
        let Some((last, files)) = tried.args.split_last() else { continue };
        let is_regex = block.prefix().is_none();
        let is_cut = |word: &Word| !is_regex && word.value.starts_with(b"$uri");
        let odd =
            files.iter().find(|word| !is_cut(word) && (!is_regex || variables(word).iter().any(|name| name == "uri")));
        let goes_on = last.value.starts_with(b"=") || last.value.starts_with(b"@");
        let folder = arg(alias, 0);
        let said = match odd {
            Some(word) => RULE
                .at(
                    tried.span(),
                    format!("\"{}\" of \"try_files\" is looked for as {folder}{}", word.text(), word.text()),
                )
                .related(word.span, "this is put behind the `alias` as it is"),
            None if goes_on || block.locations().next().is_some() || is_answered_elsewhere(block, last) => continue,
            None => RULE
                .at(
                    tried.span(),
                    format!(
                        "the last name of \"try_files\" is no file under {folder}: {} is asked for anew",
                        last.text()
                    ),
                )
                .related(last.span, "a path, and not a file"),
        };
        let shown = String::from_utf8_lossy(name.text).into_owned();
        out.push(
            said.related(alias.span(), "the `alias`")
                .help(format!("use `root` with a folder that holds `{shown}`, and end with `=404` or `@name`")),
        );
    }
}

/// Whether another location answers for the last name.
fn is_answered_elsewhere(block: Block<'_>, last: &Word) -> bool {
    let path = last.text();
    let path = path.split('?').next().unwrap_or_default();
    let answer = || block.answers(path).filter(|by| by.context() == Context::LOCATION);
    path.starts_with('/') && !path.contains('$') && answer().is_some_and(|by| by.number() != block.number())
}
