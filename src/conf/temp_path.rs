//! `…_temp_path`: a folder, and how many digits name the folders of each level below it.

use super::{Args, Ctx, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::TempPath;
use crate::schema::value;

/// Reads the arguments of a `…_temp_path` directive.
///
/// # Errors
/// nginx's `"name" directive invalid value` about the levels, and as [`claim_folder`].
pub fn temp_path(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<TempPath, Diagnostic> {
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
    let place = TempPath { path, levels };
    claim_folder(args, ctx, &place, false)?;
    Ok(place)
}

/// The folders that files are written to, and where each was named first.
#[derive(Default)]
struct Folders(Vec<Folder>);

struct Folder {
    place: TempPath,
    is_cache: bool,
    at: Span,
    end: Span,
}

/// Complains where a folder for temporary files that nobody named is that of a cache.
pub fn claim_default(ctx: &mut Ctx<'_>, place: &TempPath) {
    let end = ctx.end_of_http();
    let folders = &ctx.collected::<Folders>().0;
    if let Some(other) = folders.iter().find(|folder| folder.is_cache && folder.place.path == place.path) {
        let fault =
            Diagnostic::error(Diagnostic::SAME_PATH, format!("the same path name \"{}\"", place.path.display()));
        let fault = fault.at(other.at).nginx_at(end).label("temporary files are kept in this folder");
        let fault = fault.related(other.end, "used here");
        ctx.complain(fault.help("give the cache a folder of its own"));
    }
}

/// Notes a folder, the first argument. Folders for temporary files may be shared, one of a cache may not.
///
/// # Errors
/// nginx's two sentences about `the same path name`.
pub fn claim_folder(args: &Args<'_>, ctx: &mut Ctx<'_>, place: &TempPath, is_cache: bool) -> SetResult {
    let (at, end) = (args.word(1).span, args.directive().end);
    let folders = &mut ctx.collected::<Folders>().0;
    let Some(other) = folders.iter().find(|folder| folder.place.path == place.path) else {
        folders.push(Folder { place: place.clone(), is_cache, at, end });
        return Ok(());
    };
    let code = match (is_cache || other.is_cache, other.place.levels == place.levels) {
        (true, _) => Diagnostic::SAME_PATH,
        (false, false) => Diagnostic::PATH_LEVELS,
        (false, true) => return Ok(()),
    };
    let fault = args.error(1, code, format!("the same path name \"{}\"", place.path.display()));
    let what = if other.is_cache { "the folder of a cache" } else { "the folder" };
    Err(fault.related(other.end, "used here").related(other.at, what))
}
