//! Finds commands in text that comes in pieces: `<!--# command name="value" -->`.

use bytes::Bytes;
use memchr::memmem;

use crate::http::Request;
use crate::log::{Level, Line};

/// How a command begins.
const OPENING: &[u8] = b"<!--#";

/// The longest name of a command or a parameter, in bytes.
const LONGEST_NAME: usize = 32;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Text that is none of a command's.
    Text(Bytes),
    /// A command; [`Parser::command`] and [`Parser::params`] hold it.
    Command,
    /// The end of a command that is none; the log knows why.
    Fault,
}

/// A parameter: its name, and its value with backslashes.
pub(super) type Param = (Vec<u8>, Vec<u8>);

pub(super) struct Parser {
    state: State,
    /// Longer values are refused.
    value_length: usize,
    /// Where a quoted byte goes back to.
    quote: State,
    pub(super) command: Vec<u8>,
    pub(super) params: Vec<Param>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of the opening stood at the end of the piece before.
    Text(usize),
    BeforeCommand,
    Command,
    BeforeParam,
    Param,
    BeforeEqual,
    BeforeValue,
    Value(u8),
    Escaped,
    AfterValue,
    End(usize),
    Fault,
    FaultEnd(usize),
}

impl Parser {
    pub(super) fn new(value_length: usize) -> Self {
        let state = State::Text(0);
        Self { state, value_length, quote: state, command: Vec::new(), params: Vec::new() }
    }

    /// What stands first in a piece, which is then taken away; `None` where the piece is empty.
    pub(super) fn next(&mut self, r: &Request, piece: &mut Bytes) -> Option<Found> {
        if let State::Text(seen) = self.state
            && let Some(found) = self.text(seen, piece)
        {
            return Some(found);
        }
        let mut taken = 0;
        let found = piece.iter().find_map(|byte| {
            taken += 1;
            self.take(r, *byte)
        });
        let _ = piece.split_to(taken);
        found
    }

