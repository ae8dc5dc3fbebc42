//! Names: unknown ones, and known ones in the wrong place.

use super::{Checker, Place, habit};
use crate::{
    diag::{Diagnostic, Fix, closest},
    load::NOT_RUN,
    schema::{Context, DirectiveSpec, Presence, Version},
    syntax::Directive,
};

/// Says why a directive cannot stand here, and what it most likely is.
pub(super) fn refuse(
    checker: &Checker<'_>,
    directive: &Directive,
    place: Place<'_>,
) -> (Diagnostic, Option<&'static DirectiveSpec>) {
    let name = &directive.name.value;
    let mut here = checker.schema.named(name).filter(|spec| spec.presence == Presence::Here).peekable();
    match here.peek().copied() {
        Some(first) => {
            let contexts = here.fold(Context::NONE, |all, spec| all | spec.contexts);
            (misplaced(directive, contexts, place), Some(first))
        }
        None => unknown(checker, directive, place.context),
    }
}

/// `"x" directive is not allowed here`
fn misplaced(directive: &Directive, contexts: Context, place: Place<'_>) -> Diagnostic {
    let message = format!("\"{}\" directive is not allowed here", directive.name.text());
    let fault = Diagnostic::error("misplaced-directive", message)
        .at(directive.name.span)
        .label(format!("not allowed in this block: {}", place.context))
        .help(format!("it may stand in: {}", contexts.near(place.context)));
    match place.opened_by.filter(|around| around.name.value == directive.name.value) {
        Some(around) => fault.related(around.span(), "is the `}` of this block missing?"),
        None => fault,
    }
}

/// `unknown directive "x"`
fn unknown(
    checker: &Checker<'_>,
    directive: &Directive,
    context: Context,
) -> (Diagnostic, Option<&'static DirectiveSpec>) {
    let name = directive.name.text();
    let fault = Diagnostic::error("unknown-directive", format!("unknown directive \"{name}\"")).at(directive.name.span);
    let other = checker.schema.named(&directive.name.value).next();
    if let Some(spec) = other {
        return (elsewhere(fault, spec), Some(spec));
    }
    if let Some(habit) = habit::name(checker.sources, directive) {
        return (habit.tell(fault), None);
    }
    if let Some(who) = checker.schema.third_party(&directive.name.value) {
        let fault = fault.label(format!("this belongs to {who}, which is not part of nginx"));
        return (
            fault.help("rnginx does not run it; take it out, or run this configuration with an nginx that has it"),
            None,
        );
    }
    let meant = meant(checker, &name, context);
    let fault = match meant {
        Some(spec) => fault.fix(respell(directive, &name, spec)),
        None => fault,
    };
    let fault = match meant {
        Some(spec) if spec.contexts.intersects(context) => fault.help(format!("did you mean `{}`?", spec.name)),
        Some(spec) => {
            let contexts = spec.contexts.near(context);
            fault.help(format!("did you mean `{}`? It may stand in: {contexts}", spec.name))
        }
        None => fault.label("nginx has no such directive"),
    };
    (fault, meant)
}

/// A wrong case is surely a slip; other letters may be meant for something else.
fn respell(directive: &Directive, name: &str, spec: &DirectiveSpec) -> Fix {
    let title = format!("write `{}`", spec.name);
    let fix = if name.eq_ignore_ascii_case(spec.name) { Fix::sure(title) } else { Fix::likely(title) };
    fix.replace(directive.name.span, spec.name)
}

/// The nearest name among those that may stand here, then among all.
fn meant(checker: &Checker<'_>, name: &str, context: Context) -> Option<&'static DirectiveSpec> {
    let schema = checker.schema;
    let near_here = closest(name, schema.within(context).map(|spec| spec.name));
    let near = near_here.or_else(|| closest(name, schema.within(Context::ANY).map(|spec| spec.name)))?;
    schema.find(near.as_bytes(), context).or_else(|| schema.find(near.as_bytes(), Context::ANY))
}

/// Another nginx has it.
fn elsewhere(fault: Diagnostic, spec: &DirectiveSpec) -> Diagnostic {
    let fault = match spec.presence {
        Presence::Later(Some(version)) => fault.label(format!("added in nginx {version}; this is nginx 1.28")),
        Presence::Later(None) => fault.label("added in a version after nginx 1.28"),
        Presence::Removed(version) => {
            let fault = fault.label(format!("removed in nginx {version}"));
            if version > STILL_IN_USE { Diagnostic { code: REMOVED, ..fault } } else { fault }
        }
        Presence::NotLinux => fault.label("nginx has it on other systems only"),
        Presence::Here => fault,
    };
    match spec.instead {
        Some(instead) => fault.help(format!("write `{instead}` instead")),
        None => fault,
    }
}

/// The code of a directive that nginx had not long ago.
pub(crate) const REMOVED: &str = "removed-directive";

/// The oldest nginx that a distribution still cares for, Debian 12's.
const STILL_IN_USE: Version = Version(1, 22, 1);

/// Ours: nginx would run it.
pub(super) fn not_run(directive: &Directive, spec: &DirectiveSpec) -> Diagnostic {
    let message = format!("\"{}\" directive is known to nginx, not run by rnginx yet", spec.name);
    Diagnostic::error(NOT_RUN, message)
        .at(directive.name.span)
        .nginx_at(directive.end)
        .label(format!("from nginx's {} module", spec.module))
        .help(format!("take it out, or run this configuration with nginx; {}", spec.documentation()))
}
