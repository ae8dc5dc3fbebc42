//! Tree against schema: names, places, blocks, arguments, duplicates, types. Every independent fault is reported, in nginx's
//! sentences and in nginx's order for each directive.

mod advice;
mod count;
mod habit;
mod name;
mod rule;
mod scope;
mod table;
mod value;

pub use habit::reconsider;
pub(crate) use habit::{is_foreign, is_typographic, joins_lines, lost_semicolon, translations};
pub(crate) use name::REMOVED;

use std::collections::HashSet;

use crate::{
    diag::{Diagnostic, Span},
    load::{Loaded, Sources},
    schema::{Context, DirectiveSpec, Schema},
    syntax::{Block, Directive},
};
use scope::Scope;

/// What a check found fit to compile.
#[derive(Debug, Default)]
pub struct Checked {
    /// The names of the directives that an error was reported of.
    refused: HashSet<Span>,
}

impl Checked {
    /// Whether no error was reported of this directive itself; its block may hold others.
    pub fn accepts(&self, directive: &Directive) -> bool {
        !self.refused.contains(&directive.name.span)
    }

    /// Whether no error was reported of any directive.
    pub fn accepts_all(&self) -> bool {
        self.refused.is_empty()
    }

    /// Takes out of a tree what errors were reported of, so that nothing is said twice about it.
    pub fn prune(&self, directives: &mut Vec<Directive>) {
        directives.retain(|directive| self.accepts(directive));
        for block in directives.iter_mut().filter_map(|directive| directive.block.as_mut()) {
            let before = block.directives.len();
            self.prune(&mut block.directives);
            block.pruned |= block.directives.len() < before;
        }
    }
}

/// Checks a configuration. `runs` says whether some module runs a directive; others are errors, except those that the table
/// marks as without effect. What is found is added to `out`, not sorted.
pub fn check(
    loaded: &Loaded,
    schema: &'static Schema,
    runs: &dyn Fn(&DirectiveSpec) -> bool,
    out: &mut Vec<Diagnostic>,
) -> Checked {
    let checked = check_in(loaded, schema, Context::MAIN, runs, out);
    // Behind a byte order mark the name is not the same, and that has been said.
    if !loaded.root.iter().any(|directive| directive.name.value.ends_with(b"events")) {
        out.push(no_events(loaded.sources.main()));
    }
    checked
}

/// Checks directives as if they stood in a block of this kind: for files that are part of a configuration.
pub fn check_in(
    loaded: &Loaded,
    schema: &'static Schema,
    context: Context,
    runs: &dyn Fn(&DirectiveSpec) -> bool,
    out: &mut Vec<Diagnostic>,
) -> Checked {
    let sources = &loaded.sources;
    let (checked, not_run) = (Checked::default(), Vec::new());
    let mut checker = Checker { schema, sources, runs, out, checked, not_run };
    checker.block(&loaded.root, Place { context, opened_by: None, is_run: true });
    let Checker { checked, not_run, .. } = checker;
    out.extend(not_run.into_iter().map(|(_, fault)| fault));
    checked
}

/// nginx says this only when it has read everything, and names no line.
fn no_events(main: Option<Span>) -> Diagnostic {
    let fault = Diagnostic::error("missing-section", "no \"events\" section in configuration");
    let fault = fault.help("put `events { }` at the top of this file");
    match main {
        Some(main) => fault.at(main).after_reading(),
        None => fault,
    }
}

/// Where directives stand.
#[derive(Clone, Copy)]
struct Place<'a> {
    context: Context,
    /// The directive whose block it is.
    opened_by: Option<&'a Directive>,
    /// Whether the blocks around are run at all: if not, that has been said of them.
    is_run: bool,
}

struct Checker<'a> {
    schema: &'static Schema,
    sources: &'a Sources,
    runs: &'a dyn Fn(&DirectiveSpec) -> bool,
    out: &'a mut Vec<Diagnostic>,
    checked: Checked,
    /// The directives that are not run, by name.
    not_run: Vec<(&'static str, Diagnostic)>,
}

