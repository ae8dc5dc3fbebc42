//! `docs/directives.md`: every directive of the table, and whether rnginx runs it.

use std::fmt::Write;

use super::{DirectiveSpec, Presence, Schema};

/// What rnginx does with a directive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    NoEffect,
    Known,
}

impl State {
    fn of(spec: &DirectiveSpec, runs: &dyn Fn(&DirectiveSpec) -> bool) -> Self {
        if spec.no_effect {
            Self::NoEffect
        } else if runs(spec) {
            Self::Runs
        } else if spec.obsolete {
            Self::NoEffect
        } else {
            Self::Known
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Runs => "**runs**",
            Self::NoEffect => "no effect",
            Self::Known => "known",
        }
    }
}

/// The page, as Markdown.
pub fn document(schema: &Schema, runs: &dyn Fn(&DirectiveSpec) -> bool) -> String {
    let here = |spec: &&DirectiveSpec| spec.presence == Presence::Here && spec.name != "include";
    let all: Vec<_> = schema.directives().iter().filter(here).collect();
    let count = |state| all.iter().filter(|spec| State::of(spec, runs) == state).count();
    let mut page = format!(
        "# Directives\n\n\
         Made from `grammar/directives.conf`; do not edit. Of the {} directives of nginx 1.28 on Linux, {} run, {} are checked and\n\
         need nothing of us because they only tune nginx's internals or do nothing in nginx either, and {} are known: checked, and an\n\
         error of their own under `-t`. `include` is part of the language and works in every block.\n",
        all.len(),
        count(State::Runs),
        count(State::NoEffect),
        count(State::Known),
    );
    for rows in all.chunk_by(|one, next| one.module == next.module) {
        let _ =
            write!(page, "\n## {}\n\n| directive | where | arguments | |\n| --- | --- | --- | --- |\n", rows[0].module);
        for spec in rows {
            let (name, link, contexts, arity) = (spec.name, spec.documentation(), spec.contexts, spec.arity);
            let state = State::of(spec, runs).words();
            let _ = writeln!(page, "| [{name}]({link}) | {contexts} | {arity} | {state} |");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directive_has_its_row_and_state() {
        let page = document(Schema::nginx(), &|spec| spec.name == "gzip");
        let row =
            |name: &str| page.lines().find(|line| line.starts_with(&format!("| [{name}]("))).expect("a row").to_owned();
        assert!(row("gzip").ends_with("| http, server, location, if in location | 1 argument | **runs** |"));
        assert!(row("multi_accept").ends_with("| events | 1 argument | no effect |"));
        assert!(row("perl_set").ends_with("| http | 2 arguments | known |"));
        assert!(!page.contains("early_hints"));
    }
}
