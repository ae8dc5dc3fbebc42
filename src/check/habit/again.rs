//! A second look at what has been said: the fault of one directive is often the slip in another.

use super::{
    add_semicolon, blame_backslash, braces, comment_length, joins_lines, lost::leave_lost, lost_semicolon, otherwise,
    swallowed,
};
use crate::{
    check::advice::advise,
    diag::{Diagnostic, FileId, Fix, Severity, Span},
    load::Loaded,
    schema::{Context, Schema},
    syntax::{Directive, parse},
};

/// What typesetting programs make of quotes.
const QUOTES: [char; 12] = ['“', '”', '„', '‟', '«', '»', '″', '‘', '’', '‚', '‛', '′'];

/// Whether a letter is a quote to typesetters alone.
pub(crate) fn is_typographic(letter: char) -> bool {
    QUOTES.contains(&letter)
}

/// Directives whose last argument is a text that may well hold a `;`.
const TEXTS: [&[u8]; 8] = [
    b"add_header",
    b"more_set_headers",
    b"proxy_set_header",
    b"grpc_set_header",
    b"return",
    b"set",
    b"add_trailer",
    b"sub_filter",
];

/// Looks once more at what has been said of a configuration: an argument at fault that begins a line, and is the name of a
/// directive, is one because the `;` before it is lost; quotes that are letters to nginx explain most things; and a directive
/// that nobody knows, behind a header on the same line, is a part of that header's value.
pub fn reconsider(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let (mut explained, mut spoken_for) = (Vec::new(), Vec::new());
    for (number, said) in diagnostics.iter_mut().enumerate().filter(|(_, said)| said.severity == Severity::Error) {
        let Some(found) = said.at.and_then(|at| around(&loaded.root, Context::MAIN, at)) else { continue };
        let is_name = Some(found.directive.name.span) == said.at;
        let lost = lost_semicolon(&loaded.sources, found.directive, found.context).filter(|_| !is_name);
        if otherwise::is_else(found.directive) {
            said.fix = otherwise::fix(&loaded.sources, found.directive, found.before);
        } else if let Some(backslash) = joins_lines(found.directive).filter(|_| !is_name) {
            blame_backslash(said, backslash);
        } else if let Some(last) = lost {
            said.at = Some(last.span);
            said.label = Some("a `;` is missing behind this".into());
            said.fix = Some(add_semicolon(last.span));
        } else if let Some(fix) = plain_quotes(loaded, found.directive) {
            said.label = Some("these quotes are letters to nginx".into());
            said.help = Some("use `\"` or `'`".into());
            said.fix = Some(fix);
        } else if let Some(value) = cut_value(loaded, &found, said) {
            // The first of the parts speaks for the others.
            if explained.contains(&value.start) {
                spoken_for.push(number);
                continue;
            }
            explained.push(value.start);
            said.label = Some("the `;` before it ended the value".into());
            said.help = Some("put the whole value into quotes".into());
            said.related.push((value, "the value begins here".into()));
            said.fix = quote_value(loaded, value);
        } else if let Some((gap, help)) = assignment(found.directive).filter(|_| said.fix.is_none()) {
            said.label = Some("nginx has no assignments".into());
            said.help = Some(help);
            said.fix = Some(Fix::sure("take the `=` out").remove(gap));
        } else if said.code == "invalid-condition" {
            said.fix = said.fix.take().or_else(|| condition(found.directive));
            said.help = said.help.take().or_else(|| condition_help(found.directive));
        }
    }
    for number in spoken_for.into_iter().rev() {
        diagnostics.remove(number);
    }
    braces::speak_for(loaded, diagnostics);
    leave_lost(loaded, diagnostics);
    leave_comments(loaded, diagnostics);
    leave_glued(loaded, diagnostics);
    leave_no_texts(loaded, diagnostics);
    let wholes = translations(loaded, diagnostics);
    if !wholes.is_empty() {
        yield_to(&wholes, diagnostics);
    }
    swallowed::point_at(loaded, diagnostics);
    for said in diagnostics {
        advise(said, |said| {
            let found = around(&loaded.root, Context::MAIN, said.at?)?;
            Schema::nginx().find(&found.directive.name.value, found.context)
        });
    }
}

/// The lines of another language that a repair would write anew: whatever else is said of them comes of that.
pub(crate) fn translations(loaded: &Loaded, diagnostics: &[Diagnostic]) -> Vec<Span> {
    let whole = |fix: &Fix| match &fix.edits[..] {
        [only] if loaded.sources.text(only.span).contains(&b'\n') => Some(only.span),
        _ => None,
    };
    diagnostics.iter().filter_map(|said| whole(said.fix.as_ref()?)).collect()
}

