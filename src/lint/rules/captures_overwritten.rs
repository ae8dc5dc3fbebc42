//! `captures-overwritten`: a number that means another expression's group.

use crate::{
    conf::pattern::Pattern,
    diag::Diagnostic,
    http::LocationKind,
    lint::{Block, Rule, View, text::variables},
    schema::Context,
    syntax::Directive,
};

pub(super) static RULE: Rule = Rule {
    code: "captures-overwritten",
    title: "`$1` means the group of another expression",
    why: "`$1` to `$9` belong to the expression that was matched last. An `if` or a `rewrite` with an expression of its own takes the place of \
          the location's; by the time `proxy_pass` or `alias` is looked at, `$1` is the other one's group, or empty. A name stays: \
          `(?<user>…)` and `$user`.",
    bad: "location ~ ^/u/([a-z]+)/ {\n    if ($http_user_agent ~ bot) {\n        set $robot 1;\n    }\n    root /srv/users/$1;\n}",
    good: "location ~ ^/u/(?<user>[a-z]+)/ {\n    if ($http_user_agent ~ bot) {\n        set $robot 1;\n    }\n    root /srv/users/$user;\n}",
    allow: "Where the other expression is only matched when the answer is another one.",
    check,
};

/// What is looked at when all rewriting is over.
const LATE: [&str; 9] = [
    "root",
    "alias",
    "proxy_pass",
    "fastcgi_pass",
    "fastcgi_param",
    "proxy_set_header",
    "add_header",
    "try_files",
    "uwsgi_pass",
];

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let Some(name) = block.name().filter(|name| name.kind == LocationKind::Regex) else { continue };
        if Pattern::read(name.text, name.caseless).is_none_or(|pattern| pattern.groups.is_empty()) {
            continue;
        }
        let Some(other) = matched_since(block) else { continue };
        let is_late = |one: &&Directive| LATE.iter().any(|late| *one.name.value == *late.as_bytes());
        let number = |one: &Directive| one.args.iter().flat_map(variables).find(|name| name.parse::<u8>().is_ok());
        if let Some((one, number)) = block.directives().iter().filter(is_late).find_map(|one| Some((one, number(one)?)))
        {
            out.push(
                RULE.at(
                    one.span(),
                    format!("`${number}` is no longer the location's group, once the other expression was matched"),
                )
                .related(name.word.span, "the location's expression")
                .related(other, "matched after it")
                .help("give the group a name: `(?<name>…)`"),
            );
        }
    }
}

/// An expression that is matched in the location, and after which requests stay in it.
fn matched_since(block: Block<'_>) -> Option<crate::diag::Span> {
    let matches = |inner: &Block<'_>| {
        inner.context() == Context::LOCATION_IF
            && inner.args().get(1).is_some_and(|word| word.value.first() == Some(&b'~'))
            && !inner.has("return")
            && !inner.has("rewrite")
    };
    let rewrite = block.all("rewrite").iter().find(|one| one.args.get(2).is_some_and(|flag| &*flag.value == b"break"));
    block
        .children()
        .find(matches)
        .map(Block::place)
        .or_else(|| rewrite.filter(|one| one.args[0].value.contains(&b'(')).map(|one| one.span()))
}
