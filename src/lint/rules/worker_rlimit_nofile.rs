//! `worker-rlimit-nofile`: fewer files than connections.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "worker-rlimit-nofile",
    title: "A worker may open fewer files than connections",
    why: "Every connection is a file to the system, and every file that is sent and every connection to a backend is one more. With a limit \
          below `worker_connections` a worker refuses clients with `Too many open files`; twice as many is what it takes.",
    bad: "worker_processes auto;\nworker_rlimit_nofile 1024;\nevents {\n    worker_connections 4096;\n}\nhttp {\n    server {\n        listen 80;\n    }\n}",
    good: "worker_processes auto;\nworker_rlimit_nofile 8192;\nevents {\n    worker_connections 4096;\n}\nhttp {\n    server {\n        listen 80;\n    }\n}",
    allow: "Never.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    let connections = view.every("worker_connections").next().map(|(_, one)| one);
    for (_, found) in view.every("worker_rlimit_nofile") {
        let files = arg(found, 0).parse::<u64>().unwrap_or(u64::MAX);
        let Some((one, wanted)) = connections.and_then(|one| Some((one, arg(one, 0).parse::<u64>().ok()?))) else {
            continue;
        };
        if files < wanted {
            out.push(
                RULE.at(found.span(), format!("a worker has files for {files} of its {wanted} connections"))
                    .related(one.span(), "the connections")
                    .help(format!("write `worker_rlimit_nofile {};`", wanted * 2)),
            );
        }
    }
}
