//! `missing-error-log`: half of the logs on a stream.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
    load::Form,
};

pub(super) static RULE: Rule = Rule {
    code: "missing-error-log",
    title: "Requests are logged to the container's output, and faults to a file inside it",
    why: "`access_log /dev/stdout` shows requests to whoever watches the container. Without an `error_log` faults go into a file in a \
          folder that goes with it.",
    bad: "events { }\nhttp {\n    access_log /dev/stdout;\n    server {\n        listen 80;\n    }\n}",
    good: "error_log stderr;\nevents { }\nhttp {\n    access_log /dev/stdout;\n    server {\n        listen 80;\n    }\n}",
    allow: "Where the file is a link to `/dev/stderr`, as in the official image.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    if view.form != Form::Full || view.has("error_log") {
        return;
    }
    let streams = ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/proc/self/fd/2"];
    if let Some((_, found)) = view.every("access_log").find(|(_, one)| streams.contains(&&*arg(one, 0))) {
        out.push(
            RULE.at(found.span(), "requests are logged here, and faults into a file that goes with the container")
                .help("add `error_log stderr;` at the top"),
        );
    }
}
