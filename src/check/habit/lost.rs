//! What is missing only because the directive that names it has a fault of its own.

use super::again::around;
use crate::{
    diag::{Diagnostic, Severity, Span},
    load::Loaded,
    schema::Context,
};

/// Takes away complaints about a missing certificate where the server's own `ssl_certificate` is at fault.
pub(super) fn leave_lost(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let of = |said: &Diagnostic| (said.code == "no-certificate").then_some(said.nginx_at).flatten();
    let servers: Vec<Span> = diagnostics.iter().filter_map(of).collect();
    for server in servers {
        let Some(found) = around(&loaded.root, Context::MAIN, server) else { continue };
        let Some(block) = &found.directive.block else { continue };
        let inside = Span { end: block.close.end, ..block.open };
        let is_named = |said: &Diagnostic| {
            said.severity == Severity::Error
                && said.at.is_some_and(|at| inside.holds(at))
                && said.code != "no-certificate"
                && names_certificate(loaded, said)
        };
        if diagnostics.iter().any(is_named) {
            diagnostics.retain(|said| of(said) != Some(server));
        }
    }
}

/// Whether the directive at fault, or what it was meant to be, names a certificate.
fn names_certificate(loaded: &Loaded, said: &Diagnostic) -> bool {
    const NAME: &str = "ssl_certificate";
    let found = said.at.and_then(|at| around(&loaded.root, Context::MAIN, at));
    let words = found.iter().flat_map(|found| std::iter::once(&found.directive.name).chain(&found.directive.args));
    let is_name = |word: &[u8]| word.starts_with(NAME.as_bytes());
    words.into_iter().any(|word| is_name(&word.value))
        || said.help.as_ref().is_some_and(|help| help.contains(NAME))
        || said.fix.iter().flat_map(|fix| &fix.edits).any(|edit| edit.text.starts_with(NAME))
}
