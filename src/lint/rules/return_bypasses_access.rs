//! `return-bypasses-access`: a guard that a return passes by.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
};

/// What guards a block, in the phase behind the one that `return` is run in.
const GUARDS: [&str; 5] = ["allow", "deny", "auth_basic", "auth_basic_user_file", "auth_request"];

pub(super) static RULE: Rule = Rule {
    code: "return-bypasses-access",
    title: "A `return` answers before the guard beside it is asked",
    why: "`return` belongs to the rewriting of requests, which is over before `allow`, `deny`, `auth_basic` and `auth_request` are looked \
          at. The text is given to everybody.",
    bad: "location = /flag {\n    auth_basic closed;\n    auth_basic_user_file htpasswd;\n    return 200 flag;\n}",
    good: "location = /flag {\n    auth_basic closed;\n    auth_basic_user_file htpasswd;\n    try_files /dev/null @flag;\n}\nlocation @flag {\n    return 200 flag;\n}",
    allow: "Where the answer is no secret, as a redirect or a 404.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.answering() {
        let Some(done) = block.one("return") else { continue };
        let closed = |one: &&crate::syntax::Directive| {
            one.args.first().is_some_and(|word| &*word.value != b"off" && &*word.value != b"all")
                || &*one.name.value == b"deny"
        };
        let mut guards =
            block.directives().iter().filter(|one| GUARDS.iter().any(|name| *one.name.value == *name.as_bytes()));
        let Some(guard) = guards.rfind(closed) else { continue };
        let code = done.args.first().map(|word| word.text().into_owned()).unwrap_or_default();
        if code.starts_with(['3', '4', '5']) || !code.starts_with(|letter: char| letter.is_ascii_digit()) {
            continue;
        }
        out.push(
            RULE.at(guard.span(), "this guards nothing: the \"return\" beside it answers first")
                .related(done.span(), "this is run before any guard")
                .help("let `try_files` lead to a named location that returns it"),
        );
    }
}
