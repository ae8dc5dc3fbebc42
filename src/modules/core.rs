//! The main block: processes, user, logs. <https://nginx.org/en/docs/ngx_core_module.html>

mod affinity;

use std::path::PathBuf;
use std::time::Duration;

use affinity::Affinity;

use crate::conf::{Args, Command, Ctx, Module, NodeKind, SetResult, assign};
use crate::diag::Diagnostic;
use crate::http::{EnvVar, ProcessConf, User};
use crate::schema::value;

/// `ngx_core_module` and the `events` block.
pub struct Core;

/// The directives of the main block.
#[derive(Default)]
pub struct Conf {
    daemon: Option<bool>,
    master_process: Option<bool>,
    pid: Option<PathBuf>,
    lock_file: Option<PathBuf>,
    user: Option<User>,
    worker_processes: Option<usize>,
    cpu_affinity: Option<Affinity>,
    worker_rlimit_nofile: Option<u64>,
    worker_rlimit_core: Option<u64>,
    worker_priority: Option<i32>,
    worker_shutdown_timeout: Option<Duration>,
    working_directory: Option<PathBuf>,
    env: Vec<EnvVar>,
}

impl Module for Core {
    type Conf = Conf;
    const NAME: &'static str = "core";
    const ALSO: &'static [&'static str] = &["events"];
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::flag("daemon", |c| &mut c.daemon),
        Command::flag("master_process", |c| &mut c.master_process),
        Command::custom("pid", |c, args, ctx| assign(&mut c.pid, args, || Ok(ctx.full_path(&*args.text(1))))),
        Command::custom("lock_file", |c, args, ctx| {
            assign(&mut c.lock_file, args, || Ok(ctx.full_path(&*args.text(1))))
        }),
        Command::custom("user", set_user),
        Command::custom("worker_processes", set_worker_processes),
        Command::custom("worker_cpu_affinity", |c, args, _| {
            assign(&mut c.cpu_affinity, args, || Affinity::parse(args))
        }),
        Command::number("worker_rlimit_nofile", |c| &mut c.worker_rlimit_nofile),
        Command::offset("worker_rlimit_core", |c| &mut c.worker_rlimit_core),
        Command::custom("worker_priority", set_priority),
        Command::msec("worker_shutdown_timeout", |c| &mut c.worker_shutdown_timeout),
        Command::custom("working_directory", |c, args, _| {
            assign(&mut c.working_directory, args, || Ok(PathBuf::from(&*args.text(1))))
        }),
        Command::custom("env", |c, args, _| {
            c.env.push(env_var(&args.text(1)));
            Ok(())
        }),
        Command::custom("events", |_, args, ctx| {
            ctx.block(args, NodeKind::Events);
            Ok(())
        }),
    ];
}

/// The `events` block.
#[derive(Default)]
pub struct EventsConf {
    worker_connections: Option<u64>,
}

/// `ngx_event_core_module`.
pub struct Events;

impl Module for Events {
    type Conf = EventsConf;
    const NAME: &'static str = "event_core";
    const COMMANDS: &'static [Command<EventsConf>] = &[
        Command::custom("worker_connections", |c, args, _| {
            assign(&mut c.worker_connections, args, || {
                let invalid = |_| args.error(1, "invalid-value", format!("invalid number \"{}\"", args.text(1)));
                args.number(1).map_err(invalid)
            })
        }),
        // As in an nginx that was built without `--with-debug`, and there too its value is not looked at.
        Command::custom("debug_connection", |_, args, ctx| {
            let message = "\"debug_connection\" is ignored, you need to rebuild nginx using --with-debug option to \
                           enable it";
            ctx.complain_in(args.directive(), Diagnostic::warning("not-supported", message));
            Ok(())
        }),
    ];

    fn finish(ctx: &mut Ctx<'_>) {
        let events = ctx.nodes().find(|node| matches!(ctx.kind(*node), NodeKind::Events));
        let connections = events.and_then(|node| ctx.conf_at::<EventsConf>(node).worker_connections);
        ctx.collected::<WorkerConnections>().0 = connections;
    }
}

#[derive(Default)]
struct WorkerConnections(Option<u64>);

fn set_user(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if !ctx.resources.superuser() {
        let message = "the \"user\" directive makes sense only if the master process runs with super-user privileges, \
                       ignored";
        ctx.complain_in(args.directive(), Diagnostic::warning("user-ignored", message));
        return Ok(());
    }
    let group = (args.len() > 2).then(|| args.text(2));
    assign(&mut c.user, args, || {
        let name = args.text(1);
        match ctx.resources.user(&name, group.as_deref()) {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(unknown_user(args, &name, group.as_deref(), ctx)),
            Err(error) => Err(args.error(1, "unknown-user", format!("getpwnam(\"{name}\") failed ({error})"))),
        }
    })
}

