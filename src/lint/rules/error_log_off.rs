//! `error-log-off`: a log called off.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "error-log-off",
    title: "`error_log off` writes a log into a file called `off`",
    why: "`access_log off` is a word of the language, `error_log off` is not: it names a file. Faults are then written where nobody looks \
          for them. A log of grave faults alone is `error_log … crit`.",
    bad: "server {\n    listen 80;\n    error_log off;\n}",
    good: "server {\n    listen 80;\n    error_log /var/log/nginx/error.log crit;\n}",
    allow: "Where there really is such a file.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (_, found) in view.every("error_log") {
        if arg(found, 0) == "off" {
            let word = found.args[0].span;
            out.push(
                RULE.at(found.span(), "this writes a log into a file called \"off\"")
                    .help("to hear of grave faults only: `error_log /var/log/nginx/error.log crit;`")
                    .fix(Fix::likely("throw it away").replace(word, "/dev/null crit")),
            );
        }
    }
}
