//! Makes a cycle of a tree: runs the directives, merges blocks, builds locations and servers, settles names.

use std::sync::Arc;

use crate::conf::{Ctx, NodeId, NodeKind, Resources};
use crate::diag::{Diagnostic, Severity, Span};
use crate::http::{Cycle, LimitExcept, Location, LocationId, LocationKind, LocationTree};
use crate::load::Loaded;
use crate::log::ErrorLog;
use crate::modules::{MODULES, core, error_log, http_core, syslog};
use crate::paths::Paths;
use crate::schema::Schema;

/// What came of a compilation.
pub struct Compiled {
    /// The cycle; `None` where there were errors, or nobody wanted it.
    pub cycle: Option<Arc<Cycle>>,
    /// Everything that was complained about.
    pub diagnostics: Vec<Diagnostic>,
    /// The directive of each block, by the number of its location.
    pub places: Vec<Span>,
}

/// Compiles a checked tree. `fallback` takes log lines where the configuration names no log.
pub fn compile(loaded: &Loaded, paths: &Paths, fallback: Arc<ErrorLog>, resources: &mut dyn Resources) -> Compiled {
    build(loaded, paths, fallback, resources, true)
}

/// Compiles a checked tree for what there is to complain about: each location is let go as soon as it is built, so that a long
/// configuration needs half the memory, and there is no cycle in the end.
pub fn verify(loaded: &Loaded, paths: &Paths, fallback: Arc<ErrorLog>, resources: &mut dyn Resources) -> Compiled {
    build(loaded, paths, fallback, resources, false)
}

fn build(
    loaded: &Loaded,
    paths: &Paths,
    fallback: Arc<ErrorLog>,
    resources: &mut dyn Resources,
    keeps: bool,
) -> Compiled {
    let mut ctx = Ctx::new(Schema::nginx(), MODULES, resources, paths);
    ctx.run(&loaded.root);
    ctx.merge();
    ctx.finish();
    let process = core::process_conf(&mut ctx);
    let main_log = ctx.conf_at::<error_log::Conf>(NodeId(0)).log().unwrap_or(fallback);
    main_log.keep_stderr(ctx.collected::<error_log::UsesStderr>().0);
    ctx.collected::<syslog::Syslogs>().0.iter().for_each(|syslog| syslog.complain_to(&main_log));
    let mut locations = Vec::with_capacity(if keeps { ctx.nodes().len() } else { 0 });
    for node in ctx.nodes() {
        let location = build_location(&mut ctx, node, &main_log);
        if keeps {
            locations.push(location);
        }
    }
    let servers = http_core::servers(&mut ctx).into_iter().map(|node| http_core::build_server(&ctx, node)).collect();
    let listens = http_core::build_listens(&mut ctx);
    if let Some(fault) = core::too_few_connections(&process, listens.len()) {
        ctx.complain(fault);
    }
    let places = ctx.nodes().map(|node| ctx.place(node)).collect();
    let settled = ctx.settle();
    let failed = !keeps || settled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let cycle = Cycle {
        process,
        listens,
        servers,
        locations,
        shows_heads: settled.variables.iter().any(|variable| variable.name.starts_with(b"sent_")),
        variables: settled.variables,
        variable_names: settled.variable_names,
        extensions: settled.extensions,
        error_log: main_log,
    };
    Compiled { cycle: (!failed).then(|| Arc::new(cycle)), diagnostics: settled.diagnostics, places }
}

/// Every block becomes a location of the same number; those outside of `http` stay empty.
fn build_location(ctx: &mut Ctx<'_>, node: NodeId, main_log: &Arc<ErrorLog>) -> Location {
    let (kind, name) = location_kind(ctx, node);
    let tree = match ctx.kind(node) {
        NodeKind::Server | NodeKind::Location(_) => http_core::location_tree(ctx, node),
        _ => LocationTree::default(),
    };
    let limit_except =
        http_core::limit_except(ctx, node).map(|(methods, node)| LimitExcept { methods, location: LocationId(node.0) });
    let log = ctx.conf_at::<error_log::Conf>(node).log().unwrap_or_else(|| main_log.clone());
    let core = http_core::resolve(ctx, node, log);
    let installed = ctx.install(node);
    Location {
        name,
        kind,
        core,
        tree,
        handlers: installed.handlers,
        content: installed.content,
        filters: installed.filters,
        loggers: installed.loggers,
        limit_except,
        extensions: installed.extensions,
    }
}

fn location_kind(ctx: &Ctx<'_>, node: NodeId) -> (LocationKind, bytes::Bytes) {
    match ctx.kind(node) {
        NodeKind::Location(name) => (name.kind, name.name.clone()),
        NodeKind::Server => (LocationKind::Server, bytes::Bytes::new()),
        NodeKind::ServerIf | NodeKind::LocationIf => (LocationKind::If, name_around(ctx, node)),
        NodeKind::LimitExcept => (LocationKind::LimitExcept, name_around(ctx, node)),
        _ => (LocationKind::Http, bytes::Bytes::new()),
    }
}

fn name_around(ctx: &Ctx<'_>, node: NodeId) -> bytes::Bytes {
    ctx.parent(node).map(|parent| location_kind(ctx, parent).1).unwrap_or_default()
}
