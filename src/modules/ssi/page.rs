//! Does what the commands of a page say.

use std::collections::HashMap;
use std::rc::Rc;
use std::{cell::RefCell, mem};

use bytes::Bytes;

use super::command::{Command, Fault, Values, fault};
use super::date::Form;
use super::parser::Parser;
use super::text::{Shared, evaluate, evaluate_uri};
use crate::conf::compile_regex;
use crate::http::escape::{append_escaped, append_html};
use crate::http::uri::parse_unsafe;
use crate::http::{Escape, Regex, Request, Stub, Subrequest, SubrequestFuture, VarIndex};
use crate::log::Level;

/// A page as far as it has been read.
pub(super) struct Page {
    pub(super) r: Rc<Request>,
    content_type: Option<Bytes>,
    silent: bool,
    message: Bytes,
    encoding: Encoding,
    /// Whether text goes to the client, or else nowhere or into a block.
    shown: bool,
    branch: Branch,
    /// A branch of the `if` was shown.
    chosen: bool,
    in_block: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    None,
    Url,
    Entity,
}

/// Where in an `if` the page is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    None,
    If,
    Else,
}

/// What a command adds to the page.
pub(super) enum Outcome {
    Nothing,
    Text(Bytes),
    /// A response. The page goes on behind it only when it has ended, if `wait`.
    Include {
        work: SubrequestFuture,
        wait: bool,
    },
    /// A response becomes a variable.
    Keep {
        work: SubrequestFuture,
        name: Vec<u8>,
    },
}

impl Page {
    pub(super) fn new(r: Rc<Request>, silent: bool, content_type: Option<Bytes>) -> Self {
        Self {
            r,
            content_type,
            silent,
            message: Bytes::from_static(b"[an error occurred while processing the directive]"),
            encoding: Encoding::Entity,
            shown: true,
            branch: Branch::None,
            chosen: false,
            in_block: false,
        }
    }

    /// Text of the page, where it is to be sent.
    pub(super) fn text(&self, text: Bytes) -> Option<Bytes> {
        if self.in_block && !self.shown {
            Shared::of(&self.r).add_to_block(&text);
        }
        self.shown.then_some(text)
    }

    /// What stands in place of a command that cannot be done.
    pub(super) fn fault(&self) -> Outcome {
        if self.silent { Outcome::Nothing } else { Outcome::Text(self.message.clone()) }
    }

    pub(super) fn run(&mut self, parser: &Parser) -> Outcome {
        self.try_run(parser).unwrap_or_else(|Fault| self.fault())
    }

    fn try_run(&mut self, parser: &Parser) -> Result<Outcome, Fault> {
        let Some(command) = Command::of(&parser.command) else {
            if !self.shown {
                return Ok(Outcome::Nothing);
            }
            return fault(&self.r, &[b"invalid SSI command: \"", &parser.command, b"\""]);
        };
        if !self.shown && command != Command::EndBlock {
            if self.in_block {
                self.keep_command(parser);
                return Ok(Outcome::Nothing);
            }
            if !command.is_conditional() {
                return Ok(Outcome::Nothing);
            }
        }
        let fits = match command {
            Command::Elif | Command::Else => self.branch == Branch::If,
            Command::EndIf => self.branch != Branch::None,
            _ => true,
        };
        if !fits {
            return fault(&self.r, &[b"invalid context of SSI command: \"", &parser.command, b"\""]);
        }
        let values = command.values(&self.r, &parser.params)?;
        self.done(command, values)
    }

    fn done(&mut self, command: Command, values: Values<'_>) -> Result<Outcome, Fault> {
        match command {
            Command::Include => return self.include(values),
            Command::Echo => return self.echo(values),
            Command::Config => self.config(values),
            Command::Set => {
                let value = evaluate(&self.r, values[1].unwrap_or_default())?;
                Shared::of(&self.r).set(values[0].unwrap_or_default(), value.into());
            }
            Command::If if self.branch != Branch::None => {
                return fault(&self.r, &[b"the \"if\" command inside the \"if\" command"]);
            }
            Command::If | Command::Elif => self.branch(values[0].unwrap_or_default())?,
            Command::Else => {
                self.shown = !self.chosen;
                self.branch = Branch::Else;
            }
            Command::EndIf => (self.shown, self.chosen, self.branch) = (true, false, Branch::None),
            Command::Block => {
                Shared::of(&self.r).begin_block(values[0].unwrap_or_default());
                (self.shown, self.in_block) = (false, true);
            }
            Command::EndBlock => (self.shown, self.in_block) = (true, false),
        }
        Ok(Outcome::Nothing)
    }

