//! `error_log`, in the main block and in every block of `http`.

use std::sync::Arc;

use super::syslog;
use crate::conf::{Args, Command, Ctx, LocationBuilder, Module, SetResult};
use crate::diag::Diagnostic;
use crate::log::{DebugMask, ErrorLog, Level, Sink, Target, Verbosity};

/// `ngx_errlog_module` and the core module's `error_log` in `http`.
pub struct ErrorLogs;

/// The logs of one block.
#[derive(Default)]
pub struct Conf {
    targets: Vec<Target>,
    log: Option<Arc<ErrorLog>>,
}

/// Whether any block's log is stderr.
#[derive(Default)]
pub struct UsesStderr(pub bool);

impl Conf {
    /// The block's log, its own or inherited.
    pub fn log(&self) -> Option<Arc<ErrorLog>> {
        self.log.clone()
    }
}

impl Module for ErrorLogs {
    type Conf = Conf;
    const NAME: &'static str = "errlog";
    const ALSO: &'static [&'static str] = &["http_core"];
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("error_log", add_log)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        if conf.log.is_none() {
            conf.log.clone_from(&parent.log);
        }
    }

    fn install(_conf: &Conf, _location: &mut LocationBuilder<'_, '_>) {}
}

fn add_log(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let sink = match args.value(1) {
        _ if let Some(syslog) = syslog::parse(args, ctx)? => Sink::Syslog(syslog),
        // nginx opens a name of nothing as its stderr.
        b"stderr" | b"" => {
            ctx.collected::<UsesStderr>().0 = true;
            Sink::Stderr
        }
        value if value.starts_with(b"memory:") => {
            return Err(args.error(1, "not-supported", "nginx was built without debug support"));
        }
        _ => {
            let path = ctx.full_path(&*args.text(1));
            match ctx.resources.log_file(&path) {
                Ok(open) => Sink::File(open),
                Err(error) => {
                    ctx.complain(open_failed(&path, &error).at(args.word(1).span).after_reading());
                    return Ok(());
                }
            }
        }
    };
    let verbosity = if args.len() > 2 { verbosity(args)? } else { Verbosity::up_to(Level::Error) };
    c.targets.push(Target { sink, verbosity });
    c.log = Some(Arc::new(ErrorLog::new(c.targets.clone())));
    Ok(())
}

/// nginx's sentence about a log that cannot be opened. It names no line, because nginx opens logs when it has read
/// everything.
pub(super) fn open_failed(path: &std::path::Path, error: &std::io::Error) -> Diagnostic {
    let errno = error.raw_os_error().unwrap_or_default();
    let message = format!("open() \"{}\" failed ({errno}: {})", path.display(), crate::log::describe(errno));
    Diagnostic::error("cannot-open", message)
}

/// Levels: one of nginx's eight, or one or more parts of the debug log.
fn verbosity(args: &Args<'_>) -> Result<Verbosity, Diagnostic> {
    let invalid = |index: usize| {
        // A second level is one too many; a part of the debug log does not go with a level.
        let is_second = index > 2 && Level::from_name(args.value(index)).is_some();
        let what = if is_second { "duplicate" } else { "invalid" };
        args.error(index, "invalid-value", format!("{what} log level \"{}\"", args.text(index)))
    };
    if let Some(level) = Level::from_name(args.value(2)) {
        if args.len() > 3 {
            return Err(invalid(3));
        }
        return Ok(Verbosity::up_to(level));
    }
    let mut mask = DebugMask::from_name(args.value(2)).ok_or_else(|| invalid(2))?;
    for index in 3..args.len() {
        mask = mask.with(DebugMask::from_name(args.value(index)).ok_or_else(|| invalid(index))?);
    }
    Ok(Verbosity::debugging(mask))
}
