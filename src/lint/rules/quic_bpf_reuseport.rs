//! `quic-bpf-reuseport`: packets for a worker that does not get them.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
};

pub(super) static RULE: Rule = Rule {
    code: "quic-bpf-reuseport",
    title: "`quic_bpf on` without `reuseport` does nothing",
    why: "`quic_bpf` leads the packets of a QUIC connection to the worker that has it, also when the client changes its address. That takes a socket \
          for each worker, which `reuseport` makes.",
    bad: "quic_bpf on;\nevents { }\nhttp {\n    server {\n        listen 443 quic;\n        ssl_certificate shop.pem;\n        ssl_certificate_key shop.key;\n    }\n}",
    good: "quic_bpf on;\nevents { }\nhttp {\n    server {\n        listen 443 quic reuseport;\n        ssl_certificate shop.pem;\n        ssl_certificate_key shop.key;\n    }\n}",
    allow: "With one worker.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    let Some((_, bpf)) = view.every("quic_bpf").find(|(_, one)| arg(one, 0).eq_ignore_ascii_case("on")) else { return };
    let has = |one: &crate::syntax::Directive, word: &[u8]| one.args.iter().any(|arg| *arg.value == *word);
    let quic: Vec<_> = view.every("listen").filter(|(_, one)| has(one, b"quic")).map(|(_, one)| one).collect();
    if let Some(first) = quic.first().filter(|_| !quic.iter().any(|one| has(one, b"reuseport"))) {
        out.push(
            RULE.at(first.span(), "packets of a client that moves are lost: all workers share one socket")
                .related(bpf.span(), "without effect")
                .help("add `reuseport`"),
        );
    }
}
