//! One look at a configuration without running it: read, checked and compiled as `rnginx check` does, by a program or an
//! editor.

mod context;
mod diff;
mod dump;
mod effective;
mod explain;
mod model;
mod resources;
mod settle;
mod system;

pub use context::infer;
pub use diff::{Change, diff};
pub use dump::{Line, dump};
pub(crate) use effective::words;
pub use explain::{ExplainError, Explanation, Lost, Outcome, Question, Reason, Step, explain};
pub use system::machine;

use std::{ffi::OsStr, path::Path, sync::Arc};

use crate::{
    check::{check, reconsider},
    cycle::compile,
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
    /// What would run, where enough of it is fine.
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
    let nearby = Nearby::new(files, &options.path, options.offline);
    let read = |form| load(&nearby, Schema::nginx(), &loading(&options.path, form));
    let said = options.context.or_else(|| context::said(&nearby.main()));
    // Most are whole configurations, and those are read once.
    let whole = said.is_none().then(|| read(Form::Full));
    let whole = whole.filter(|(loaded, _)| context::is_whole(Schema::nginx(), &loaded.root));
    let context = if whole.is_some() { None } else { said.or_else(|| context_of(&nearby, &options.path)) };
    let form = context.map_or(Form::Full, form);
    let (mut loaded, mut diagnostics) = whole.unwrap_or_else(|| read(form));
    let paths = paths(&options.path);
    let context = context.unwrap_or(Context::MAIN);
    if loaded.sources.files().next().is_none() {
        return Inspection { loaded, context, diagnostics, cycle: None, places: Vec::new(), paths };
    }
    let checked = check(&loaded, Schema::nginx(), &runs, &mut diagnostics);
    let written = (!checked.accepts_all()).then(|| loaded.root.clone());
    checked.prune(&mut loaded.root);
    let mut resources = Nothing::new(&nearby, options.offline);
    let log = Arc::new(ErrorLog::to(crate::log::Sink::Stderr, Level::Emerg));
    let compiled = compile(&loaded, &paths, log, &mut resources);
    let hosts = resources.hosts;
    loaded.root = written.unwrap_or(loaded.root);
    diagnostics.extend(compiled.diagnostics);
    reconsider(&loaded, &mut diagnostics);
    settle::settle(&loaded, options, form, &hosts, &mut diagnostics);
    let doubts = lint(&loaded, &diagnostics);
    Allows::read(&loaded).silence(&mut diagnostics);
    diagnostics.extend(doubts);
    loaded.sources.sort(&mut diagnostics);
    Inspection { loaded, context, diagnostics, cycle: compiled.cycle, places: compiled.places, paths }
}

/// How to load a file: nothing is said about where logs and the pid file stand.
fn loading(path: &str, form: Form) -> load::Options {
    let supply = Supply { pid: None, error_log: None, access_log: None };
    load::Options { path: path.into(), parameter: None, form: Some(form), supply }
}

/// The block that a file stands in: by what it holds, or by what the files hold that it includes.
fn context_of(nearby: &Nearby<'_>, path: &str) -> Option<Context> {
    let (tree, _) = crate::syntax::parse(FileId::default(), &nearby.main());
    let only_includes = !tree.is_empty() && tree.iter().all(|one| &*one.name.value == b"include");
    if !only_includes {
        return context::of(Schema::nginx(), &tree);
    }
    let whole = load(nearby, Schema::nginx(), &loading(path, Form::Full)).0.root;
    context::of(Schema::nginx(), &whole)
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

fn paths(path: &str) -> Paths {
    let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
    let given = Given { prefix: Some(folder.as_os_str()), conf: Some(OsStr::new(path)), error_log: None };
    Paths { layout: Layout::chosen(), ..Paths::new(Layout::SOURCE, given) }
}