impl Checker<'_> {
    fn block(&mut self, directives: &[Directive], place: Place<'_>) {
        let mut scope = Scope::default();
        if place.context.is_table() {
            table::check(place.context, directives, self.out);
            return;
        }
        for directive in directives {
            match self.schema.find(&directive.name.value, place.context) {
                Some(spec) => self.known(directive, spec, place, &mut scope),
                None => self.stranger(directive, place),
            }
        }
    }

    /// A directive that may stand here.
    fn known(&mut self, directive: &Directive, spec: &'static DirectiveSpec, place: Place<'_>, scope: &mut Scope) {
        let fault = count::shape(self.sources, directive, spec, place.context)
            .or_else(|| count::arguments(self, directive, spec, place.context));
        if let Some(fault) = fault {
            self.refuse(directive, fault);
        } else if !count::is_cut(directive, spec) {
            self.set(directive, spec, scope);
        } else if directive.block.is_none() || !spec.arity.takes(directive.args.len()) {
            // What is wrong with it has been said; a module would miss what is not there.
            self.checked.refused.insert(directive.name.span);
        }
        let is_run = self.is_run(directive, spec, place);
        if let (Some(opens), Some(block)) = (spec.opens, &directive.block) {
            let context = opens.within(place.context);
            self.block(&block.directives, Place { context, opened_by: Some(directive), is_run });
        }
    }

    /// What nginx's setter does: refuse a duplicate, read the value, and look at it once more.
    fn set(&mut self, directive: &Directive, spec: &'static DirectiveSpec, scope: &mut Scope) {
        let mut warnings = Vec::new();
        let set = scope
            .enter(directive, spec)
            .and_then(|()| value::check(directive, spec, scope, &mut warnings))
            .and_then(|()| rule::check(directive, spec, &mut warnings));
        self.out.append(&mut warnings);
        if let Err(fault) = set {
            self.refuse(directive, *fault);
        }
    }

    /// A name that nginx does not know, or knows elsewhere. What its block would be is guessed.
    fn stranger(&mut self, directive: &Directive, place: Place<'_>) {
        let (fault, meant) = name::refuse(self, directive, place);
        self.refuse(directive, fault);
        if let (None, Some(block)) = (meant, &directive.block) {
            self.forget(block);
        }
        let opens = meant.and_then(|spec| Some((spec, spec.opens?)));
        if let (Some((spec, opens)), Some(block)) = (opens, &directive.block) {
            let around = if spec.contexts.intersects(place.context) { place.context } else { spec.contexts };
            let context = opens.within(around);
            let is_run = place.is_run && (self.runs)(spec);
            self.block(&block.directives, Place { context, opened_by: Some(directive), is_run });
        }
    }

    /// Whether a directive is run; if not, that is said once for each name.
    fn is_run(&mut self, directive: &Directive, spec: &'static DirectiveSpec, place: Place<'_>) -> bool {
        let needs_running = !spec.no_effect && !spec.obsolete && spec.name != "include";
        if !needs_running || (self.runs)(spec) {
            return place.is_run;
        }
        self.checked.refused.insert(directive.name.span);
        if !place.is_run {
            return false;
        }
        match self.not_run.iter_mut().find(|(name, _)| *name == spec.name) {
            Some((_, fault)) => fault.related.push((directive.name.span, "here too".into())),
            None => self.not_run.push((spec.name, name::not_run(directive, spec))),
        }
        false
    }

    /// What stands in a block of nobody knows what may be of another language: nothing that was said of it matters.
    fn forget(&mut self, block: &Block) {
        let holds =
            |span: Span| span.file == block.open.file && (block.open.end..=block.close.start).contains(&span.start);
        self.out.retain(|said| !said.at.is_some_and(holds));
    }

    fn refuse(&mut self, directive: &Directive, fault: Diagnostic) {
        self.checked.refused.insert(directive.name.span);
        let read = directive.brace().map_or(directive.end, |(_, brace)| brace);
        self.out.push(fault.nginx_at(read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, runs: &dyn Fn(&DirectiveSpec) -> bool) -> (Loaded, Checked, Vec<Diagnostic>) {
        let (loaded, mut found) = Loaded::from_text("/n.conf", text);
        let checked = check(&loaded, Schema::nginx(), runs, &mut found);
        (loaded, checked, found)
    }

    #[test]
    fn what_was_refused_is_pruned() {
        let text = "events { } http { gzip on; gzip off; bogus; server { listen 80; sendfile maybe; root /a; } }";
        let (mut loaded, checked, found) = checked(text, &|_| true);
        assert_eq!(found.len(), 3);
        checked.prune(&mut loaded.root);
        let http = loaded.root[1].children();
        let names =
            |directives: &[Directive]| directives.iter().map(|one| one.name.text().into()).collect::<Vec<String>>();
        assert_eq!(
            (names(http), names(http[1].children())),
            (vec!["gzip".into(), "server".into()], vec!["listen".into(), "root".into()])
        );
    }

    #[test]
    fn what_is_not_run_is_said_once_for_each_name() {
        let text = "events { multi_accept on; } http { server { gzip on; } server { gzip off; } }\nstream { server { listen 1; } }";
        let (_, _, found) = checked(text, &|spec| !matches!(spec.module, "http_gzip" | "stream"));
        let said: Vec<_> = found.iter().map(|one| (one.message.as_str(), one.related.len())).collect();
        let not_run = |name| format!("\"{name}\" directive is known to nginx, not run by rnginx yet");
        assert_eq!(said, [(not_run("gzip").as_str(), 1), (not_run("stream").as_str(), 0)]);
    }

    #[test]
    fn parts_of_a_configuration_are_checked_in_their_place() {
        let (loaded, _) = Loaded::from_text("/n.conf", "listen 80; location / { }");
        let mut found = Vec::new();
        let loaded = Loaded {
            root: loaded.root.last().expect("http").children().last().expect("server").children().to_vec(),
            ..loaded
        };
        check_in(&loaded, Schema::nginx(), Context::SERVER, &|_| true, &mut found);
        assert_eq!(found, vec![]);
        check_in(&loaded, Schema::nginx(), Context::LOCATION, &|_| true, &mut found);
        assert_eq!(found.len(), 1);
    }
}
