//! `if`: compiles its condition and takes in the codes of its block.

use std::sync::Arc;

use super::compile::compile_value;
use super::{Code, Conf, Value};
use crate::conf::{Args, Ctx, NodeKind, SetResult};
use crate::diag::Diagnostic;
use crate::http::{LocationId, Regex, VarIndex};

/// What stands between the brackets.
#[derive(Clone)]
pub(super) enum Condition {
    /// `$variable`
    True(VarIndex),
    /// `=` and `!=`
    Equal { variable: VarIndex, value: Value, negated: bool },
    /// `~`, `~*`, `!~`, `!~*`
    Matches { variable: VarIndex, regex: Arc<Regex>, negated: bool },
    /// `-f`, `-d`, `-e`, `-x`, and with `!`
    File { test: FileTest, path: Value, negated: bool },
}

/// What a file is asked for.
#[derive(Clone, Copy)]
pub(super) enum FileTest {
    Plain,
    Directory,
    Exists,
    Executable,
}

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let condition = condition(args, ctx);
    let in_location = matches!(ctx.kind(ctx.current()), NodeKind::Location(_));
    let node = ctx.block(args, if in_location { NodeKind::LocationIf } else { NodeKind::ServerIf });
    let inner = std::mem::take(&mut ctx.conf_at_mut::<Conf>(node).codes);
    let location = in_location.then_some(LocationId(node.0));
    c.codes.push(Code::If { condition: condition?, location, skip: inner.len() });
    c.codes.extend(inner);
    Ok(())
}

/// The words of a condition without the brackets around them, each with its number in the directive.
struct Words<'a> {
    words: Vec<(usize, &'a [u8])>,
    first: usize,
    /// One below `first` where nothing stands between the brackets.
    last: Option<usize>,
}

fn condition(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Condition, Diagnostic> {
    let Words { words, first, last } = words(args)?;
    let text = words[first].1;
    let behind = |more: usize| last == Some(first + more);
    match text {
        [b'$', name @ ..] if !name.is_empty() => {
            if !behind(0) && !behind(2) {
                return Err(invalid(args, words[first]));
            }
            let variable = ctx.variable(name, args.word(words[first].0).span);
            if behind(0) {
                return Ok(Condition::True(variable));
            }
            comparison(args, ctx, variable, words[first + 1], words[first + 2])
        }
        [b'-', test] | [b'!', b'-', test] => {
            if !behind(1) {
                return Err(invalid(args, words[first]));
            }
            let (index, path) = words[first + 1];
            let path = compile_value(ctx, args.word(index), path)?;
            let test = match test {
                b'f' => FileTest::Plain,
                b'd' => FileTest::Directory,
                b'e' => FileTest::Exists,
                b'x' => FileTest::Executable,
                _ => return Err(invalid(args, words[first])),
            };
            Ok(Condition::File { test, path, negated: text[0] == b'!' })
        }
        _ => Err(invalid(args, words[first])),
    }
}

/// Takes the brackets off; either may be a word of its own.
fn words<'a>(args: &Args<'a>) -> Result<Words<'a>, Diagnostic> {
    let mut words: Vec<(usize, &'a [u8])> = (1..args.len()).map(|index| (index, args.value(index))).collect();
    let mut first = 0;
    match words[0].1 {
        [b'('] => first = 1,
        [b'(', rest @ ..] => words[0].1 = rest,
        _ => return Err(invalid(args, words[0])),
    }
    let end = words.len() - 1;
    let last = match words[end].1 {
        [b')'] => end.checked_sub(1),
        [rest @ .., b')'] => {
            words[end].1 = rest;
            Some(end)
        }
        _ => return Err(invalid(args, words[end])),
    };
    Ok(Words { words, first, last })
}

fn comparison(
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
    variable: VarIndex,
    operator: (usize, &[u8]),
    operand: (usize, &[u8]),
) -> Result<Condition, Diagnostic> {
    let word = args.word(operand.0);
    let negated = operator.1.starts_with(b"!");
    match operator.1 {
        b"=" | b"!=" => Ok(Condition::Equal { variable, value: compile_value(ctx, word, operand.1)?, negated }),
        b"~" | b"~*" | b"!~" | b"!~*" => {
            let regex = Arc::new(ctx.regex(word, operand.1, operator.1.ends_with(b"*"))?);
            Ok(Condition::Matches { variable, regex, negated })
        }
        _ => {
            let message = format!("unexpected \"{}\" in condition", String::from_utf8_lossy(operator.1));
            Err(args.error(operator.0, "invalid-condition", message))
        }
    }
}

fn invalid(args: &Args<'_>, (index, text): (usize, &[u8])) -> Diagnostic {
    let message = format!("invalid condition \"{}\"", String::from_utf8_lossy(text));
    args.error(index, "invalid-condition", message)
}
