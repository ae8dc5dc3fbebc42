//! `literal-variable`: a `$` where nginx has no variables.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "literal-variable",
    title: "A variable stands where there are none",
    why: "A name of a server is compared as it is written: `$DOMAIN` is the name of no host, so no request ever reaches the server by it. \
          nginx knows nothing of the shell's or the container's environment; a program such as `envsubst` has to fill it in first.",
    bad: "server {\n    listen 80;\n    server_name ${DOMAIN};\n}",
    good: "server {\n    listen 80;\n    server_name shop.test;\n}",
    allow: "Where a template is checked that is filled in later.",
    check,
};

/// What the official image fills in before it starts.
const TEMPLATE: &str = ".template";

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, names) in view.every("server_name") {
        let is_template = view.sources.get(names.name.span.file).name.ends_with(TEMPLATE);
        for word in names.args.iter().filter(|word| !is_template && is_variable(word)) {
            let message = format!("`{}` is the name as it stands, and no host has it", word.text());
            out.push(RULE.at(word.span, message).help("write the name, or let `envsubst` fill it in"));
        }
    }
}

/// An expression may end with `$`, and `$hostname` is known.
fn is_variable(word: &Word) -> bool {
    let name = &*word.value;
    !name.starts_with(b"~") && name != b"$hostname" && name.contains(&b'$')
}
