//! Files that were not read: what a rule misses may stand in one of them.

use super::View;
use crate::{
    diag::{Diagnostic, Span},
    load::Sources,
};

/// Rules that find fault with what is not there.
const ABSENCE: [&str; 18] = [
    "add-header-redefinition",
    "allow-without-deny",
    "django-without-host",
    "dotfiles-exposed",
    "forwarded-for-missing",
    "gzip-not-enabled",
    "hsts-header",
    "map-without-default",
    "missing-error-log",
    "missing-resolver",
    "missing-worker-processes",
    "php-exec-uploads",
    "proxy-keepalive",
    "proxy-missing-host",
    "proxy-set-header-redefinition",
    "status-page-exposed",
    "upload-limit",
    "websocket-headers",
];

/// Files that are known by their names to hold nothing that these rules look for.
const HARMLESS: [&str; 4] = ["mime.types\"", "fastcgi_params\"", "uwsgi_params\"", "scgi_params\""];

/// Takes out what an `include` that could not be read may hold, in the block where it stands and all inside it.
pub(super) fn leave_out(view: &View<'_>, said: &[Diagnostic], found: &mut Vec<Diagnostic>) {
    let is_unread =
        |one: &&Diagnostic| one.code == "missing-include" && !HARMLESS.iter().any(|name| one.message.contains(name));
    let unread: Vec<_> = said.iter().filter(is_unread).filter_map(|one| Some(around(view, one.at?))).collect();
    if unread.is_empty() {
        return;
    }
    found.retain(|one| {
        let may_be_elsewhere = || one.at.is_some_and(|at| unread.iter().any(|place| place.holds(view.sources, at)));
        !ABSENCE.contains(&one.code) || !may_be_elsewhere()
    });
}

/// A block, by its braces; none for the whole configuration.
struct Place(Option<(Span, Span)>);

impl Place {
    fn holds(&self, sources: &Sources, at: Span) -> bool {
        let Self(Some((open, close))) = self else { return true };
        // What an included file holds stands where it is included.
        std::iter::successors(Some(at), |at| sources.get(at.file).included_at)
            .any(|at| at.file == open.file && (open.start..close.end).contains(&at.start))
    }
}

/// The innermost block around a place.
fn around(view: &View<'_>, at: Span) -> Place {
    let blocks = view.blocks(crate::schema::Context::ANY).filter_map(|block| {
        let block = block.directive()?.block.as_ref()?;
        Some(Place(Some((block.open, block.close))))
    });
    let holding = blocks.filter(|place| place.holds(view.sources, at));
    // Inner blocks come after those around them.
    holding.last().unwrap_or(Place(None))
}