/// Takes away smaller repairs of such lines, and complaints about blocks that their braces seem to open.
fn yield_to(wholes: &[Span], diagnostics: &mut Vec<Diagnostic>) {
    let is_inside = |span: Span| wholes.iter().any(|whole| whole.holds(span) && *whole != span);
    diagnostics.retain(|said| said.code != "unclosed-block" || !said.at.is_some_and(is_inside));
    for said in diagnostics {
        said.fix = said.fix.take().filter(|fix| !fix.edits.iter().any(|edit| is_inside(edit.span)));
    }
}

/// Of a file that is no text the first complaint says it all.
fn leave_no_texts(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let is_zero = |said: &&Diagnostic| said.code == "unknown-directive" && said.message.contains('\0');
    let of = |said: &Diagnostic| said.nginx_at.or(said.at);
    let firsts: Vec<Span> = loaded
        .sources
        .iter()
        .filter(|source| source.text.contains(&0))
        .filter_map(|source| {
            let here = |said: &&Diagnostic| of(said).is_some_and(|at| loaded.sources.get(at.file).name == source.name);
            diagnostics.iter().filter(is_zero).filter(here).filter_map(of).min_by_key(|at| at.start)
        })
        .collect();
    for first in firsts {
        diagnostics.retain(|said| of(said).is_none_or(|at| at.file != first.file || at.start <= first.start));
    }
}

/// How many words there are in a directive says nothing where a quote in it does not end where it was meant to.
fn leave_glued(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let is_glued = |said: &&Diagnostic| said.code == "unexpected-token" && !said.related.is_empty();
    let glued: Vec<Span> = diagnostics.iter().filter(is_glued).filter_map(|said| said.at).collect();
    if glued.is_empty() {
        return;
    }
    diagnostics.retain(|said| {
        let found = said.at.filter(|_| said.code == "argument-count");
        let found = found.and_then(|at| around(&loaded.root, Context::MAIN, at));
        !found.is_some_and(|found| glued.iter().any(|at| found.directive.span().holds(*at)))
    });
}

/// What stands in a comment of another language is not meant for nginx: that it is no comment says all about it.
fn leave_comments(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let is_comment = |said: &&Diagnostic| said.message.starts_with("unknown directive \"/*");
    let comments = diagnostics.iter().filter(is_comment).filter_map(|said| {
        let at = said.at?;
        let end = at.start + comment_length(&loaded.sources, at)? as u32;
        Some(Span { start: at.start + 1, end, ..at })
    });
    for inside in comments.collect::<Vec<_>>() {
        let is_inside = |at: Span| at.file == inside.file && (inside.start..inside.end).contains(&at.start);
        diagnostics.retain(|said| !said.at.is_some_and(is_inside));
    }
}

/// A directive, what it stands in, and those before it.
pub(super) struct Found<'a> {
    pub directive: &'a Directive,
    context: Context,
    before: &'a [Directive],
}

/// The directive that has a place among its words.
pub(super) fn around(directives: &[Directive], context: Context, at: Span) -> Option<Found<'_>> {
    directives.iter().enumerate().find_map(|(number, directive)| {
        let words = directive.span();
        if words.file == at.file && (words.start..words.end).contains(&at.start) {
            return Some(Found { directive, context, before: &directives[..number] });
        }
        let block = directive.block.as_ref()?;
        // What is in it stands between its braces, or in other files.
        if block.open.file == at.file
            && block.close.file == at.file
            && !(block.open.start..block.close.end).contains(&at.start)
        {
            return None;
        }
        let opens = Schema::nginx().find(&directive.name.value, context)?.opens?;
        around(&block.directives, opens.within(context), at)
    })
}

/// The repair of typographic quotes in the words of a directive.
fn plain_quotes(loaded: &Loaded, directive: &Directive) -> Option<Fix> {
    let mut fix = Fix::sure("use plain quotes");
    for word in std::iter::once(&directive.name).chain(&directive.args).filter(|word| !word.quoted) {
        let text = std::str::from_utf8(loaded.sources.text(word.span)).ok()?;
        for (at, letter) in text.char_indices().filter(|(_, letter)| QUOTES.contains(letter)) {
            let start = word.span.start + at as u32;
            let plain = if QUOTES[..7].contains(&letter) { "\"" } else { "'" };
            fix = fix.replace(Span { start, end: start + letter.len_utf8() as u32, ..word.span }, plain);
        }
    }
    (!fix.edits.is_empty() && pairs_up(loaded, directive, &fix)).then_some(fix)
}

