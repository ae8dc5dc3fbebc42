//! `error_page`.

use super::Conf;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::{ErrorAnswer, ErrorPage};
use crate::schema::value;

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let last = args.len() - 1;
    let mut codes = 1..last;
    let answer = match args.value(last - 1).strip_prefix(b"=") {
        Some(code) if last > 2 => {
            codes.end -= 1;
            answer(args, last - 1, code)?
        }
        _ => ErrorAnswer::Keep,
    };
    if codes.is_empty() {
        return Err(args.wrong_count());
    }
    let target = ctx.script(args.word(last))?;
    for index in codes {
        let status = value::number(args.value(index)).filter(|status| *status != 499);
        let status = status
            .ok_or_else(|| args.error(index, "invalid-value", format!("invalid value \"{}\"", args.text(index))))?;
        let Some(status) = u16::try_from(status).ok().filter(|status| (300..=599).contains(status)) else {
            let message = format!("value \"{}\" must be between 300 and 599", args.text(index));
            return Err(args.error(index, "invalid-value", message));
        };
        // A TLS fault keeps its status from the client unless told otherwise.
        let answer = match (status, answer) {
            (494..=497, ErrorAnswer::Keep) => ErrorAnswer::Replace(400),
            _ => answer,
        };
        c.error_pages.push(ErrorPage { status, answer, target: target.clone() });
    }
    Ok(())
}

fn answer(args: &Args<'_>, index: usize, code: &[u8]) -> Result<ErrorAnswer, crate::diag::Diagnostic> {
    if code.is_empty() {
        return Ok(ErrorAnswer::FromTarget);
    }
    let text = value::number(code).map(|code| u16::try_from(code).unwrap_or(u16::MAX));
    let invalid = || args.error(index, "invalid-value", format!("invalid value \"{}\"", args.text(index)));
    text.map(ErrorAnswer::Replace).ok_or_else(invalid)
}