    /// A command in a block becomes text again, to be done where the block is shown.
    fn keep_command(&self, parser: &Parser) {
        let mut text = [b"<!--#", &parser.command[..]].concat();
        for (name, value) in &parser.params {
            text.extend_from_slice(&[b" ", &name[..], b"=\"", value, b"\""].concat());
        }
        text.extend_from_slice(b" -->");
        Shared::of(&self.r).add_to_block(&text);
    }

    fn echo(&mut self, [name, default, encoding, ..]: Values<'_>) -> Result<Outcome, Fault> {
        let name = name.unwrap_or_default();
        let value = match (Shared::of(&self.r).value(&self.r, name), default) {
            (Some(value), _) => value,
            // A form that makes nothing of the time.
            (None, _) if matches!(name, b"date_local" | b"date_gmt") => return Err(Fault),
            (None, Some(default)) => Bytes::copy_from_slice(default),
            (None, None) => Bytes::from_static(b"(none)"),
        };
        if value.is_empty() {
            return Ok(Outcome::Nothing);
        }
        match encoding {
            None => {}
            Some(b"none") => self.encoding = Encoding::None,
            Some(b"url") => self.encoding = Encoding::Url,
            Some(b"entity") => self.encoding = Encoding::Entity,
            Some(other) => self.r.log_with(Level::Error, |line| {
                line.put("unknown encoding \"").bytes(other).put("\" in the \"echo\" command");
            }),
        }
        let mut out = Vec::with_capacity(value.len());
        match self.encoding {
            Encoding::None => return Ok(Outcome::Text(value)),
            Encoding::Url => append_escaped(&value, Escape::Html, &mut out),
            Encoding::Entity => append_html(&value, &mut out),
        }
        Ok(Outcome::Text(out.into()))
    }

    fn config(&mut self, [message, form, ..]: Values<'_>) {
        if let Some(form) = form {
            *self.r.context::<Form>().0.borrow_mut() = Some(Bytes::copy_from_slice(form));
        }
        if let Some(message) = message {
            self.message = Bytes::copy_from_slice(message);
        }
    }

    fn branch(&mut self, expression: &[u8]) -> Result<(), Fault> {
        if self.chosen {
            self.shown = false;
            return Ok(());
        }
        self.shown = holds(&self.r, expression)?;
        self.chosen = self.shown;
        self.branch = Branch::If;
        Ok(())
    }

    fn include(&self, [uri, file, wait, set, stub]: Values<'_>) -> Result<Outcome, Fault> {
        let r = &self.r;
        let target = match (uri, file) {
            (Some(uri), Some(file)) => {
                let message: &[&[u8]] = &[b"inclusion may be either virtual=\"", uri, b"\" or file=\"", file, b"\""];
                return fault(r, message);
            }
            (None, None) => return fault(r, &[b"no parameter in \"include\" SSI command"]),
            (Some(target), None) | (None, Some(target)) => target,
        };
        if set.is_some() && stub.is_some() {
            return fault(r, &[b"\"set\" and \"stub\" cannot be used together in \"include\" SSI command"]);
        }
        let wait = match wait {
            None => file.is_some(),
            Some(_) if file.is_some() => {
                return fault(r, &[b"\"wait\" cannot be used with file=\"", target, b"\""]);
            }
            Some(wait) if wait.eq_ignore_ascii_case(b"no") => false,
            Some(wait) if wait.eq_ignore_ascii_case(b"yes") => true,
            Some(wait) => return fault(r, &[b"invalid value \"", wait, b"\" in the \"wait\" parameter"]),
        };
        let target = evaluate_uri(r, target)?;
        let Ok((uri, args)) = parse_unsafe(&target) else {
            return fault(r, &[b"unsafe URI \"", &target, b"\" was detected"]);
        };
        let sub = Subrequest {
            uri: uri.into_owned(),
            args: args.unwrap_or_default().to_vec(),
            in_memory: set.is_some(),
            with_body: true,
            stub: stub.map(|stub| self.stub(stub)).transpose()?,
            ..Subrequest::default()
        };
        if let Some(name) = set {
            Shared::of(r).declare(name);
        }
        let work = r.local.engine.subrequest(r, sub).map_err(|_| Fault)?;
        Ok(match set {
            Some(name) => Outcome::Keep { work, name: name.to_vec() },
            None => Outcome::Include { work, wait },
        })
    }