/// Whether the words of a directive are words still when a repair of them is made.
fn pairs_up(loaded: &Loaded, directive: &Directive, fix: &Fix) -> bool {
    let words = directive.span();
    let (mut text, mut done) = (Vec::new(), words.start);
    for edit in &fix.edits {
        text.extend_from_slice(loaded.sources.text(Span { start: done, end: edit.span.start, ..words }));
        text.extend_from_slice(edit.text.as_bytes());
        done = edit.span.end;
    }
    text.extend_from_slice(loaded.sources.text(Span { start: done, ..words }));
    text.push(b';');
    parse(FileId::default(), &text).1.is_empty()
}

/// The value of a header that a `;` has cut, if what is at fault is the rest of it.
fn cut_value(loaded: &Loaded, found: &Found<'_>, said: &Diagnostic) -> Option<Span> {
    let line = |span: Span| (span.file, loaded.sources.line(span));
    let is_text = |one: &Directive| TEXTS.contains(&&*one.name.value) && one.args.len() > 1;
    let own = found.directive;
    if said.code == "invalid-parameter" || said.code == "argument-count" {
        // `add_header A b c; d;`: the words behind the first are too many, and more follows on the line.
        let rest = &loaded.sources.get(own.end.file).text[own.end.end as usize..];
        let goes_on = rest.iter().take_while(|byte| **byte != b'\n').any(u8::is_ascii_alphanumeric);
        let value = own.args.get(1).filter(|word| !word.quoted)?;
        return (goes_on && is_text(own)).then_some(value.span);
    }
    if said.code != "unknown-directive" {
        return None;
    }
    // Parts of the value may stand between.
    let mut on_line = found.before.iter().rev().take_while(|before| line(before.end) == line(own.name.span));
    let is_known = |before: &&Directive| Schema::nginx().named(&before.name.value).next().is_some();
    let before = on_line.find(is_known).filter(|before| is_text(before))?;
    before.args.get(1).filter(|word| !word.quoted).map(|word| word.span)
}

/// The `=` of `listen = 80`, with the space behind it.
fn assignment(directive: &Directive) -> Option<(Span, String)> {
    let (sign, value) = (directive.args.first()?, directive.args.get(1)?);
    if sign.quoted || &*sign.value != b"=" || directive.name.value.starts_with(b"location") {
        return None;
    }
    let help = format!("write `{} {};` without the `=`", directive.name.text(), value.text());
    Some((Span { end: value.span.start, ..sign.span }, help))
}

/// Quotes a value up to the last `;` of its line, `always` left out.
fn quote_value(loaded: &Loaded, value: Span) -> Option<Fix> {
    let text = &loaded.sources.get(value.file).text[value.start as usize..];
    let line = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
    let line = line.split('#').next().unwrap_or(line).trim_end().strip_suffix(';')?;
    let inner = line.strip_suffix("always").map_or(line, str::trim_end);
    if inner.contains('"') || inner.contains(['{', '}']) {
        return None;
    }
    let span = Span { end: value.start + inner.len() as u32, ..value };
    Some(Fix::likely("put the value into quotes").replace(span, format!("\"{inner}\"")))
}

/// `==` for `=`, and brackets that are missing.
fn condition(directive: &Directive) -> Option<Fix> {
    let (first, last) = (directive.args.first()?, directive.args.last()?);
    if let Some(double) = directive.args.iter().find(|word| &*word.value == b"==") {
        return Some(Fix::sure("compare with one `=`").replace(double.span, "="));
    }
    let is_open = first.value.starts_with(b"(");
    let is_closed = last.value.ends_with(b")");
    (!is_open && !is_closed)
        .then(|| Fix::sure("put the condition into brackets").before(first.span, "(").behind(last.span, ")"))
}

fn condition_help(directive: &Directive) -> Option<String> {
    let has = |text: &[u8]| directive.args.iter().any(|word| *word.value == *text);
    if has(b"&&") || has(b"||") || has(b"and") || has(b"or") {
        return Some("`if` has no `&&` and no `||`: use a `map` over both, or two `if`".into());
    }
    if has(b"==") {
        return Some("write `=`".into());
    }
    (!directive.args.first()?.value.starts_with(b"("))
        .then(|| "the condition stands in brackets: `if ($name = value) { }`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_semicolon_is_found_in_what_others_say() {
        let text = "events { } http { server {\n listen 80\n server_name a;\n} }";
        let (loaded, _) = Loaded::from_text("/n", text);
        let at = text.find("server_name").expect("a word") as u32;
        let at = Span { start: at, end: at + 11, ..loaded.root[0].name.span };
        let mut said = vec![Diagnostic::error("invalid-parameter", "invalid parameter \"server_name\"").at(at)];
        reconsider(&loaded, &mut said);
        assert_eq!(loaded.sources.text(said[0].at.expect("a place")), b"80");
        assert_eq!(said[0].nginx_at, Some(at));
    }
}
