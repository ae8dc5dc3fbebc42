//! `rnginx rules`: what the rules are, and the page of each.

use std::io::{self, Write};

use super::{Command, Operands, Outcome, Value, Words, WordsError};
use crate::{
    diag::closest,
    lint::{page, rule, rules},
};

pub(super) const COMMAND: Command = Command {
    name: "rules",
    operands: Operands { shown: "[RULE]", count: (0, 1), kind: Value::Text("RULE") },
    summary: "Lists the rules about what nginx takes and is most likely not meant, or shows the page of one",
    about: "What they find is a warning of check. A comment allows one for the directive or block behind it, or for the line that\n\
            it ends: # rnginx: allow RULE why it is fine here",
    options: &[],
    run,
};

fn run(words: &Words) -> Outcome {
    let mut out = io::stdout().lock();
    let Some(code) = words.operands().first().map(|code| code.to_string_lossy()) else {
        let width = rules().iter().map(|rule| rule.code.len()).max().unwrap_or_default();
        for rule in rules() {
            writeln!(out, "{:width$}  {}", rule.code, rule.title)?;
        }
        return Ok(true);
    };
    let Some(found) = rule(&code) else {
        let near = closest(&code, rules().iter().map(|rule| rule.code));
        let near = near.map_or(String::new(), |near| format!(": did you mean {near}?"));
        return Err(WordsError::Value(format!("there is no rule {code}{near}")).into());
    };
    out.write_all(page(found).as_bytes())?;
    Ok(true)
}
