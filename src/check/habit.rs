//! Habits from other languages and slips that have a name.

use crate::{
    diag::{Diagnostic, Severity, Span},
    load::{Loaded, Sources},
    schema::{Context, Schema},
    syntax::{Directive, Word},
};

/// What is odd about a name that nginx does not know: a label and a help.
pub(super) fn name(name: &[u8]) -> Option<(String, String)> {
    let said = |label: &str, help: &str| Some((label.to_owned(), help.to_owned()));
    let text = String::from_utf8_lossy(name);
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        return said("a byte-order mark stands before this word", &format!("save the file without it: `{rest}`"));
    }
    if text.starts_with("//") || text.starts_with("/*") || text.starts_with("--") || text.starts_with("<!--") {
        return said("this is not a comment to nginx", "a comment starts with `#` and ends with its line");
    }
    if text.contains('\u{a0}') {
        return said("a no-break space is part of this word", "replace it by an ordinary space");
    }
    if matches!(&*text, "else" | "elseif" | "elsif" | "elif" | "else_if") {
        return said("nginx has no `else`", "write a second `if` with the opposite condition, or a `map`");
    }
    if let Some(known) = text.strip_suffix([':', '=']).filter(|known| is_directive(known)) {
        return said("a name and its arguments are parted by a space", &format!("write `{known}`"));
    }
    if let Some((known, _)) = text.split_once('#').filter(|(known, _)| is_directive(known)) {
        return said("a comment starts only behind a space or `;`", &format!("write `{known} #…`"));
    }
    if let Some((known, rest)) = text.split_once('=').filter(|(known, _)| is_directive(known)) {
        return said("nginx has no assignments", &format!("write `{known} {rest};`"));
    }
    None
}

fn is_directive(name: &str) -> bool {
    Schema::nginx().named(name.as_bytes()).next().is_some()
}

/// Looks once more at what has been said of a configuration: an argument at fault that begins a line, and is the name of a
/// directive, is one because the `;` before it is lost.
pub fn reconsider(loaded: &Loaded, diagnostics: &mut [Diagnostic]) {
    for said in diagnostics.iter_mut().filter(|said| said.severity == Severity::Error) {
        let found = said.at.and_then(|at| around(&loaded.root, Context::MAIN, at));
        let Some((directive, context)) = found.filter(|(directive, _)| Some(directive.name.span) != said.at) else {
            continue;
        };
        if let Some(last) = lost_semicolon(&loaded.sources, directive, context) {
            said.at = Some(last.span);
            said.label = Some("a `;` is missing behind this".into());
        }
    }
}

/// The directive that has a place among its words, and what it stands in.
fn around(directives: &[Directive], context: Context, at: Span) -> Option<(&Directive, Context)> {
    directives.iter().find_map(|directive| {
        let words = directive.span();
        if words.file == at.file && (words.start..words.end).contains(&at.start) {
            return Some((directive, context));
        }
        let opens = Schema::nginx().find(&directive.name.value, context)?.opens?;
        around(directive.children(), opens.within(context), at)
    })
}

/// The word behind which a `;` seems to be lost: the next one begins a line and is the name of a directive that may stand here.
pub(crate) fn lost_semicolon<'a>(sources: &Sources, directive: &'a Directive, context: Context) -> Option<&'a Word> {
    let words: Vec<&Word> = std::iter::once(&directive.name).chain(&directive.args).collect();
    let lost = words.windows(2).find(|pair| {
        !pair[1].quoted && begins_line(sources, pair[1]) && Schema::nginx().find(&pair[1].value, context).is_some()
    });
    lost.map(|pair| pair[0])
}

fn begins_line(sources: &Sources, word: &Word) -> bool {
    let text = &sources.get(word.span.file).text[..word.span.start as usize];
    let line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < text.len() && line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_recognised() {
        let help = |text: &str| name(text.as_bytes()).map(|(_, help)| help);
        assert_eq!(help("root:").as_deref(), Some("write `root`"));
        assert_eq!(help("root=/srv").as_deref(), Some("write `root /srv;`"));
        assert_eq!(help("\u{feff}upstream").as_deref(), Some("save the file without it: `upstream`"));
        assert_eq!(help("/*").as_deref(), Some("a comment starts with `#` and ends with its line"));
        assert_eq!(help("server_name#").as_deref(), Some("write `server_name #…`"));
        assert!(help("elseif").is_some() && help("gzip\u{a0}on").is_some());
        assert_eq!((help("foo:"), help("sever_name")), (None, None));
    }

    #[test]
    fn a_lost_semicolon_is_found_in_what_others_say() {
        let text = "events { } http { server {\n listen 80\n server_name a;\n} }";
        let (loaded, _) = Loaded::from_text("/n", text);
        let at = text.find("server_name").expect("a word") as u32;
        let at = Span { start: at, end: at + 11, ..loaded.root[0].name.span };
        let mut said = [Diagnostic::error("invalid-parameter", "invalid parameter \"server_name\"").at(at)];
        reconsider(&loaded, &mut said);
        assert_eq!(loaded.sources.text(said[0].at.expect("a place")), b"80");
        assert_eq!(said[0].nginx_at, Some(at));
    }
}
