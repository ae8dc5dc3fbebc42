//! How files are opened in a location: `disable_symlinks`, `open_file_cache`. <https://nginx.org/en/docs/http/ngx_http_core_module.html#open_file_cache>

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::open_cache::{CacheLimits, CacheRules, OpenCaches};
use super::symlinks::{self, Symlinks};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, SetResult, assign};
use crate::diag::Diagnostic;
use crate::http::{FileFault, FileStat, OpenedFile, Request, Script, open_file, stat_file};

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    cache: Option<Option<Arc<CacheLimits>>>,
    valid: Option<Duration>,
    min_uses: Option<u64>,
    errors: Option<bool>,
    symlinks: Option<Mode>,
    from: Option<Option<Script>>,
}

/// `disable_symlinks`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    On,
    IfNotOwner,
}

pub(super) const COMMANDS: &[Command<Conf>] = &[
    Command::custom("open_file_cache", set_cache),
    Command::sec("open_file_cache_valid", |c| &mut c.valid),
    Command::number("open_file_cache_min_uses", |c| &mut c.min_uses),
    Command::flag("open_file_cache_errors", |c| &mut c.errors),
    Command::custom("disable_symlinks", set_symlinks),
];

impl Conf {
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.cache.inherit(&parent.cache);
        self.valid.inherit(&parent.valid);
        self.min_uses.inherit(&parent.min_uses);
        self.errors.inherit(&parent.errors);
        self.symlinks.inherit(&parent.symlinks);
        self.from.inherit(&parent.from);
    }

    /// Files that are opened without more ado need no rules.
    pub(super) fn install(&self, location: &mut LocationBuilder<'_, '_>) {
        let cache = self.cache.clone().flatten().map(|limits| CacheRules {
            limits,
            valid: self.valid.map_or(60, |valid| valid.as_secs()),
            min_uses: self.min_uses.unwrap_or(1),
            errors: self.errors.unwrap_or(false),
        });
        let owner_may_link = match self.symlinks.unwrap_or(Mode::Off) {
            Mode::Off => None,
            Mode::On => Some(false),
            Mode::IfNotOwner => Some(true),
        };
        if cache.is_some() || owner_may_link.is_some() {
            location.extensions.insert(Opening { cache, owner_may_link, from: self.from.clone().flatten() });
        }
    }
}

fn set_cache(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.cache, args, || {
        let (mut max, mut inactive, mut off) = (None, 60, false);
        for index in 1..args.len() {
            let wrong = || {
                let message = format!("invalid \"open_file_cache\" parameter \"{}\"", args.text(index));
                args.error(index, "invalid-parameter", message)
            };
            let text = args.value(index);
            if let Some(number) = text.strip_prefix(b"max=") {
                let number = crate::schema::value::number(number).filter(|number| *number > 0);
                max = Some(usize::try_from(number.ok_or_else(wrong)?).map_err(|_| wrong())?);
            } else if let Some(time) = text.strip_prefix(b"inactive=") {
                inactive = crate::schema::value::sec(time).ok_or_else(wrong)?.as_secs();
            } else if text == b"off" {
                off = true;
            } else {
                return Err(wrong());
            }
        }
        match max {
            _ if off => Ok(None),
            Some(max) => Ok(Some(Arc::new(CacheLimits { max, inactive }))),
            None => {
                let message = "\"open_file_cache\" must have the \"max\" parameter";
                Err(args.error(0, "missing-parameter", message))
            }
        }
    })
}

fn set_symlinks(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if c.symlinks.is_some() {
        return Err(args.duplicate());
    }
    let mut from = None;
    for index in 1..args.len() {
        let text = args.value(index);
        match text {
            b"off" => c.symlinks = Some(Mode::Off),
            b"on" => c.symlinks = Some(Mode::On),
            b"if_not_owner" => c.symlinks = Some(Mode::IfNotOwner),
            _ => match text.strip_prefix(b"from=") {
                Some(path) => from = Some(ctx.script_from(args.word(index), path)?),
                None => return Err(args.invalid_parameter(index)),
            },
        }
    }
    let fault = |message: String| -> Result<(), Diagnostic> { Err(args.error(0, "invalid-parameter", message)) };
    match (c.symlinks, &from) {
        (None, _) => {
            return fault("\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter".to_owned());
        }
        (Some(_), None) if args.len() > 2 => {
            return fault(format!("duplicate parameters \"{} {}\"", args.text(1), args.text(2)));
        }
        (Some(Mode::Off), Some(_)) => return fault("\"from=\" cannot be used with \"off\" parameter".to_owned()),
        _ => {}
    }
    c.from = Some(from);
    Ok(())
}

/// How files are opened in a location.
pub(super) struct Opening {
    cache: Option<CacheRules>,
    /// `None` where links are followed; whether those are whose owner owns what they lead to.
    owner_may_link: Option<bool>,
    /// The beginning of paths in which links are followed all the same.
    from: Option<Script>,
}

/// Looks at a file.
///
/// # Errors
/// The call that failed.
pub(in crate::modules) fn stat(r: &Request, path: &[u8]) -> Result<FileStat, FileFault> {
    let Some(opening) = r.location().extensions.get::<Opening>() else { return stat_file(path) };
    let symlinks = opening.symlinks(r, path);
    match &opening.cache {
        Some(rules) => Ok(r.local.state.get::<OpenCaches>().open(rules, path, symlinks)?.stat),
        None => symlinks::stat(path, symlinks),
    }
}

/// Opens a file. A directory that was looked at before may come without.
///
/// # Errors
/// As [`stat`].
pub(in crate::modules) fn open(r: &Request, path: &[u8]) -> Result<OpenedFile, FileFault> {
    let Some(opening) = r.location().extensions.get::<Opening>() else {
        let (file, stat) = open_file(path)?;
        return Ok(OpenedFile { file: Some(Rc::new(file)), stat });
    };
    let symlinks = opening.symlinks(r, path);
    match &opening.cache {
        Some(rules) => r.local.state.get::<OpenCaches>().open(rules, path, symlinks),
        None => symlinks::open(path, symlinks),
    }
}

impl Opening {
    /// What links of a path mean.
    fn symlinks(&self, r: &Request, path: &[u8]) -> Symlinks {
        let Some(owner_may_link) = self.owner_may_link else { return Symlinks::Follow };
        let refuse = |from| Symlinks::Refuse { owner_may_link, from };
        let Some(from) = &self.from else { return refuse(0) };
        let from = from.eval(r);
        match path.strip_prefix(&from[..]) {
            _ if from.is_empty() => refuse(0),
            None => refuse(0),
            Some([]) => Symlinks::Follow,
            Some([b'/', ..]) => refuse(from.len()),
            Some(_) if from.ends_with(b"/") => refuse(from.len() - 1),
            Some(_) => refuse(0),
        }
    }
}
