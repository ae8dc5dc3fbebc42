//! The commands, and what parameters each has.

use super::parser::Param;
use crate::http::Request;
use crate::log::Level;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Include,
    Echo,
    Config,
    Set,
    If,
    Elif,
    Else,
    EndIf,
    Block,
    EndBlock,
}

/// A row of the table: a command's name, and its parameters, those first that must be there.
struct Row {
    name: &'static str,
    command: Command,
    params: &'static [&'static str],
    mandatory: usize,
}

const fn row(name: &'static str, command: Command, params: &'static [&'static str], mandatory: usize) -> Row {
    Row { name, command, params, mandatory }
}

const COMMANDS: &[Row] = &[
    row("include", Command::Include, &["virtual", "file", "wait", "set", "stub"], 0),
    row("echo", Command::Echo, &["var", "default", "encoding"], 1),
    row("config", Command::Config, &["errmsg", "timefmt"], 0),
    row("set", Command::Set, &["var", "value"], 2),
    row("if", Command::If, &["expr"], 1),
    row("elif", Command::Elif, &["expr"], 1),
    row("else", Command::Else, &[], 0),
    row("endif", Command::EndIf, &[], 0),
    row("block", Command::Block, &["name"], 1),
    row("endblock", Command::EndBlock, &[], 0),
];

/// The most parameters of one command, and the most that are told apart.
const MOST_PARAMS: usize = 16;
const MOST_NAMES: usize = 5;

/// The values of the parameters, in the table's order.
pub(super) type Values<'a> = [Option<&'a [u8]>; MOST_NAMES];

/// A command cannot be done; the log knows why, and the page says so.
pub(super) struct Fault;

impl Command {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        COMMANDS.iter().find(|row| row.name.as_bytes() == name).map(|row| row.command)
    }

    /// Whether it belongs to an `if` that has begun.
    pub(super) fn is_conditional(self) -> bool {
        matches!(self, Command::Elif | Command::Else | Command::EndIf)
    }

    /// Sorts the parameters.
    pub(super) fn values<'a>(self, r: &Request, params: &'a [Param]) -> Result<Values<'a>, Fault> {
        let row = COMMANDS.iter().find(|row| row.command == self).expect("the table has all commands");
        if params.len() > MOST_PARAMS {
            return fault(r, &[b"too many SSI command parameters: \"", row.name.as_bytes(), b"\""]);
        }
        let mut values = Values::default();
        for (name, value) in params {
            let command = row.name.as_bytes();
            let Some(at) = row.params.iter().position(|known| known.as_bytes() == name) else {
                return fault(r, &[b"invalid parameter name: \"", name, b"\" in \"", command, b"\" SSI command"]);
            };
            if values[at].replace(value).is_some() {
                return fault(r, &[b"duplicate \"", name, b"\" parameter in \"", command, b"\" SSI command"]);
            }
        }
        let missing = row.params.iter().zip(&values).take(row.mandatory).find(|(_, value)| value.is_none());
        if let Some((name, _)) = missing {
            let (name, command) = (name.as_bytes(), row.name.as_bytes());
            return fault(r, &[b"mandatory \"", name, b"\" parameter is absent in \"", command, b"\" SSI command"]);
        }
        Ok(values)
    }
}

/// Says in the log what is wrong.
pub(super) fn fault<T>(r: &Request, message: &[&[u8]]) -> Result<T, Fault> {
    r.log_with(Level::Error, |line| {
        for part in message {
            line.bytes(part);
        }
    });
    Err(Fault)
}
