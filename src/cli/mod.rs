//! The command line.

mod args;
mod commands;
mod output;
mod version;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use args::Args;
use output::report;

use crate::diag::{Diagnostic, Severity};
use crate::lint::lint;
use crate::load::Form;
use crate::log::{ErrorLog, Level, LogFile, Sink, console};
use crate::paths::{Given, Layout, Paths};
use crate::process::{self, Call, Compiled, Setup};

/// Runs the program as nginx runs with the same words, the program's name first; gives its exit code.
///
/// # Safety
/// The process has one thread: it is going to be split in two, and to change its user.
pub unsafe fn run(program: Vec<OsString>) -> ExitCode {
    if let Some(command) = program.get(1).and_then(commands::named) {
        return commands::run(command, &program[2..]);
    }
    process::keep_name(program.first().map_or(OsStr::new(""), OsString::as_os_str));
    let args = match Args::parse(program.iter().skip(1).cloned()) {
        Ok(args) => args,
        Err(error) => {
            console::say(error);
            return ExitCode::FAILURE;
        }
    };
    if args.version {
        show_version(&args);
        if !args.test {
            return ExitCode::SUCCESS;
        }
    }
    // SAFETY: the caller has one thread.
    let code = unsafe { work(&args, program) };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn show_version(args: &Args) {
    let layout = &Layout::chosen();
    let help = if args.help { version::help(layout) } else { String::new() };
    let configure = if args.configure { version::configure(layout) } else { String::new() };
    // Nobody to tell where stderr is gone.
    let _ = io::stderr().write_all((version::version() + &help + &configure).as_bytes());
}

/// # Safety
/// The process has one thread.
unsafe fn work(args: &Args, program: Vec<OsString>) -> i32 {
    let given = given(args);
    let paths = Paths::new(Layout::chosen(), given);
    let form = process::form_of(&paths.conf);
    let paths = if form == Form::Full { paths } else { at_home(paths.for_site(given)) };
    console::echo(true);
    let level = if args.test { Level::Info } else { Level::Notice };
    let early = Arc::new(early_log(paths.error_log.as_deref(), level));
    let directives = args.directives.as_ref().map(|text| text.to_string_lossy().into_owned());
    let call = Call { setup: Setup { paths, directives, form }, program, version: version::VERSION, early };
    let quiet = args.quiet || args.order.is_some();
    let say = move |compiled: &Compiled, log: &ErrorLog| say(compiled, log, quiet);
    let paths = &call.setup.paths;
    if !quiet && form != Form::Full && given.prefix.is_none() && paths.of(paths.layout.pid).starts_with(&paths.state) {
        console::say(format_args!("[notice] logs, pid file and temporary files stand in {}", paths.state.display()));
    }
    if args.test {
        return test(args, &call, &say);
    }
    match args.order {
        Some(order) => process::signal(&call, order, &say),
        // SAFETY: the caller has one thread.
        None => unsafe { process::serve(call, &say) },
    }
}

fn given(args: &Args) -> Given<'_> {
    Given { prefix: args.prefix.as_deref(), conf: args.conf.as_deref(), error_log: args.error_log.as_deref() }
}

/// Makes the folders that a site's file has no word for. What cannot be made is said when it is used.
fn at_home(paths: Paths) -> Paths {
    let layout = &paths.layout;
    for file in [layout.error_log, layout.http_log, layout.pid, layout.client_body_temp, layout.proxy_temp] {
        if let Some(folder) = paths.of(file).parent() {
            let _ = std::fs::create_dir_all(folder);
        }
    }
    paths
}

/// The log until the configuration's own is open: stderr where the file cannot be.
fn early_log(path: Option<&Path>, level: Level) -> ErrorLog {
    let file = path.and_then(|path| {
        let opened = LogFile::open(path).inspect_err(|error| {
            let name = path.display();
            console::say_error(error, format_args!("[alert] could not open error log file: open() \"{name}\" failed"));
        });
        opened.ok()
    });
    ErrorLog::to(file.map_or(Sink::Stderr, |file| Sink::File(Arc::new(file))), level)
}

/// Says what there is to say about a configuration: for people on a terminal, in nginx's lines elsewhere. Notes are ours,
/// so the log's own repetition on stderr leaves them out.
fn say(compiled: &Compiled, log: &ErrorLog, quiet: bool) {
    let terminal = terminal_of(&io::stderr());
    let logs_on_stderr = log.targets().any(|target| matches!(target.sink, Sink::Stderr));
    console::echo(terminal.is_none());
    if !(terminal.is_some() && logs_on_stderr) {
        process::say(compiled, log);
    }
    console::echo(true);
    let is_shown = |diagnostic: &&Diagnostic| match diagnostic.severity {
        Severity::Note => !quiet && (terminal.is_some() || !logs_on_stderr),
        _ => terminal.is_some(),
    };
    let shown: Vec<_> = compiled.diagnostics.iter().filter(is_shown).cloned().collect();
    let style = terminal.unwrap_or(report::Style::Plain);
    // Nobody to tell where stderr is gone.
    let _ = report::print(&mut io::stderr().lock(), &compiled.loaded.sources, &shown, style);
}

/// How to print on a terminal; none where it is not one.
fn terminal_of(stream: &(impl IsTerminal + AsFd)) -> Option<report::Style> {
    if !stream.is_terminal() {
        return None;
    }
    let width = rustix::termios::tcgetwinsize(stream).map_or(80, |size| usize::from(size.ws_col));
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Some(report::Style::Terminal { width: if width == 0 { 80 } else { width }, color })
}

fn test(args: &Args, call: &Call, say: process::Say<'_>) -> i32 {
    let name = call.setup.paths.conf.display();
    let loud = |message: std::fmt::Arguments<'_>| {
        if !args.quiet {
            console::say(message);
        }
    };
    let Ok(compiled) = process::test(call, say, || loud(format_args!("the configuration file {name} syntax is ok")))
    else {
        console::say(format_args!("configuration file {name} test failed"));
        return 1;
    };
    loud(format_args!("configuration file {name} test is successful"));
    if let Some(style) = terminal_of(&io::stderr()).filter(|_| !args.quiet && !args.dump) {
        doubt(&compiled, style);
    }
    if args.dump {
        // A reader that went away has read what it wanted.
        let _ = dump(&compiled);
    }
    0
}

/// Says on a terminal what is most likely not meant, behind the verdict and as notes: programs that read `-t` read nginx's
/// lines alone.
fn doubt(compiled: &Compiled, style: report::Style) {
    let mut found = lint(&compiled.loaded, &compiled.diagnostics);
    found.iter_mut().for_each(|one| one.severity = Severity::Note);
    // Nobody to tell where stderr is gone.
    let _ = report::print(&mut io::stderr().lock(), &compiled.loaded.sources, &found, style);
}

fn dump(compiled: &Compiled) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for source in compiled.loaded.sources.files() {
        writeln!(out, "# configuration file {}:", source.name)?;
        out.write_all(&source.text)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
