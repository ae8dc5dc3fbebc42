//! `rnginx rules`: what the rules are, and the page of each.

use std::io::{self, Write};

use super::{Command, Operands, Outcome, Value, Words, WordsError};
use crate::{
    diag::{CODES, closest},
    inspect::{FINDINGS, finding},
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
        let of_files = rules().iter().map(|rule| (rule.code, rule.title));
        let of_machines = FINDINGS.iter().map(|finding| (finding.code, finding.title));
        let width = of_files.clone().chain(of_machines.clone()).map(|(code, _)| code.len()).max().unwrap_or_default();
        for (code, title) in of_files {
            writeln!(out, "{code:width$}  {title}")?;
        }
        writeln!(out, "\nOf the machine, with check --system:\n")?;
        for (code, title) in of_machines {
            writeln!(out, "{code:width$}  {title}")?;
        }
        return Ok(true);
    };
    out.write_all(page_of(&code)?.as_bytes())?;
    Ok(true)
}

/// The page of a rule or of a finding; of another code, what it means.
fn page_of(code: &str) -> Result<String, WordsError> {
    if let Some(rule) = rule(code) {
        return Ok(page(rule));
    }
    if let Some(finding) = finding(code) {
        return Ok(finding.page());
    }
    if let Some(known) = CODES.iter().find(|known| known.code == code) {
        return Ok(format!("# {code}\n\nNo rule, but what nginx says or we do: {}.\n", known.meaning));
    }
    let known = rules().iter().map(|rule| rule.code).chain(CODES.iter().map(|known| known.code));
    let near = closest(code, known).map_or(String::new(), |near| format!(": did you mean {near}?"));
    Err(WordsError::Value(format!("there is no rule {code}{near}")))
}
