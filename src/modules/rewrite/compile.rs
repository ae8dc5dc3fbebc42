//! Compiles `rewrite`, `return` and `set`.

use std::sync::Arc;

use super::run::Uninitialized;
use super::{Code, Conf, Replacement, Then, Value};
use crate::conf::{Args, Ctx, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Getter, Part, Script};
use crate::schema::value;
use crate::syntax::Word;

pub(super) fn rewrite(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let written = args.value(2);
    if written.is_empty() {
        return Err(args.error(2, "empty-replacement", "empty replacement"));
    }
    let regex = ctx.regex(args.word(1), args.value(1), false)?;
    let (text, keeps_args) = match written.strip_suffix(b"?") {
        Some(text) => (text, false),
        None => (written, true),
    };
    let then = then(args, text)?;
    let parts = ctx.script_from(args.word(2), text)?.parts();
    let (path, args, joint) = match then {
        Then::Redirect(_) => {
            let joint = if holds_question_mark(&parts) { b'&' } else { b'?' };
            (parts, None, joint)
        }
        _ => {
            let (path, args) = split_args(parts);
            (path, args, b'&')
        }
    };
    let replacement = Replacement { regex, path: path.into(), args: args.map(Into::into), keeps_args, joint, then };
    c.codes.push(Code::Rewrite(Arc::new(replacement)));
    Ok(())
}

fn then(args: &Args<'_>, replacement: &[u8]) -> Result<Then, Diagnostic> {
    let flag = (args.len() > 3).then(|| args.value(3));
    Ok(match flag {
        Some(b"redirect") => Then::Redirect(302),
        Some(b"permanent") => Then::Redirect(301),
        Some(b"last" | b"break") | None if is_url(replacement) => Then::Redirect(302),
        Some(b"last") => Then::Find,
        Some(b"break") => Then::Stay,
        Some(_) => return Err(args.invalid_parameter(3)),
        None => Then::Next,
    })
}

fn is_url(text: &[u8]) -> bool {
    [&b"http://"[..], b"https://", b"$scheme"].iter().any(|start| text.starts_with(start))
}

fn holds_question_mark(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::Literal(bytes) if bytes.contains(&b'?')))
}

/// Cuts a replacement at the first `?` that is written in it.
fn split_args(mut parts: Vec<Part>) -> (Vec<Part>, Option<Vec<Part>>) {
    let mark = parts.iter().enumerate().find_map(|(index, part)| match part {
        Part::Literal(bytes) => Some((index, bytes.iter().position(|byte| *byte == b'?')?)),
        _ => None,
    });
    let Some((index, at)) = mark else { return (parts, None) };
    let mut args = parts.split_off(index);
    if let Part::Literal(bytes) = &mut args[0] {
        let path = bytes.split_to(at);
        *bytes = bytes.slice(1..);
        parts.push(Part::Literal(path));
    }
    (parts, Some(args))
}

pub(super) fn add_return(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let invalid = || {
        let message = format!("invalid return code \"{}\"", args.text(1));
        args.error(1, "invalid-value", message)
    };
    let (status, text) = match value::number(args.value(1)) {
        Some(status) => {
            let status = u16::try_from(status).ok().filter(|status| *status <= 999);
            (status.ok_or_else(invalid)?, (args.len() > 2).then_some(2))
        }
        None if args.len() == 2 && is_url(args.value(1)) => (302, Some(1)),
        None => return Err(invalid()),
    };
    let text = match text {
        Some(index) => ctx.script(args.word(index))?,
        None => Script::constant(""),
    };
    c.codes.push(Code::Return { status, text });
    Ok(())
}

pub(super) fn set(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let name = args.value(1).get(1..).unwrap_or_default().to_ascii_lowercase();
    let getter = Getter::Computed(Box::new(Uninitialized { name: name.into() }));
    let variable = ctx.assigned_variable(args.word(1), getter)?;
    let value = compile_value(ctx, args.word(2), args.value(2))?;
    c.codes.push(Code::Set { variable, value });
    Ok(())
}

pub(super) fn compile_value(ctx: &mut Ctx<'_>, word: &Word, text: &[u8]) -> Result<Value, Diagnostic> {
    let script = ctx.script_from(word, text)?;
    let captures = script.parts().iter().any(|part| matches!(part, Part::Capture(_)));
    Ok(Value { script, captures })
}
