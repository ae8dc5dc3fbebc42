//! One look at a configuration without running it: read, checked and compiled as `rnginx check` does, by a program or an
//! editor.

mod context;
mod diff;
mod dump;
mod effective;
mod explain;
mod model;
mod repair;
mod resources;
mod settle;
mod system;

pub use context::infer;
pub use diff::{Change, diff};
pub use dump::{Line, dump};
pub(crate) use effective::words;
pub use explain::{ExplainError, Explanation, Lost, Outcome, Question, Reason, Step, explain};
pub use repair::{Repaired, repair};
pub use system::{FINDINGS, Finding, finding, machine};

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    check::{check, reconsider, translations},
    cycle::{compile, verify},
    diag::{Diagnostic, FileId, Severity, Span},
    http::Cycle,
    lint::{Allows, lint},
    load::{self, Files, Form, Loaded, Supply, load},
    log::{ErrorLog, Level},
    modules::runs,
    paths::{Given, Layout, Paths},
    schema::{Context, Schema},
};
use resources::{Nearby, Nothing};

/// How many folders up the main file may be: `/etc/nginx/apps/shop/locations.conf`.
const HOME_IS_ABOVE: usize = 3;

/// How to look.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The file's whole path.
    pub path: String,
    /// The block that the file stands in; inferred where it is not said.
    pub context: Option<Context>,
    /// Whether files beyond the main file's folder, host names and users are left alone; what depends on them is a note.
    pub offline: bool,
    /// Whether what does not run here is an error, as under `-t`. A check asks whether nginx would take the file.
    pub to_run: bool,
    /// Whether the rules are left out: for who wants to know what a configuration means, and not what is doubtful in it.
    pub without_rules: bool,
    /// Whether what would run is let go, which halves the memory: [`explain()`] and [`machine()`] ask it.
    pub without_cycle: bool,
}

impl Options {
    /// The file with this path, everything else as usual.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

/// What was seen.
pub struct Inspection {
    /// The texts, and the whole tree as it was written.
    pub loaded: Loaded,
    /// The block that the file stands in.
    pub context: Context,
    /// Everything there is to say, in the order in which nginx would meet it.
    pub diagnostics: Vec<Diagnostic>,
    /// What would run, where enough of it is fine and it was not let go.
    pub(crate) cycle: Option<Arc<Cycle>>,
    /// The directive of each block, by the number of its location in the cycle.
    pub(crate) places: Vec<Span>,
    /// Where relative names stand.
    pub(crate) paths: Paths,
}

impl Inspection {
    /// Whether nginx would refuse the file.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|said| said.severity == Severity::Error)
    }
}

/// Looks at a configuration: a whole one, or a file that is a part of one. Nothing is written, opened to write, or bound.
pub fn inspect(files: &dyn Files, options: &Options) -> Inspection {
    let path = &options.path;
    let nearby = Nearby::new(files, path, None, options.offline);
    let said = options.context.or_else(|| context::said(&nearby.main()));
    // Most are whole configurations, and those are read once.
    let whole = said.is_none().then(|| load(&nearby, Schema::nginx(), &loading(path, None, Form::Full)));
    let whole = whole.filter(|(loaded, _)| context::is_whole(Schema::nginx(), path, &loaded.root));
    if let Some(whole) = whole {
        return look_at(whole, (&nearby, options), None, paths(path, None));
    }
    let home = home(files, Path::new(path));
    let as_part = Nearby::new(files, path, home.as_deref(), options.offline);
    let context = said.or_else(|| context_of(&as_part, path, home.as_deref()));
    let form = context.map_or(Form::Full, form);
    let (home, nearby) = if form == Form::Full { (None, nearby) } else { (home, as_part) };
    let read = load(&nearby, Schema::nginx(), &loading(path, home.as_deref(), form));
    look_at(read, (&nearby, options), context, paths(path, home.as_deref()))
}

