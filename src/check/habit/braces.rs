//! What a brace too few or too many makes of the directives behind it.

use crate::{
    diag::{Diagnostic, Severity, Span},
    load::Loaded,
    syntax::{SURPLUS, UNCLOSED},
};

/// Whether this is said of a directive for where it stands.
fn is_misplaced(said: &Diagnostic) -> bool {
    match said.code {
        "misplaced-directive" | "invalid-location" | "unexpected-block" => true,
        // As a line of a table.
        "unexpected-token" => said.message == "unexpected \"{\"",
        "argument-count" => said.message.starts_with("invalid number of the "),
        _ => false,
    }
}

/// A brace that seems to be at fault, by how lines are indented.
struct Brace {
    /// Where that is said.
    at: Span,
    /// The block that it leaves open, or closes too early.
    block: Span,
    /// Where what it does begins.
    from: u32,
    /// Whether lines were meant to stand behind the block and stand in it; else it is the other way around.
    is_open: bool,
}

/// Lets a brace at fault speak for the directives behind it that nginx complains of: in nginx's first sentence, at the
/// brace. Nothing is to be done about the directives themselves.
pub(super) fn speak_for(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    for brace in diagnostics.iter().filter_map(brace).collect::<Vec<_>>() {
        let mut spoken_for: Vec<_> = diagnostics.extract_if(.., |said| brace.explains(loaded, said)).collect();
        spoken_for.sort_by_cached_key(|said| said.nginx_at.map(|at| at.start));
        let Some(first) = spoken_for.into_iter().next() else { continue };
        if let Some(said) = diagnostics.iter_mut().find(|said| said.at == Some(brace.at)) {
            said.message = first.message;
            said.nginx_at = first.nginx_at;
            let label = if brace.is_open { "so this stands inside" } else { "so this stands outside" };
            let at = first.at.filter(|at| said.related.iter().all(|(known, _)| known != at));
            said.related.extend(at.map(|at| (at, label.into())));
        }
    }
}

fn brace(said: &Diagnostic) -> Option<Brace> {
    let (at, &(other, _)) = (said.at?, said.related.first()?);
    match said.code {
        UNCLOSED => Some(Brace { at, block: at, from: at.end, is_open: true }),
        SURPLUS => Some(Brace { at, block: other, from: at.end, is_open: false }),
        _ => None,
    }
}

impl Brace {
    fn explains(&self, loaded: &Loaded, said: &Diagnostic) -> bool {
        let Some(at) = said.at.filter(|at| at.file == self.block.file && at.start >= self.from) else { return false };
        let (own, indent) = (loaded.sources.indent(self.block), loaded.sources.indent(at));
        let is_meant_for_it = indent.len() > own.len() && indent.starts_with(&own);
        said.severity == Severity::Error && is_misplaced(said) && is_meant_for_it != self.is_open
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        check::{check, reconsider},
        load::Loaded,
        schema::Schema,
    };

    /// What is said of the `server` of an `http`: nginx's sentences with the lines at fault and nginx's.
    fn said(server: &str) -> Vec<String> {
        let (loaded, mut said) = Loaded::from_text("/n", &format!("events {}\nhttp {{\n{server}}}\n", "{ }"));
        check(&loaded, Schema::nginx(), &|_| true, &mut said);
        reconsider(&loaded, &mut said);
        let line = |at: Option<_>| loaded.sources.line(at.expect("a place")) - 2;
        said.iter().map(|said| format!("{} {} {}", line(said.at), line(said.nginx_at), said.message)).collect()
    }

    #[test]
    fn a_block_left_open_speaks_for_those_behind_it() {
        let text = "  server {\n    location /a {\n      root /a;\n    location /b {\n      gzip on;\n    }\n    listen 1;\n  }\n";
        let listen = "2 7 \"listen\" directive is not allowed here";
        assert_eq!(said(text), [listen]);
        // A fault of its own stays one.
        let own = said(&text.replace("gzip on", "gzipp on"));
        assert_eq!(own, [listen, "5 5 unknown directive \"gzipp\""]);
    }

    #[test]
    fn a_block_closed_early_speaks_for_those_behind_it() {
        let text =
            "  server {\n    listen 1;\n    }\n    location /a {\n      root /a;\n    }\n    location /b { }\n  }\n";
        assert_eq!(said(text), ["3 4 \"location\" directive is not allowed here"]);
    }
}
