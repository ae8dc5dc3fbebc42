//! Reads `log_format`, `access_log` and `open_log_file_cache`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::buffer::BufferSpec;
use super::by_name::CacheSpec;
use super::format::{self, Format};
use super::{Buffers, Conf, Formats, Place, Written};
use crate::conf::{Args, Ctx, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::Script;
use crate::modules::{error_log, syslog};
use crate::paths;
use crate::schema::value;

const COMBINED: &[u8] = b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
    \"$http_referer\" \"$http_user_agent\"";

/// The format that nginx has without being told.
pub(super) fn combined(ctx: &mut Ctx<'_>) -> Arc<Format> {
    if let Some((_, format)) = ctx.collected::<Formats>().0.first() {
        return format.clone();
    }
    let format = Arc::new(format::built_in(ctx, COMBINED));
    ctx.collected::<Formats>().0.push((b"combined".to_vec(), format.clone()));
    format
}

pub(super) fn log_format(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    combined(ctx);
    let name = args.value(1);
    if ctx.collected::<Formats>().0.iter().any(|(known, _)| known == name) {
        let message = format!("duplicate \"log_format\" name \"{}\"", args.text(1));
        return Err(args.error(1, "duplicate-format", message));
    }
    let format = Arc::new(format::compile(args, ctx)?);
    ctx.collected::<Formats>().0.push((name.to_vec(), format));
    Ok(())
}

pub(super) fn access_log(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if args.value(1) == b"off" {
        c.off = true;
        return if args.len() > 2 { Err(args.invalid_parameter(2)) } else { Ok(()) };
    }
    let Some(place) = place(args, ctx)? else { return Ok(()) };
    let format = find_format(args, ctx)?;
    let Parameters { size, flush, gzip, filter } = parameters(args, ctx)?;
    if flush.is_some() && size.is_none() {
        let message = format!("no buffer is defined for access_log \"{}\"", args.text(1));
        return Err(args.error(1, "invalid-parameter", message));
    }
    if let Some(size) = size {
        let fault = |message: &str| Err(args.error(1, "invalid-parameter", message));
        let file = match &place {
            Place::File(file) => file,
            Place::Named(_) => return fault("buffered logs cannot have variables in name"),
            Place::Syslog(_) => return fault("logs to syslog cannot be buffered"),
        };
        let wanted = BufferSpec { size, flush, gzip };
        let known = ctx.collected::<Buffers>().0.entry(file.path().to_owned()).or_insert_with(|| Arc::new(wanted));
        if **known != wanted {
            let message = format!("access_log \"{}\" already defined with conflicting parameters", args.text(1));
            return Err(args.error(1, "conflicting-parameters", message));
        }
    }
    c.logs.push(Written { place, format, filter });
    Ok(())
}

/// Where to write; `None` where it could not be opened, which has been complained about.
fn place(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Option<Place>, Diagnostic> {
    if let Some(syslog) = syslog::parse(args, ctx)? {
        return Ok(Some(Place::Syslog(syslog)));
    }
    // nginx opens a name of nothing as its stderr.
    let name = if args.value(1).is_empty() { b"/dev/stderr" } else { args.value(1) };
    let full = ctx.full_path(paths::from_bytes(name));
    if !args.value(1).contains(&b'$') {
        return Ok(file(ctx, &full, Some(args.word(1).span)));
    }
    Ok(Some(Place::Named(ctx.script_from(args.word(1), paths::bytes(&full))?)))
}

/// Opens a log, even one that nothing is going to be written to.
pub(super) fn file(ctx: &mut Ctx<'_>, path: &Path, at: Option<Span>) -> Option<Place> {
    match ctx.resources.log_file(path) {
        Ok(file) => Some(Place::File(file)),
        Err(error) => {
            let fault = error_log::open_failed(path, &error);
            ctx.complain(at.into_iter().fold(fault, Diagnostic::at).after_reading());
            None
        }
    }
}

fn find_format(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Arc<Format>, Diagnostic> {
    let combined = combined(ctx);
    if args.len() < 3 {
        return Ok(combined);
    }
    let formats = &ctx.collected::<Formats>().0;
    let found = formats.iter().find(|(name, _)| name.eq_ignore_ascii_case(args.value(2)));
    found
        .map(|(_, format)| format.clone())
        .ok_or_else(|| args.error(2, "unknown-format", format!("unknown log format \"{}\"", args.text(2))))
}

#[derive(Default)]
struct Parameters {
    size: Option<usize>,
    flush: Option<Duration>,
    gzip: Option<u32>,
    filter: Option<Script>,
}

/// Size of the buffer where `gzip` is the only one to ask for it, in bytes.
const GZIP_BUFFER: usize = 64 << 10;

fn parameters(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Parameters, Diagnostic> {
    let mut found = Parameters::default();
    for index in 3..args.len() {
        let text = args.value(index);
        let invalid = |what: &str, value: &[u8]| {
            let message = format!("invalid {what} \"{}\"", String::from_utf8_lossy(value));
            args.error(index, "invalid-value", message)
        };
        if let Some(given) = text.strip_prefix(b"buffer=") {
            let size = value::size(given).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
            found.size = Some(size.ok_or_else(|| invalid("buffer size", given))?);
        } else if let Some(given) = text.strip_prefix(b"flush=") {
            let time = value::msec(given).filter(|time| !time.is_zero());
            found.flush = Some(time.ok_or_else(|| invalid("flush time", given))?);
        } else if text == b"gzip" {
            found.size.get_or_insert(GZIP_BUFFER);
            found.gzip = Some(1);
        } else if let Some(given) = text.strip_prefix(b"gzip=") {
            found.size.get_or_insert(GZIP_BUFFER);
            let level = value::number(given).and_then(|level| u32::try_from(level).ok());
            let level = level.filter(|level| (1..=9).contains(level));
            found.gzip = Some(level.ok_or_else(|| invalid("compression level", given))?);
        } else if let Some(given) = text.strip_prefix(b"if=") {
            found.filter = Some(ctx.script_from(args.word(index), given)?);
        } else {
            return Err(args.invalid_parameter(index));
        }
    }
    Ok(found)
}

pub(super) fn open_log_file_cache(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    if c.cache.is_some() {
        return Err(args.duplicate());
    }
    let second = Duration::from_secs(1);
    let mut spec = CacheSpec { max: 0, inactive: 10 * second, valid: 60 * second, min_uses: 1 };
    let mut off = false;
    for index in 1..args.len() {
        let text = args.value(index);
        let number = |given| value::number(given).and_then(|number| usize::try_from(number).ok());
        let done = if let Some(given) = text.strip_prefix(b"max=") {
            number(given).map(|max| spec.max = max)
        } else if let Some(given) = text.strip_prefix(b"inactive=") {
            value::sec(given).map(|time| spec.inactive = time)
        } else if let Some(given) = text.strip_prefix(b"min_uses=") {
            number(given).map(|uses| spec.min_uses = uses)
        } else if let Some(given) = text.strip_prefix(b"valid=") {
            value::sec(given).map(|time| spec.valid = time)
        } else {
            (text == b"off").then(|| off = true)
        };
        done.ok_or_else(|| {
            let message = format!("invalid \"open_log_file_cache\" parameter \"{}\"", args.text(index));
            args.error(index, "invalid-parameter", message)
        })?;
    }
    if !off && spec.max == 0 {
        let message = "\"open_log_file_cache\" must have \"max\" parameter";
        return Err(args.error(0, "missing-parameter", message));
    }
    c.cache = Some((!off).then_some(spec));
    Ok(())
}