/// Looks at what was read: the files in sight, and how.
fn look_at(
    (mut loaded, mut diagnostics): (Loaded, Vec<Diagnostic>),
    (nearby, options): (&Nearby<'_>, &Options),
    context: Option<Context>,
    paths: Paths,
) -> Inspection {
    let form = context.map_or(Form::Full, form);
    let context = context.unwrap_or(Context::MAIN);
    if loaded.sources.files().next().is_none() {
        return Inspection { loaded, context, diagnostics, cycle: None, places: Vec::new(), paths };
    }
    let checked = check(&loaded, Schema::nginx(), &runs, &mut diagnostics);
    let written = (!checked.accepts_all()).then(|| loaded.root.clone());
    if written.is_some() {
        checked.prune(&mut loaded.root);
    }
    let mut resources = Nothing::new(nearby, options.offline);
    let log = Arc::new(ErrorLog::to(crate::log::Sink::Stderr, Level::Emerg));
    let compile = if options.without_cycle { verify } else { compile };
    let compiled = compile(&loaded, &paths, log, &mut resources);
    let hosts = resources.hosts;
    loaded.root = written.unwrap_or(loaded.root);
    diagnostics.extend(compiled.diagnostics);
    reconsider(&loaded, &mut diagnostics);
    settle::settle(&loaded, options, form, &hosts, &mut diagnostics);
    let mut doubts = if options.without_rules { Vec::new() } else { lint(&loaded, &diagnostics) };
    let foreign = translations(&loaded, &diagnostics);
    doubts.retain(|said| !said.at.is_some_and(|at| foreign.iter().any(|whole| whole.holds(at))));
    Allows::read(&loaded).silence(&mut diagnostics);
    diagnostics.extend(doubts);
    loaded.sources.sort(&mut diagnostics);
    Inspection { loaded, context, diagnostics, cycle: compiled.cycle, places: compiled.places, paths }
}

/// How to load a file: nothing is said about where logs and the pid file stand.
fn loading(path: &str, home: Option<&Path>, form: Form) -> load::Options {
    let folder = home.map(|home| format!("{}/", home.display()));
    let supply = Supply { pid: None, error_log: None, access_log: None };
    load::Options { path: path.into(), folder, parameter: None, form: Some(form), supply }
}

/// The folder that relative names in a part of a configuration stand under: where the `nginx.conf` is that includes it, a
/// few folders up at most. None where there is none but the file's own.
fn home(files: &dyn Files, path: &Path) -> Option<PathBuf> {
    let own = path.parent()?;
    let has_main = |folder: &&Path| files.exists(&folder.join("nginx.conf"));
    if path.file_name() == Some(OsStr::new("nginx.conf")) || has_main(&own) {
        return None;
    }
    let home = own.ancestors().skip(1).take(HOME_IS_ABOVE).find(has_main)?;
    Some(if home.as_os_str().is_empty() { ".".into() } else { home.to_owned() })
}

/// The block that a file stands in: by what it holds, or by what the files hold that it includes.
fn context_of(nearby: &Nearby<'_>, path: &str, home: Option<&Path>) -> Option<Context> {
    let (tree, _) = crate::syntax::parse(FileId::default(), &nearby.main());
    let only_includes = !tree.is_empty() && tree.iter().all(|one| &*one.name.value == b"include");
    if !only_includes {
        return context::of(Schema::nginx(), path, &tree);
    }
    let whole = load(nearby, Schema::nginx(), &loading(path, home, Form::Full)).0.root;
    context::of(Schema::nginx(), path, &whole)
}

/// What is put around a file that stands in a block of this kind.
fn form(context: Context) -> Form {
    match context {
        Context::MAIN => Form::Full,
        Context::HTTP => Form::Site,
        Context::SERVER => Form::Fragment,
        part => Form::Part(part),
    }
}

/// Whole paths, as those of a server are: what handlers make of relative ones would stand under the folder twice.
fn paths(path: &str, home: Option<&Path>) -> Paths {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (conf, home) = (whole(Path::new(path)), home.map(whole));
    let folder = home.as_deref().or(conf.parent()).unwrap_or(Path::new("/"));
    let given = Given { prefix: Some(folder.as_os_str()), conf: Some(conf.as_os_str()), error_log: None };
    let paths = Paths::new(Layout::SOURCE, given);
    Paths { layout: Layout::chosen(), conf_prefix: paths.prefix.clone(), ..paths }
}
