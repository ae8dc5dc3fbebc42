//! `rnginx dump`: the configuration in force, each line with its place.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{Command, Operands, Outcome, Value, Words, flag, option, read, stream::Given};
use crate::inspect::{Line, Options, dump, inspect};

pub(super) const COMMAND: Command = Command {
    name: "dump",
    operands: Operands { shown: "FILE", count: (1, 1), kind: Value::Path },
    summary: "Prints the configuration in force: every block with what it inherits, each line with its place",
    about: "Includes are replaced by what they name. What a block inherits comes first in it.",
    options: &[
        flag("all", "show tables of MIME types whole where they are inherited or supplied"),
        option("format", Value::OneOf(&["text", "json"]), "how to print"),
    ],
    run,
};

fn run(words: &Words) -> Outcome {
    let path = words.operands().first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let options = Options { without_rules: true, ..Options::new(path) };
    let look = inspect(&Given::new(options.path.as_ref())?, &options);
    let lines = dump(&look);
    let fine = !look.has_errors();
    if !fine {
        read::tell_errors(&look)?;
    }
    let mut out = io::stdout().lock();
    if words.text("format").as_deref() == Some("json") {
        let lines: Vec<_> = lines.iter().map(as_json).collect();
        serde_json::to_writer_pretty(&mut out, &lines).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&mut out, &lines, 0, words.has("all"))?;
    }
    Ok(fine)
}

fn print(out: &mut dyn Write, lines: &[Line], depth: usize, all: bool) -> io::Result<()> {
    let indent = "    ".repeat(depth);
    for Line { text, place, inherited, supplied, block } in lines {
        let origin = if *inherited { format!("inherited from {place}") } else { place.clone() };
        match block {
            None => writeln!(out, "{indent}{text}; # {origin}")?,
            Some(entries) if !all && (*inherited || *supplied && text == "types") => {
                writeln!(out, "{indent}# {text} with {} entries, {origin}", entries.len())?;
            }
            Some(inside) => {
                writeln!(out, "{indent}{text} {{ # {origin}")?;
                print(out, inside, depth + 1, all)?;
                writeln!(out, "{indent}}}")?;
            }
        }
    }
    Ok(())
}

fn as_json(line: &Line) -> Json {
    let mut value = json!({ "directive": line.text, "place": line.place, "inherited": line.inherited });
    if let Some(block) = &line.block {
        value["block"] = block.iter().map(as_json).collect();
    }
    value
}
