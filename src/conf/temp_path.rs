//! `…_temp_path`: a folder, and how many digits name the folders of each level below it.

use super::{Args, Ctx};
use crate::diag::Diagnostic;
use crate::http::TempPath;
use crate::schema::value;

/// Reads the arguments of a `…_temp_path` directive.
///
/// # Errors
/// nginx's `"name" directive invalid value` about the levels.
pub fn temp_path(args: &Args<'_>, ctx: &Ctx<'_>) -> Result<TempPath, Diagnostic> {
    let text = args.text(1);
    let path = ctx.full_path(text.strip_suffix('/').unwrap_or(&text));
    let mut levels = [0; 3];
    for (level, index) in levels.iter_mut().zip(2..args.len()) {
        let number = value::number(args.value(index)).filter(|number| *number > 0);
        *level = number.and_then(|number| u8::try_from(number).ok()).ok_or_else(|| args.invalid(index))?;
    }
    // A file's name has ten digits to give to the levels.
    if levels.iter().map(|level| u32::from(*level)).sum::<u32>() > 10 {
        return Err(args.invalid(args.len() - 1));
    }
    Ok(TempPath { path, levels })
}
