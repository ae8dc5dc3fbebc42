//! The commands: words that stand where nginx has its flags. One table says what each takes; the parser, the help,
//! the completions and the manual are made of it.

mod check;
mod completions;
mod diff;
mod dump;
mod explain;
mod fix;
mod fmt;
mod lsp;
mod man;
mod read;
mod rules;
mod stream;
mod words;

use std::{ffi::OsString, io, process::ExitCode};

pub(super) use words::{Words, WordsError};

/// One command.
pub(super) struct Command {
    /// The first word behind the program's name.
    pub(super) name: &'static str,
    /// What stands behind the options: `PATH…`.
    pub(super) operands: Operands,
    /// What it does, in one line.
    pub(super) summary: &'static str,
    /// What else there is to know, for its manual.
    pub(super) about: &'static str,
    /// What it takes.
    pub(super) options: &'static [Opt],
    /// Does it.
    run: fn(&Words) -> Outcome,
}

/// What stands behind the options.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    /// As the usage line shows them.
    pub(super) shown: &'static str,
    /// How many there must be, and may be.
    count: (usize, usize),
    /// What they are.
    pub(super) kind: Value,
}

/// One option.
pub(super) struct Opt {
    /// Without its `--`.
    pub(super) long: &'static str,
    /// Without its `-`.
    pub(super) short: Option<char>,
    /// What stands behind it.
    pub(super) value: Value,
    /// What it does, in one line.
    pub(super) help: &'static str,
}

/// What the value of an option is.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// There is none.
    None,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A file or a folder.
    Path,
    /// Anything; the word is shown for it.
    Text(&'static str),
}

/// How a command ends: whether all is well, or why it could not be done.
pub(super) type Outcome = Result<bool, Failure>;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The words make no sense.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// Nobody reads what we say.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

const NOTHING: Operands = Operands { shown: "", count: (0, 0), kind: Value::None };

const fn flag(long: &'static str, help: &'static str) -> Opt {
    Opt { long, short: None, value: Value::None, help }
}

const fn letter(letter: char, option: Opt) -> Opt {
    Opt { short: Some(letter), ..option }
}

const fn option(long: &'static str, value: Value, help: &'static str) -> Opt {
    Opt { long, short: None, value, help }
}

/// All of them.
pub(super) const COMMANDS: &[Command] = &[
    check::COMMAND,
    fmt::COMMAND,
    explain::COMMAND,
    dump::COMMAND,
    diff::COMMAND,
    rules::COMMAND,
    lsp::COMMAND,
    completions::COMMAND,
    man::COMMAND,
];

/// The command of a word.
pub(super) fn named(word: &OsString) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| word == command.name)
}

/// Does what a command's words ask for: 0 where all is well, 1 where it is not, 2 where it could not be done.
pub(super) fn run(command: &Command, words: &[OsString]) -> ExitCode {
    let outcome = match Words::parse(command, words) {
        Ok(words) if words.has("help") => {
            print!("{}", words::usage(command));
            Ok(true)
        }
        Ok(words) => (command.run)(&words),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("rnginx {}: {failure}", command.name);
            if matches!(&failure, Failure::Words(error) if !matches!(error, WordsError::Value(_))) {
                eprint!("{}", words::usage(command));
            }
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_told_from_a_flag_of_nginx() {
        for command in COMMANDS {
            assert!(command.name.bytes().all(|byte| byte.is_ascii_lowercase()), "{}", command.name);
            assert!(named(&command.name.into()).is_some_and(|found| found.name == command.name));
            let longs: std::collections::HashSet<_> = command.options.iter().map(|option| option.long).collect();
            assert_eq!(longs.len(), command.options.len(), "{}: an option stands there twice", command.name);
        }
        assert!(named(&"-t".into()).is_none() && named(&"reload".into()).is_none());
    }
}
