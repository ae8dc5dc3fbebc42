//! `rnginx diff`: two configurations compared by what they mean.

use std::io::{self, Write};

use serde_json::json;

use super::{
    Command, Failure, Operands, Outcome, Value, Words, WordsError, option,
    stream::{Given, STDIN},
};
use crate::{
    cli::{output, terminal_of},
    inspect::{Change, Inspection, Options, diff, inspect},
};

pub(super) const COMMAND: Command = Command {
    name: "diff",
    operands: Operands { shown: "BEFORE AFTER", count: (2, 2), kind: Value::Path },
    summary: "Compares two configurations by what they mean: listeners, names, upstreams, locations, what is in force in them",
    about: "Includes, order, quotes, units and values that only say the default make no difference; an inherited value counts in\n\
            every block that it is in force in. The exit code is 0 where they mean the same, and 1 where they do not.",
    options: &[option("format", Value::OneOf(&["human", "json"]), "how to print")],
    run,
};

/// Blocks that are named for one change, at most.
const MOST_BLOCKS: usize = 4;

fn run(words: &Words) -> Outcome {
    let [before, after] = words.operands() else { return Err(WordsError::Operands("BEFORE AFTER").into()) };
    let (before, after) = (look(before)?, look(after)?);
    let changes = diff(&before, &after);
    let mut out = io::stdout().lock();
    if words.text("format").as_deref() == Some("json") {
        let changes: Vec<_> = changes.iter().map(as_json).collect();
        serde_json::to_writer_pretty(&mut out, &json!({ "changes": changes })).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let color = matches!(terminal_of(&io::stdout()), Some(output::report::Style::Terminal { color: true, .. }));
        let mut said = String::new();
        for change in &changes {
            let heading = heading(change);
            if heading != said {
                writeln!(out, "{heading}")?;
            }
            said = heading;
            print(&mut out, change, color)?;
        }
    }
    Ok(changes.is_empty())
}

/// Errors do not hinder, as long as there is a file: they are told.
fn look(path: &std::ffi::OsStr) -> Result<Inspection, Failure> {
    let options = Options { offline: true, without_rules: true, ..Options::new(path.to_string_lossy()) };
    if path != STDIN {
        std::fs::metadata(path).map_err(|error| super::read::failure(path.as_ref(), error))?;
    }
    let look = inspect(&Given::new(options.path.as_ref())?, &options);
    if look.has_errors() {
        super::read::tell_errors(&look)?;
    }
    Ok(look)
}

/// What a change is of.
fn heading(change: &Change) -> String {
    let Change { kind, blocks, .. } = change;
    let shown = blocks.iter().take(MOST_BLOCKS).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = blocks.len().saturating_sub(MOST_BLOCKS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    match (shown.is_empty(), *kind) {
        (true, _) => (*kind).into(),
        (false, "upstream" | "table") => format!("{shown}{more}"),
        (false, _) => format!("{kind} in {shown}{more}"),
    }
}

fn print(out: &mut dyn Write, change: &Change, color: bool) -> io::Result<()> {
    for (sign, code, lines) in [('-', "31", &change.before), ('+', "32", &change.after)] {
        for (text, place) in lines {
            let place = if place.is_empty() { String::new() } else { format!("  ({place})") };
            let text = format!("  {sign} {text}");
            if color {
                writeln!(out, "\u{1b}[{code}m{text}\u{1b}[0m{place}")?;
            } else {
                writeln!(out, "{text}{place}")?;
            }
        }
    }
    Ok(())
}

fn as_json(change: &Change) -> serde_json::Value {
    let lines = |lines: &[(String, String)]| {
        lines.iter().map(|(text, place)| json!({ "text": text, "place": place })).collect::<Vec<_>>()
    };
    json!({
        "kind": change.kind,
        "before": lines(&change.before),
        "after": lines(&change.after),
        "blocks": change.blocks,
    })
}
