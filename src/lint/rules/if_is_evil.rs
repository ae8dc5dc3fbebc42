//! `if-is-evil`: an if in a location that does more than it can.

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View, text::list},
    schema::Context,
};

/// What an `if` can do in a location without becoming one.
const SAFE: [&str; 6] = ["return", "rewrite", "set", "break", "limit_rate", "access_log"];

pub(super) static RULE: Rule = Rule {
    code: "if-is-evil",
    title: "An `if` in a location does more than `return` or `rewrite`",
    why: "`if` is no condition around directives: it is a location without a name, and a request for which it holds moves into it. What \
          the location around says in ways that are not inherited, `try_files` above all, is then lost; and of two that hold only the \
          last one counts. `return` and `rewrite … last` are safe.",
    bad: "location / {\n    root /srv;\n    if ($http_user_agent ~ MSIE) {\n        expires 1h;\n    }\n}",
    good: "map $http_user_agent $lifetime {\n    ~MSIE 1h;\n    default off;\n}\nserver {\n    listen 80;\n    location / {\n        root /srv;\n        expires $lifetime;\n    }\n}",
    allow: "Where there is only this `if`, and it was tried.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION_IF) {
        if block.has("return") {
            continue;
        }
        let unsafe_here: Vec<_> = block
            .directives()
            .iter()
            .filter(|one| !SAFE.iter().any(|name| *one.name.value == *name.as_bytes()))
            .collect();
        let names: Vec<_> = unsafe_here.iter().map(|one| one.name.text()).collect();
        if !names.is_empty() {
            let said = RULE.at(
                block.place(),
                format!("a request that this holds for leaves the location, for one that has only {}", list(&names)),
            );
            let said = said.help("use a `map` and a variable, or a location of its own");
            out.push(unsafe_here.iter().fold(said, |said, one| said.related(one.span(), "not safe in an `if`")));
        } else if let Some(lost) = loses_files(block) {
            out.push(
                RULE.at(block.place(), "a request that this holds for never gets to the \"try_files\" of its location")
                    .related(lost, "lost in the `if`")
                    .help("use a `map` instead of `set`, or `rewrite … last` into a location of its own"),
            );
        }
    }
}

/// The `try_files` around, where the `if` stays in its place.
fn loses_files(block: Block<'_>) -> Option<crate::diag::Span> {
    let location = block.parent()?;
    let leaves = block.all("rewrite").iter().any(|one| {
        let last = one.args.last().map(|word| word.text().into_owned()).unwrap_or_default();
        let target = one.args.get(1).map(|word| word.text().into_owned()).unwrap_or_default();
        last == "last" || last == "redirect" || last == "permanent" || target.starts_with("http") || one.args.len() == 2
    });
    if leaves { None } else { location.one("try_files").map(|tried| tried.span()) }
}