fn unknown_user(args: &Args<'_>, name: &str, group: Option<&str>, ctx: &mut Ctx<'_>) -> Diagnostic {
    // The group of root is one that everybody has.
    let user_is_known = matches!(ctx.resources.user(name, Some("root")), Ok(Some(_)));
    if !user_is_known {
        return args.error(1, "unknown-user", format!("getpwnam(\"{name}\") failed"));
    }
    let at = if group.is_some() { 2 } else { 1 };
    args.error(at, "unknown-group", format!("getgrnam(\"{}\") failed", group.unwrap_or(name)))
}

fn set_worker_processes(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.worker_processes, args, || {
        if args.value(1) == b"auto" {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from));
        }
        // None at all is one too: a server that serves nobody is nobody's wish.
        let count = value::number(args.value(1)).and_then(|count| usize::try_from(count).ok());
        Ok(count.ok_or_else(|| args.invalid(1))?.max(1))
    })
}

fn set_priority(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.worker_priority, args, || {
        args.text(1).parse().map_err(|_| args.error(1, "invalid-value", "\"worker_priority\" directive invalid number"))
    })
}

fn env_var(text: &str) -> EnvVar {
    match text.split_once('=') {
        Some((name, value)) => EnvVar { name: name.into(), value: Some(value.into()) },
        None => EnvVar { name: text.into(), value: None },
    }
}

/// The user of a worker where nobody named one: never root. nginx is built with these names.
fn default_user(ctx: &mut Ctx<'_>) -> Option<User> {
    let (user, groups) = match ctx.paths().layout.user {
        Some(user) => (user, [user; 2]),
        None => ("nobody", ["nogroup", "nobody"]),
    };
    let found = groups.into_iter().find_map(|group| ctx.resources.user(user, Some(group)).ok().flatten());
    if found.is_none() {
        ctx.complain(Diagnostic::error("unknown-user", format!("getpwnam(\"{user}\") failed")));
    }
    found
}

/// nginx's warning about masks that are not enough, or too many.
fn too_few_masks(conf: &Conf) -> Option<Diagnostic> {
    let masks = conf.cpu_affinity.as_ref().map_or(0, Affinity::masks);
    let message = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, \
                   using last mask for remaining worker processes";
    let differs = masks > 1 && masks != conf.worker_processes.unwrap_or(1);
    differs.then(|| Diagnostic::warning("cpu-affinity", message).after_reading())
}

/// nginx's error about fewer connections than there are sockets, and one for a client.
pub fn too_few_connections(process: &ProcessConf, sockets: usize) -> Option<Diagnostic> {
    let count = process.worker_connections;
    let message = format!("{count} worker_connections are not enough for {sockets} listening sockets");
    (count < sockets + 1).then(|| Diagnostic::error("worker-connections", message).after_reading())
}

/// Whether some directive wants to speak from addresses that are not ours.
#[derive(Default)]
struct TransparentSockets(bool);

/// Has the worker keep the right to speak from addresses that are not ours.
pub fn wants_transparent_sockets(ctx: &mut Ctx<'_>) {
    ctx.collected::<TransparentSockets>().0 = true;
}

/// What the main block says, every default resolved.
pub fn process_conf(ctx: &mut Ctx<'_>) -> ProcessConf {
    let named = ctx.nodes().next().is_some_and(|main| ctx.conf_at::<Conf>(main).user.is_some());
    let default_user = if !named && ctx.resources.superuser() { default_user(ctx) } else { None };
    let worker_connections = ctx.collected::<WorkerConnections>().0.unwrap_or(512);
    let transparent = ctx.collected::<TransparentSockets>().0;
    let main = ctx.nodes().next().expect("the main block is always there");
    if let Some(warning) = too_few_masks(ctx.conf_at::<Conf>(main)) {
        ctx.complain(warning);
    }
    let paths = ctx.paths();
    let conf = ctx.conf_at::<Conf>(main);
    ProcessConf {
        daemon: conf.daemon.unwrap_or(true),
        master_process: conf.master_process.unwrap_or(true),
        pid: conf.pid.clone().unwrap_or_else(|| paths.of(paths.layout.pid)),
        lock_file: conf.lock_file.clone().unwrap_or_else(|| paths.of(paths.layout.lock)),
        user: conf.user.clone().or(default_user),
        worker_processes: conf.worker_processes.unwrap_or(1),
        worker_cpus: conf.cpu_affinity.as_ref().map(|affinity| affinity.of_threads(conf.worker_processes.unwrap_or(1))),
        worker_connections: usize::try_from(worker_connections).unwrap_or(usize::MAX),
        worker_rlimit_nofile: conf.worker_rlimit_nofile,
        worker_rlimit_core: conf.worker_rlimit_core,
        worker_priority: conf.worker_priority.unwrap_or(0),
        worker_shutdown_timeout: conf.worker_shutdown_timeout,
        working_directory: conf.working_directory.clone(),
        env: conf.env.clone(),
        transparent,
        prefix: paths.prefix.clone(),
    }
}
