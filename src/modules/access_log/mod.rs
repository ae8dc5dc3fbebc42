//! `access_log`, `log_format`. <https://nginx.org/en/docs/http/ngx_http_log_module.html>

mod buffer;
mod by_name;
mod directives;
mod format;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::conf::{Command, Ctx, LocationBuilder, Module, NodeKind};
use crate::http::Script;
use crate::log::{LogFile, Syslog};

use buffer::BufferSpec;
use by_name::CacheSpec;
use format::Format;
use write::{AccessLogs, Log, Target};

/// `ngx_http_log_module`.
pub struct AccessLog;

/// The logs of one block, as written.
#[derive(Default)]
pub struct Conf {
    logs: Vec<Written>,
    off: bool,
    /// `open_log_file_cache`; within, `None` is `off`.
    cache: Option<Option<CacheSpec>>,
}

/// One `access_log`.
#[derive(Clone)]
struct Written {
    place: Place,
    format: Arc<Format>,
    filter: Option<Script>,
}

/// Where an `access_log` writes.
#[derive(Clone)]
enum Place {
    File(Arc<LogFile>),
    Named(Script),
    Syslog(Arc<Syslog>),
}

/// `log_format` by name, the first one being `combined`.
#[derive(Default)]
struct Formats(Vec<(Vec<u8>, Arc<Format>)>);

/// `buffer=` by file: it holds for every `access_log` to the file.
#[derive(Default)]
struct Buffers(HashMap<PathBuf, Arc<BufferSpec>>);

impl Module for AccessLog {
    type Conf = Conf;
    const NAME: &'static str = "http_log";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("log_format", directives::log_format),
        Command::custom("access_log", directives::access_log),
        Command::custom("open_log_file_cache", directives::open_log_file_cache),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        if conf.cache.is_none() {
            conf.cache.clone_from(&parent.cache);
        }
        if conf.logs.is_empty() && !conf.off {
            conf.logs.clone_from(&parent.logs);
            conf.off = parent.off;
        }
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let answers =
            !matches!(location.kind(), NodeKind::Main | NodeKind::Events | NodeKind::Http | NodeKind::Upstream(_));
        if conf.off || !answers {
            return;
        }
        let cache = conf.cache.flatten();
        let logs: Vec<Log> = if conf.logs.is_empty() {
            let paths = location.ctx.paths();
            let format = directives::combined(location.ctx);
            let place = directives::file(location.ctx, &paths.of(paths.layout.http_log), None);
            place.map(|place| log(location.ctx, &Written { place, format, filter: None }, cache)).into_iter().collect()
        } else {
            conf.logs.iter().map(|written| log(location.ctx, written, cache)).collect()
        };
        location.on_log(AccessLogs(logs.into()));
    }
}

fn log(ctx: &mut Ctx<'_>, written: &Written, cache: Option<CacheSpec>) -> Log {
    let target = match &written.place {
        Place::Syslog(syslog) => Target::Syslog(syslog.clone()),
        Place::Named(name) => Target::Named { name: name.clone(), cache },
        Place::File(file) => {
            let buffer = ctx.collected::<Buffers>().0.get(file.path()).cloned();
            Target::File { file: file.clone(), buffer }
        }
    };
    Log::new(target, written.format.clone(), written.filter.clone())
}
