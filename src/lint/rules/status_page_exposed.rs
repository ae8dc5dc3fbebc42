//! `status-page-exposed`: numbers about the server for everybody.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View},
};

pub(super) static RULE: Rule = Rule {
    code: "status-page-exposed",
    title: "Everybody can read the status page",
    why: "`stub_status` says how many clients there are and how much the server bears. That is for the one who watches it, and helps \
          the one who wants to bring it down.",
    bad: "location = /status {\n    stub_status;\n}",
    good: "location = /status {\n    allow 127.0.0.1;\n    deny all;\n    stub_status;\n}",
    allow: "Where the server listens on an inner address alone.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("stub_status") {
        let guards = ["allow", "deny", "auth_basic", "auth_request", "internal"];
        let is_guarded = guards.iter().any(|name| block.holds(name).is_some());
        let listens = block.server().map_or(&[][..], |server| server.all("listen"));
        let is_inner = |one: &&crate::syntax::Directive| {
            ["127.", "localhost", "[::1]", "unix:", "10.", "192.168."]
                .iter()
                .any(|start| super::super::text::arg(one, 0).starts_with(start))
        };
        if is_guarded || !listens.is_empty() && listens.iter().all(is_inner) {
            continue;
        }
        let indent = view.sources.indent(found.name.span);
        out.push(
            RULE.at(found.span(), "everybody can read how busy the server is")
                .help("add `allow 127.0.0.1;` and `deny all;`")
                .fix(
                    Fix::likely("let only this machine in")
                        .before(found.name.span, format!("allow 127.0.0.1;\n{indent}deny all;\n{indent}")),
                ),
        );
    }
}
