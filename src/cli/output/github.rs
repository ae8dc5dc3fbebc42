//! Diagnostics as GitHub's workflow commands, which it shows beside the lines.

use std::io::{self, Write};

use super::place::{self, Place};
use crate::{diag::Severity, inspect::Inspection};

/// A line for each.
pub(super) fn print(out: &mut dyn Write, looks: &[Inspection]) -> io::Result<()> {
    for look in looks {
        for said in &look.diagnostics {
            let command = match said.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "notice",
            };
            let Place { file, line, column, end_line, end_column } = place::of(look, said);
            let file = property(&file);
            let parts = [Some(&said.message), said.label.as_ref(), said.help.as_ref()];
            let text: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
            // On one line the columns count, over several GitHub takes none.
            let columns =
                if line == end_line { format!(",col={column},endColumn={end_column}") } else { String::new() };
            let text = message(&text.join("\n"));
            writeln!(
                out,
                "::{command} file={file},line={line},endLine={end_line}{columns},title={}::{text}",
                said.code
            )?;
        }
    }
    Ok(())
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