    fn stub(&self, name: &[u8]) -> Result<Stub, Fault> {
        match Shared::of(&self.r).block(name) {
            Some(body) => Ok(Stub { content_type: self.content_type.clone(), body }),
            None => fault(&self.r, &[b"\"stub\"=\"", name, b"\" for \"include\" not found"]),
        }
    }
}

/// Whether an expression is true: a string that is not empty, or one that is or is not like another.
fn holds(r: &Request, expression: &[u8]) -> Result<bool, Fault> {
    let is_left = |byte: &u8| byte.is_ascii_alphanumeric() || b"${}_\"'".contains(byte);
    let end = expression.iter().position(|byte| !is_left(byte)).unwrap_or(expression.len());
    let (left, rest) = expression.split_at(end);
    let left = evaluate(r, &left.to_ascii_lowercase())?;
    let rest = skip_spaces(rest);
    if rest.is_empty() {
        return Ok(!left.is_empty());
    }
    let (wanted, right) = match rest {
        [b'=', right @ ..] => (true, right),
        [b'!', b'=', right @ ..] => (false, right),
        _ => return invalid(r, expression),
    };
    let found = match skip_spaces(right) {
        [b'/', pattern @ .., b'/'] => matches(r, &evaluate(r, pattern)?, &left)?,
        [b'/', _, ..] => return invalid(r, expression),
        right => evaluate(r, right.strip_prefix(b"\\").filter(|path| path.starts_with(b"/")).unwrap_or(right))? == left,
    };
    Ok(found == wanted)
}

fn invalid<T>(r: &Request, expression: &[u8]) -> Result<T, Fault> {
    fault(r, &[b"invalid expression in \"", expression, b"\""])
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| *byte != b' ').unwrap_or(text.len())..]
}

/// The expressions that pages used lately; whoever writes pages does not write many.
#[derive(Default)]
struct Patterns(RefCell<HashMap<Vec<u8>, Rc<Pattern>>>);

const MOST_PATTERNS: usize = 100;

/// An expression, and the names of its groups.
struct Pattern {
    regex: Regex,
    names: Vec<Vec<u8>>,
}

impl Patterns {
    fn get(&self, pattern: &[u8]) -> Result<Rc<Pattern>, String> {
        if let Some(known) = self.0.borrow().get(pattern) {
            return Ok(known.clone());
        }
        let mut names = Vec::new();
        let regex = compile_regex(pattern, false, |name| {
            names.push(name.as_bytes().to_vec());
            VarIndex(u16::try_from(names.len() - 1).unwrap_or(u16::MAX))
        })?;
        let made = Rc::new(Pattern { regex, names });
        let mut known = self.0.borrow_mut();
        if known.len() == MOST_PATTERNS {
            drop(mem::take(&mut *known));
        }
        known.insert(pattern.to_vec(), made.clone());
        Ok(made)
    }
}

fn matches(r: &Request, pattern: &[u8], text: &[u8]) -> Result<bool, Fault> {
    let pattern = match r.local.state.get::<Patterns>().get(pattern) {
        Ok(pattern) => pattern,
        Err(message) => return fault(r, &[message.as_bytes()]),
    };
    let Ok(found) = pattern.regex.captures(text) else {
        let regex = pattern.regex.pattern();
        return fault(r, &[b"pcre2_match() failed: -47 on \"", text, b"\" using \"", regex, b"\""]);
    };
    let Some(captures) = found else { return Ok(false) };
    let shared = Shared::of(r);
    for (group, name) in pattern.regex.names() {
        if let Some(name) = pattern.names.get(usize::from(name.0)) {
            shared.set(name, captures.group(*group));
        }
    }
    shared.set_captures(captures);
    Ok(true)
}
