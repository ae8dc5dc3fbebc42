//! The pages about the rules, as Markdown: `docs/rules/`.

use super::{Rule, rules};

/// The page of one rule.
pub fn page(rule: &Rule) -> String {
    let Rule { code, title, why, bad, good, allow, .. } = rule;
    let (why, bad, good, allow) = (why.trim(), bad.trim_matches('\n'), good.trim_matches('\n'), allow.trim());
    format!(
        "# {code}\n\n{title}.\n\n{why}\n\n## What it finds\n\n```nginx\n{bad}\n```\n\n## How it should be\n\n\
         ```nginx\n{good}\n```\n\n## When to allow it\n\n{allow}\n\n```nginx\n# rnginx: allow {code} <the reason>\n```\n"
    )
}

/// The list of all rules.
pub fn index() -> String {
    let rows: String =
        rules().iter().map(|rule| format!("| [{}]({}.md) | {} |\n", rule.code, rule.code, rule.title)).collect();
    format!(
        "# Rules\n\nMade from `src/lint/rules/`; do not edit. Each is a warning about a configuration that nginx takes. \
         `rnginx check` finds them;\n`rnginx -t` shows them behind its verdict on a terminal.\n\n\
         A comment allows one, for the directive or block that follows, or for the one whose line it ends:\n\n\
         ```nginx\n# rnginx: allow RULE why it is fine here\n```\n\nThe reason is part of it: without one nothing is allowed.\n\n\
         | rule | what is wrong |\n| --- | --- |\n{rows}"
    )
}
