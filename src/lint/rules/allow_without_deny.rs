//! `allow-without-deny`: a guard that lets everybody in.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
    load::Origin,
};

pub(super) static RULE: Rule = Rule {
    code: "allow-without-deny",
    title: "An `allow` without a `deny` lets everybody in",
    why: "Rules are looked at in order, and whoever none of them is about is let in. A list of `allow` alone shuts nobody out; it takes \
          `deny all` at its end.",
    bad: "location = /status {\n    allow 127.0.0.1;\n    stub_status;\n}",
    good: "location = /status {\n    allow 127.0.0.1;\n    deny all;\n    stub_status;\n}",
    allow: "Where `allow` lifts the rules of the block around, and everybody is meant.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(crate::schema::Context::ANY) {
        let all = block.all("allow");
        let (Some(first), Some(last)) = (all.first(), all.last()) else { continue };
        // Around a part of a block there may be more of it.
        let is_part = view.sources.get(block.place().file).origin != Origin::File;
        if is_part || block.has("deny") || all.iter().any(|one| arg(one, 0) == "all") {
            continue;
        }
        let indent = view.sources.indent(last.name.span);
        out.push(
            RULE.at(first.span(), "everybody is let in: nothing is denied")
                .help("add `deny all;` behind it")
                .fix(Fix::likely("deny everybody else").behind(last.end, format!("\n{indent}deny all;"))),
        );
    }
}
