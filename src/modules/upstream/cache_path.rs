//! `…_cache_path`: a folder, a name, and how much of both there may be.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::{Cache, Caches, Pace, Settings, Shared};
use crate::conf::{Args, Ctx, SetResult, claim_folder};
use crate::diag::Diagnostic;
use crate::http::{TempFolders, TempPath, ZoneKey, shared_zone};
use crate::schema::value;

/// What has been read of one directive.
struct Reading {
    levels: [u8; 3],
    zone: Option<(Bytes, usize)>,
    settings: Settings,
}

/// Reads `…_cache_path`.
///
/// # Errors
/// nginx's sentences about parameters, and about a zone or folder that is taken.
pub fn read_cache_path(args: &Args<'_>, ctx: &mut Ctx<'_>, owner: &'static str) -> SetResult {
    let mut reading = Reading {
        levels: [0; 3],
        zone: None,
        settings: Settings {
            name: Bytes::new(),
            use_temp_path: true,
            inactive: 600,
            max_size: u64::MAX,
            min_free: 0,
            loader: Pace::default(),
            manager: Pace::default(),
        },
    };
    (2..args.len()).try_for_each(|index| reading.take(args, index))?;
    let Some((name, size)) = reading.zone.filter(|(name, _)| !name.is_empty()) else {
        let message = format!("\"{}\" must have \"keys_zone\" parameter", args.name());
        return Err(args.error(0, "missing-parameter", message));
    };
    let text = args.text(1);
    let place = TempPath { path: ctx.full_path(text.strip_suffix('/').unwrap_or(&text)), levels: reading.levels };
    claim_path(args, ctx, &place)?;
    ctx.shared_zone(&name, size, owner, args.word(0).span)?;
    let mut caches = ctx.extensions.get::<Caches>().cloned().unwrap_or_default();
    if caches.find(owner, &name).is_some() {
        let message = format!("duplicate zone \"{}\"", String::from_utf8_lossy(&name));
        return Err(args.error(1, "zone", message));
    }
    let shared = shared(args, ctx, (owner, &name, size), place);
    caches.0.push((owner, Arc::new(Cache::new(Settings { name, ..reading.settings }, shared))));
    ctx.extensions.insert(caches);
    Ok(())
}

/// One folder is one cache's.
fn claim_path(args: &Args<'_>, ctx: &mut Ctx<'_>, place: &TempPath) -> SetResult {
    let mut folders = ctx.extensions.get::<TempFolders>().cloned().unwrap_or_default();
    folders.0.push(place.path.clone());
    ctx.extensions.insert(folders);
    claim_folder(args, ctx, place, true)
}

/// The index of the configuration before, where it has one of this name and size.
fn shared(
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
    (owner, name, size): (&'static str, &Bytes, usize),
    place: TempPath,
) -> Arc<Shared> {
    let key = ZoneKey { configuration: ctx.paths().conf.clone(), owner, name: name.to_vec(), size };
    let shared = shared_zone(key, || Shared::new(place.clone(), size));
    let name = String::from_utf8_lossy(name);
    let fault = if shared.place.path != place.path {
        let (new, old) = (place.path.display(), shared.place.path.display());
        format!("cache \"{name}\" uses the \"{new}\" cache path while previously it used the \"{old}\" cache path")
    } else if shared.place.levels != place.levels {
        format!("cache \"{name}\" had previously different levels")
    } else {
        return shared;
    };
    ctx.complain(Diagnostic::error("zone", fault).at(args.word(1).span).after_reading());
    shared
}

impl Reading {
    fn take(&mut self, args: &Args<'_>, index: usize) -> SetResult {
        let text = args.value(index);
        let end = text.iter().position(|byte| *byte == b'=').map_or(text.len(), |at| at + 1);
        let (name, given) = text.split_at(end);
        let invalid = |what: &str| {
            let message = format!("invalid {what} value \"{}\"", args.text(index));
            args.error(index, "invalid-value", message)
        };
        let number = |what| value::number(given).ok_or_else(|| invalid(what));
        let msec = |what| value::msec(given).ok_or_else(|| invalid(what));
        let offset = |what| value::offset(given).ok_or_else(|| invalid(what));
        let settings = &mut self.settings;
        match name {
            b"levels=" => self.levels = levels(args, index, given)?,
            b"use_temp_path=" => settings.use_temp_path = use_temp_path(args, index, given)?,
            b"keys_zone=" => self.zone = Some(keys_zone(args, index, given)?),
            b"inactive=" => {
                let inactive = value::sec(given).ok_or_else(|| invalid("inactive"))?;
                settings.inactive = i64::try_from(inactive.as_secs()).unwrap_or(i64::MAX / 2);
            }
            b"max_size=" => settings.max_size = offset("max_size")?,
            b"min_free=" => settings.min_free = offset("min_free")?,
            b"loader_files=" => settings.loader.files = number("loader_files")?,
            b"loader_sleep=" => settings.loader.sleep = msec("loader_sleep")?,
            b"loader_threshold=" => settings.loader.threshold = msec("loader_threshold")?,
            b"manager_files=" => settings.manager.files = number("manager_files")?,
            b"manager_sleep=" => settings.manager.sleep = msec("manager_sleep")?,
            b"manager_threshold=" => settings.manager.threshold = msec("manager_threshold")?,
            _ => return Err(args.invalid_parameter(index)),
        }
        Ok(())
    }
}

/// Up to three digits, each 1 or 2, with colons between them.
fn levels(args: &Args<'_>, index: usize, given: &[u8]) -> Result<[u8; 3], Diagnostic> {
    let invalid = || args.error(index, "invalid-value", format!("invalid \"levels\" \"{}\"", args.text(index)));
    let mut levels = [0; 3];
    if given.is_empty() {
        return Ok(levels);
    }
    let parts: Vec<&[u8]> = given.split(|byte| *byte == b':').collect();
    if parts.len() > levels.len() {
        return Err(invalid());
    }
    for (level, part) in levels.iter_mut().zip(parts) {
        *level = match part {
            b"1" => 1,
            b"2" => 2,
            _ => return Err(invalid()),
        };
    }
    Ok(levels)
}

fn use_temp_path(args: &Args<'_>, index: usize, given: &[u8]) -> Result<bool, Diagnostic> {
    match given {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => {
            let message = format!("invalid use_temp_path value \"{}\", it must be \"on\" or \"off\"", args.text(index));
            Err(args.error(index, "invalid-value", message))
        }
    }
}

/// `name:size`; at least two pages.
fn keys_zone(args: &Args<'_>, index: usize, given: &[u8]) -> Result<(Bytes, usize), Diagnostic> {
    let fault = |message: String| args.error(index, "invalid-zone", message);
    let invalid = || fault(format!("invalid keys zone size \"{}\"", args.text(index)));
    let colon = given.iter().position(|byte| *byte == b':').ok_or_else(invalid)?;
    let size = value::size(&given[colon + 1..]).and_then(|size| usize::try_from(size).ok()).ok_or_else(invalid)?;
    if size < 2 * rustix::param::page_size() {
        return Err(fault(format!("keys zone \"{}\" is too small", args.text(index))));
    }
    Ok((Bytes::copy_from_slice(&given[..colon]), size))
}
