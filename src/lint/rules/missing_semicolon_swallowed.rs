//! `missing-semicolon-swallowed`: a directive that became arguments.

use crate::{
    check::lost_semicolon,
    diag::{Diagnostic, Fix},
    lint::{Rule, View},
    schema::{Context, Schema},
    syntax::Directive,
};

pub(super) static RULE: Rule = Rule {
    code: "missing-semicolon-swallowed",
    title: "A lost `;` makes arguments of the next directive",
    why: "Line ends mean nothing to nginx: without its `;` a directive goes on in the next line. If it takes any number of arguments \
          nothing is wrong with that, and the directive in the next line has no effect.",
    bad: "server {\n    listen 80;\n    index index.html\n    server_name blog.test;\n}",
    good: "server {\n    listen 80;\n    index index.html;\n    server_name blog.test;\n}",
    allow: "Where the word is an argument that looks like a directive.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::ANY) {
        // Of what nginx does not know it says so itself.
        let is_known = |one: &Directive| Schema::nginx().find(&one.name.value, block.context()).is_some();
        let may_swallow = |one: &&Directive| one.args.len() > 1 && one.block.is_none() && is_known(one);
        for directive in block.directives().iter().filter(may_swallow) {
            let Some(last) = lost_semicolon(view.sources, directive, block.context()) else { continue };
            let Some(at) = directive.args.iter().position(|word| word.span == last.span) else { continue };
            let (Some(name), behind) = (directive.args.get(at + 1), directive.args.len() - at - 2) else { continue };
            let spec = Schema::nginx().find(&name.value, block.context());
            if spec.is_none_or(|spec| !spec.arity.takes(behind) || spec.name == directive.name.text()) {
                continue;
            }
            out.push(
                RULE.at(
                    last.span,
                    format!(
                        "\"{}\" is an argument of \"{}\" here, and no directive",
                        name.text(),
                        directive.name.text()
                    ),
                )
                .label("a `;` is missing behind this")
                .related(name.span, "no directive to nginx")
                .fix(Fix::sure("add the missing `;`").behind(last.span, ";")),
            );
        }
    }
}
