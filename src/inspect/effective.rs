//! What is in force in a block: its own directives, and those of the blocks around it that it has not set itself.

use std::collections::HashMap;

use super::Inspection;
use crate::{
    diag::Span,
    schema::{Context, DirectiveSpec, Schema},
    syntax::Directive,
};

/// Directives that are of one block and of no block in it.
const OWN: &[&str] = &[
    "listen",
    "server_name",
    "server",
    "location",
    "if",
    "set",
    "rewrite",
    "return",
    "break",
    "try_files",
    "limit_except",
    "include",
    "empty_gif",
    "stub_status",
    "flv",
    "mp4",
    "perl",
];

/// Directives that answer requests of their location, and of the `if` and `limit_except` blocks in it.
const PASSES: &[&str] =
    &["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "tunnel_pass"];

/// Directives that stand for one another: where one is set, none of the others is inherited.
const FAMILIES: &[&[&str]] = &[&["allow", "deny"], &["root", "alias"], PASSES];

/// One directive in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InForce<'a> {
    /// As it was written.
    pub(crate) directive: &'a Directive,
    /// Its row; none for a name that nginx does not know.
    pub(crate) spec: Option<&'static DirectiveSpec>,
    /// Whether it was written in a block around.
    pub(crate) inherited: bool,
}

/// A block, with the blocks around it.
#[derive(Clone, Debug)]
pub(crate) struct Nest<'a> {
    /// The directives that open the blocks, the outermost first.
    pub(crate) path: Vec<&'a Directive>,
    /// What stands in each of them; the first is outside of all blocks.
    contexts: Vec<Context>,
    root: &'a [Directive],
}

/// Every block of directives, by the name of its directive; the outer ones first.
pub(crate) struct Nests<'a> {
    all: Vec<Nest<'a>>,
    by_place: HashMap<Span, usize>,
}

impl<'a> Nests<'a> {
    pub(crate) fn new(look: &'a Inspection) -> Self {
        let mut nests = Self { all: Vec::new(), by_place: HashMap::new() };
        let root = &look.loaded.root[..];
        nests.add(Nest { path: Vec::new(), contexts: vec![Context::MAIN], root });
        nests
    }

    fn add(&mut self, nest: Nest<'a>) {
        let inside: Vec<_> = nest.own().iter().filter_map(|directive| nest.within(directive)).collect();
        if let Some(opener) = nest.path.last() {
            self.by_place.entry(opener.name.span).or_insert(self.all.len());
        }
        self.all.push(nest);
        inside.into_iter().for_each(|nest| self.add(nest));
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Nest<'a>] {
        &self.all
    }

    /// The block of the directive whose name stands there.
    pub(crate) fn at(&self, place: Span) -> Option<&Nest<'a>> {
        self.by_place.get(&place).map(|index| &self.all[*index])
    }
}

impl<'a> Nest<'a> {
    /// What stands in it.
    pub(crate) fn own(&self) -> &'a [Directive] {
        self.path.last().map_or(self.root, |opener| opener.children())
    }

    /// What kind of block it is.
    pub(crate) fn context(&self) -> Context {
        self.contexts.last().copied().unwrap_or(Context::MAIN)
    }

    /// The block that one of its directives opens, unless that is a table.
    fn within(&self, directive: &'a Directive) -> Option<Self> {
        let opens = Schema::nginx().find(&directive.name.value, self.context())?.opens?;
        let context = opens.within(self.context());
        if directive.block.is_none() || context.is_table() {
            return None;
        }
        let mut nest = self.clone();
        nest.path.push(directive);
        nest.contexts.push(context);
        Some(nest)
    }

    /// What stands in the block so many levels out; 0 is this one.
    fn level(&self, out: usize) -> (&'a [Directive], Context) {
        let depth = self.path.len() - out;
        let directives = if depth == 0 { self.root } else { self.path[depth - 1].children() };
        (directives, self.contexts[depth])
    }

    /// Its own directives in the order written, then those it inherits, the nearest first.
    pub(crate) fn in_force(&self) -> Vec<InForce<'a>> {
        let (mut found, mut set) = (Vec::new(), Vec::new());
        for out in 0..=self.path.len() {
            let (directives, context) = self.level(out);
            let mut here = Vec::new();
            for directive in directives {
                let spec = Schema::nginx().find(&directive.name.value, context);
                if out == 0 {
                    found.push(InForce { directive, spec, inherited: false });
                } else if let Some(spec) = spec.filter(|spec| self.inherits(spec) && !set.contains(&family(spec))) {
                    found.push(InForce { directive, spec: Some(spec), inherited: true });
                }
                here.extend(spec.map(family));
            }
            set.extend(here);
        }
        found
    }

    /// Directives of a name in the blocks around that are not in force here, each with the one that put it out of force.
    pub(crate) fn lost(&self, name: &str) -> Vec<(&'a Directive, &'a Directive)> {
        let (mut found, mut nearest) = (Vec::new(), None);
        for out in 0..=self.path.len() {
            let named = || self.level(out).0.iter().filter(|one| *one.name.value == *name.as_bytes());
            match nearest {
                Some(by) => found.extend(named().map(|lost| (lost, by))),
                None => nearest = named().next(),
            }
        }
        found
    }

    fn inherits(&self, spec: &DirectiveSpec) -> bool {
        let opens_table = spec.opens.is_none() || spec.name == "types";
        // Those are locations without a name: whatever holds in the location holds in them, be it written there or not.
        let is_nameless = self.context().intersects(Context::LOCATION_IF | Context::LIMIT_EXCEPT);
        let context = if is_nameless { self.context() | Context::LOCATION } else { self.context() };
        let holds = if PASSES.contains(&spec.name) { is_nameless } else { !OWN.contains(&spec.name) };
        opens_table && holds && spec.contexts.intersects(context)
    }
}

/// The name that all directives of a family share.
fn family(spec: &DirectiveSpec) -> &'static str {
    FAMILIES.iter().find(|names| names.contains(&spec.name)).map_or(spec.slot, |names| names[0])
}

/// A directive as it was written, on one line and without its block.
pub(crate) fn words(look: &Inspection, directive: &Directive) -> String {
    let text = |span| String::from_utf8_lossy(look.loaded.sources.text(span)).into_owned();
    let words = std::iter::once(&directive.name).chain(&directive.args).map(|word| text(word.span));
    words.collect::<Vec<_>>().join(" ")
}
