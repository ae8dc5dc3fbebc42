//! `missing-worker-processes`: one core for many connections.

use crate::{
    diag::{Diagnostic, Fix},
    lint::{Rule, View, text::arg},
    load::Form,
};

pub(super) static RULE: Rule = Rule {
    code: "missing-worker-processes",
    title: "Many connections, and one core to serve them",
    why: "Without `worker_processes` there is one, on one core. A configuration that asks for thousands of connections means to use the whole \
          machine.",
    bad: "events {\n    worker_connections 4096;\n}\nhttp {\n    server {\n        listen 80;\n    }\n}",
    good: "worker_processes auto;\nevents {\n    worker_connections 4096;\n}\nhttp {\n    server {\n        listen 80;\n    }\n}",
    allow: "On a machine with one core, and in a container that is given one.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    // A file of `events` alone is a part: the rest stands elsewhere.
    let is_whole = view.form == Form::Full && (view.has("http") || view.has("stream"));
    if !is_whole || view.has("worker_processes") {
        return;
    }
    let many = |one: &crate::syntax::Directive| arg(one, 0).parse::<u32>().is_ok_and(|count| count > 1024);
    if let Some((events, found)) = view.every("worker_connections").find(|(_, one)| many(one)) {
        out.push(
            RULE.at(found.span(), "one worker on one core has all of these")
                .help("add `worker_processes auto;` at the top")
                .fix(Fix::likely("use all cores").before(events.place(), "worker_processes auto;\n")),
        );
    }
}
