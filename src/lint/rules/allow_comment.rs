//! `allow-without-reason`, `allow-unknown-rule`, `allow-unused`: comments that allow, and do not.

use crate::lint::Rule;

const GOOD: &str = "server {\n    listen 80;\n    # rnginx: allow version-disclosure a demonstration of the header\n    server_tokens on;\n}";

pub(in crate::lint) static WITHOUT_REASON: Rule = Rule {
    code: "allow-without-reason",
    title: "A comment allows a rule and does not say why",
    why: "Whoever reads the file next year has to know whether the reason still holds. Without a reason nothing is allowed.",
    bad: "server {\n    listen 80;\n    # rnginx: allow version-disclosure\n    server_tokens on;\n}",
    good: GOOD,
    allow: "Write the reason instead.",
    check: |_, _| {},
};

pub(in crate::lint) static UNKNOWN: Rule = Rule {
    code: "allow-unknown-rule",
    title: "A comment allows a rule that does not exist",
    why: "The name of the rule is misspelt, or it is called something else by now: nothing is allowed.",
    bad: "server {\n    listen 80;\n    # rnginx: allow version-disclosed a demonstration of the header\n    server_tokens on;\n}",
    good: GOOD,
    allow: "Write the right name instead.",
    check: |_, _| {},
};

pub(in crate::lint) static UNUSED: Rule = Rule {
    code: "allow-unused",
    title: "A comment allows what is not there",
    why: "What it allowed was mended, or it stands in the wrong place. It would hide the fault if it came back.",
    bad: "server {\n    listen 80;\n    # rnginx: allow version-disclosure a demonstration of the header\n    server_tokens off;\n}",
    good: GOOD,
    allow: "Take the comment out instead.",
    check: |_, _| {},
};
