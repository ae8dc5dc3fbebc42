//! What is missing only because the directive that names it has a fault of its own.

use super::{add_semicolon, again::around, lost_semicolon};
use crate::{
    diag::{Diagnostic, Severity, Span},
    load::Loaded,
    schema::Context,
    syntax::{Directive, Word},
};

const NAME: &str = "ssl_certificate";

/// Takes away complaints about a missing certificate where the server's own `ssl_certificate` is at fault; where it has become
/// a part of the directive before it, the complaint is about that.
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
        } else if let Some(last) = swallowed(loaded, found.directive) {
            let said: Vec<_> = diagnostics.extract_if(.., |said| of(said) == Some(server)).collect();
            diagnostics.extend(said.into_iter().next().map(|said| Diagnostic {
                at: Some(last.span),
                label: Some("a `;` is missing behind this".into()),
                help: Some("what follows on the next line is a part of this directive".into()),
                fix: Some(add_semicolon(last.span)),
                ..said
            }));
        }
    }
}

/// The word of a server behind which the `;` is lost that would make `ssl_certificate` a directive.
fn swallowed<'a>(loaded: &Loaded, server: &'a Directive) -> Option<&'a Word> {
    let holds_name = |directive: &&Directive| directive.args.iter().any(|word| *word.value == *NAME.as_bytes());
    server
        .children()
        .iter()
        .filter(holds_name)
        .find_map(|directive| lost_semicolon(&loaded.sources, directive, Context::SERVER))
}

/// Whether the directive at fault, or what it was meant to be, names a certificate.
fn names_certificate(loaded: &Loaded, said: &Diagnostic) -> bool {
    let found = said.at.and_then(|at| around(&loaded.root, Context::MAIN, at));
    let words = found.iter().flat_map(|found| std::iter::once(&found.directive.name).chain(&found.directive.args));
    let is_name = |word: &[u8]| word.starts_with(NAME.as_bytes());
    words.into_iter().any(|word| is_name(&word.value))
        || said.help.as_ref().is_some_and(|help| help.contains(NAME))
        || said.fix.iter().flat_map(|fix| &fix.edits).any(|edit| edit.text.starts_with(NAME))
}

#[cfg(test)]
mod tests {
    use crate::{check::reconsider, diag::Diagnostic, load::Loaded};

    /// Where a missing certificate is seen, besides what else is said of a word.
    fn seen(server: &str, word: Option<&str>) -> Vec<String> {
        let text = format!("events {{ }} http {{ server {{\n{server}\n}} }}");
        let (loaded, _) = Loaded::from_text("/n", &text);
        let server = loaded.root[1].children()[0].name.span;
        let at = |word: &str| {
            let start = text.find(word).expect("a word") as u32;
            crate::diag::Span { start, end: start + word.len() as u32, ..server }
        };
        let missing = Diagnostic::error("no-certificate", "none").at(at("443")).nginx_at(server);
        let unknown = word.map(|word| {
            Diagnostic::error("unknown-directive", "unknown").at(at(word)).help("did you mean `ssl_certificate`?")
        });
        let mut said: Vec<_> = unknown.into_iter().chain([missing.clone(), missing]).collect();
        reconsider(&loaded, &mut said);
        said.iter().map(|said| String::from_utf8_lossy(loaded.sources.text(said.at.expect("a place"))).into()).collect()
    }

    #[test]
    fn a_certificate_that_is_misspelled_is_not_missing() {
        assert_eq!(seen("listen 443 ssl;\nssl_certficate a;", Some("ssl_certficate")), ["ssl_certficate"]);
        assert_eq!(seen("listen 443 ssl;\nfoo a;", None), ["443", "443"]);
    }

    #[test]
    fn a_certificate_in_another_directive_is_lost_there() {
        assert_eq!(seen("listen 443 ssl;\nserver_name a,\nssl_certificate b;", None), ["a,"]);
    }
}
