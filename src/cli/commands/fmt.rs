//! `rnginx fmt`: the layout made even.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use super::{Command, Failure, Operands, Outcome, Value, Words, WordsError, fix, flag, option, read};
use crate::{
    cli::{output, terminal_of},
    diag::{Diagnostic, FileId},
    format::{Style, format},
    load::{Origin, Source, Sources},
};

pub(super) const COMMAND: Command = Command {
    name: "fmt",
    operands: Operands { shown: "PATH…", count: (1, usize::MAX), kind: Value::Path },
    summary: "Lays configurations out anew; tokens and comments stay what they are",
    about: "A PATH is a file, a folder of configurations, or - for what stands on the standard input; that is written to the\n\
            standard output, files are changed in place. A file with a syntax error is left alone, and the exit code is 1.",
    options: &[
        flag("check", "change nothing; name the files that would change, and end with 1 where there are any"),
        option("indent", Value::Text("N"), "spaces for each block around a line; 4 where it is not said"),
    ],
    run,
};

fn run(words: &Words) -> Outcome {
    let style = style(words)?;
    if words.operands().iter().any(|operand| operand == "-") {
        return from_stdin(style, words.has("check"));
    }
    let mut fine = true;
    let mut out = io::stdout().lock();
    for found in read::files(words.operands())? {
        let text = fs::read(&found.path).map_err(|error| read::failure(&found.path, error))?;
        match format(&text, style) {
            Err(faults) => {
                complain(&found.path.to_string_lossy(), text, faults)?;
                fine = false;
            }
            Ok(formatted) if formatted == text => {}
            Ok(_) if words.has("check") => {
                writeln!(out, "{}", found.path.display())?;
                fine = false;
            }
            Ok(formatted) => write(&found.path, &formatted)?,
        }
    }
    Ok(fine)
}

fn style(words: &Words) -> Result<Style, Failure> {
    let Some(indent) = words.text("indent") else { return Ok(Style::default()) };
    let indent = indent.parse().ok().filter(|indent| *indent <= 16);
    let indent = indent.ok_or_else(|| WordsError::Value("--indent is a number up to 16".into()))?;
    Ok(Style { indent })
}

fn from_stdin(style: Style, check: bool) -> Outcome {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| Failure::File("-".into(), error))?;
    match format(&text, style) {
        Err(faults) => {
            complain("-", text, faults)?;
            Ok(false)
        }
        Ok(formatted) if check => Ok(formatted == text),
        Ok(formatted) => {
            io::stdout().write_all(&formatted)?;
            Ok(true)
        }
    }
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    fix::write(path, text)
}

fn complain(name: &str, text: Vec<u8>, faults: Vec<Diagnostic>) -> Result<(), Failure> {
    let mut sources = Sources::default();
    let file = sources.add(Source::new(name, text, Origin::File));
    debug_assert_eq!(file, FileId::default(), "the formatter's only text");
    let style = terminal_of(&io::stderr()).unwrap_or(output::report::Style::Plain);
    Ok(output::report::print(&mut io::stderr().lock(), &sources, &faults, style)?)
}