    /// What was held back, when no more comes.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.state, State::Text(0)) {
            State::Text(seen) if seen > 0 => Some(Bytes::from_static(&OPENING[..seen])),
            _ => None,
        }
    }

    /// Text up to the next command, whose opening is taken away.
    fn text(&mut self, seen: usize, piece: &mut Bytes) -> Option<Found> {
        if seen > 0 {
            return self.opening(seen, piece);
        }
        if let Some(at) = memmem::find(piece, OPENING) {
            let text = piece.split_to(at);
            let _ = piece.split_to(OPENING.len());
            self.state = State::BeforeCommand;
            return (!text.is_empty()).then_some(Found::Text(text));
        }
        let held = (1..OPENING.len()).rev().find(|length| piece.ends_with(&OPENING[..*length])).unwrap_or(0);
        self.state = State::Text(held);
        let text = piece.split_to(piece.len() - held);
        piece.clear();
        (!text.is_empty()).then_some(Found::Text(text))
    }

    /// An opening that has begun in the piece before.
    fn opening(&mut self, seen: usize, piece: &mut Bytes) -> Option<Found> {
        let wanted = &OPENING[seen..];
        let same = wanted.iter().zip(piece.iter()).take_while(|(wanted, byte)| wanted == byte).count();
        if same < wanted.len() && same < piece.len() {
            self.state = State::Text(0);
            return Some(Found::Text(Bytes::from_static(&OPENING[..seen])));
        }
        let _ = piece.split_to(same);
        self.state = if same == wanted.len() { State::BeforeCommand } else { State::Text(seen + same) };
        None
    }

    fn take(&mut self, r: &Request, byte: u8) -> Option<Found> {
        let is_space = matches!(byte, b' ' | b'\r' | b'\n' | b'\t');
        self.state = match (self.state, byte) {
            (State::BeforeCommand | State::BeforeParam | State::BeforeEqual | State::BeforeValue, _) if is_space => {
                self.state
            }
            (State::BeforeCommand, _) => {
                self.command = vec![byte];
                self.params.clear();
                State::Command
            }
            (State::Command | State::AfterValue, _) if is_space => State::BeforeParam,
            (State::Command | State::BeforeParam | State::AfterValue, b'-') => State::End(1),
            (State::Command, _) => self.take_command(r, byte),
            (State::BeforeParam, _) => {
                self.params.push((vec![byte], Vec::new()));
                State::Param
            }
            (State::Param, _) if is_space => State::BeforeEqual,
            (State::Param | State::BeforeEqual, b'=') => State::BeforeValue,
            (State::Param, _) => self.take_name(r, byte),
            (State::BeforeValue, b'"' | b'\'') => State::Value(byte),
            (State::BeforeEqual, _) => self.unexpected(r, byte, " symbol after \""),
            (State::BeforeValue, _) => self.unexpected(r, byte, " symbol before value of \""),
            (State::Value(quote), _) if byte == quote => State::AfterValue,
            (State::Value(_), _) => self.take_value(r, byte),
            (State::Escaped, _) => self.take_value(r, byte),
            (State::AfterValue, _) => self.unexpected_behind(r, byte),
            (State::End(1), b'-') => State::End(2),
            (State::End(2), b'>') => {
                self.state = State::Text(0);
                return Some(Found::Command);
            }
            (State::End(_), _) => self.complain(r, State::Fault, |line, parser| {
                line.put("unexpected \"").bytes(&[byte]).put("\" symbol in \"").bytes(&parser.command);
                line.put("\" SSI command");
            }),
            (State::Fault, b'-') => State::FaultEnd(1),
            (State::FaultEnd(1), b'-') => State::FaultEnd(2),
            (State::FaultEnd(2), b'>') => {
                self.state = State::Text(0);
                return Some(Found::Fault);
            }
            (State::Fault | State::FaultEnd(_), _) => State::Fault,
            (state @ State::Text(_), _) => state,
        };
        None
    }

    fn take_command(&mut self, r: &Request, byte: u8) -> State {
        if self.command.len() < LONGEST_NAME {
            self.command.push(byte);
            return State::Command;
        }
        self.complain(r, State::Fault, |line, parser| {
            line.put("the \"").bytes(&parser.command).bytes(&[byte]).put("...\" SSI command is too long");
        })
    }

    fn take_name(&mut self, r: &Request, byte: u8) -> State {
        let (name, _) = self.params.last_mut().expect("a parameter has begun");
        if byte == b'-' {
            return self.unexpected(r, byte, " symbol after \"");
        }
        if name.len() < LONGEST_NAME {
            name.push(byte);
            return State::Param;
        }
        self.complain(r, State::Fault, |line, parser| {
            line.put("too long \"").bytes(parser.name()).bytes(&[byte]).put("...\" parameter in \"");
            line.bytes(&parser.command).put("\" SSI command");
        })
    }

    fn take_value(&mut self, r: &Request, byte: u8) -> State {
        let escaped = self.state == State::Escaped;
        let (_, value) = self.params.last_mut().expect("a parameter has begun");
        if value.len() < self.value_length {
            value.push(byte);
            return match (escaped, byte) {
                (true, _) => self.quote,
                (false, b'\\') => {
                    self.quote = self.state;
                    State::Escaped
                }
                (false, _) => self.state,
            };
        }
        self.complain(r, State::Fault, |line, parser| {
            let (name, value) = parser.params.last().expect("a parameter has begun");
            line.put("too long \"").bytes(value).bytes(&[byte]).put("...\" value of \"").bytes(name);
            line.put("\" parameter in \"").bytes(&parser.command).put("\" SSI command");
        })
    }

    fn unexpected(&mut self, r: &Request, byte: u8, place: &str) -> State {
        let then = if byte == b'-' { State::FaultEnd(1) } else { State::Fault };
        self.complain(r, then, |line, parser| {
            line.put("unexpected \"").bytes(&[byte]).put('"').put(place).bytes(parser.name());
            line.put("\" parameter in \"").bytes(&parser.command).put("\" SSI command");
        })
    }

    fn unexpected_behind(&mut self, r: &Request, byte: u8) -> State {
        self.complain(r, State::Fault, |line, parser| {
            let (name, value) = parser.params.last().expect("a parameter has ended");
            line.put("unexpected \"").bytes(&[byte]).put("\" symbol after \"").bytes(value);
            line.put("\" value of \"").bytes(name).put("\" parameter in \"").bytes(&parser.command);
            line.put("\" SSI command");
        })
    }

    fn name(&self) -> &[u8] {
        self.params.last().map_or(b"", |(name, _)| name)
    }

    fn complain(&self, r: &Request, then: State, message: impl FnOnce(&mut Line, &Self)) -> State {
        r.log_with(Level::Error, |line| message(line, self));
        then
    }
}
