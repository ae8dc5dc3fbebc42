//! How a statement ends, and how many arguments it has.

use super::{Checker, habit};
use crate::{
    diag::{Diagnostic, Fix, Span},
    load::Sources,
    schema::{Context, DirectiveSpec, Opens, ValueType},
    syntax::{Directive, Word},
};

/// `;` where a block belongs, or a block where `;` belongs.
pub(super) fn shape(
    sources: &Sources,
    directive: &Directive,
    spec: &DirectiveSpec,
    context: Context,
) -> Option<Diagnostic> {
    if let Some((word, brace)) = directive.brace() {
        let fault = brace_in_word(directive, spec, word, brace)?;
        let is_placeholder = word.text().contains("{{");
        // The bracket behind a condition is no part of it.
        let bracket = u32::from(spec.opens == Some(Opens::If) && word.value.ends_with(b")"));
        let span = Span { end: word.span.end - bracket, ..word.span };
        return Some(match habit::quoted(sources, span).filter(|_| !is_placeholder) {
            Some(text) => fault.fix(Fix::sure("put the word into quotes").replace(span, text)),
            None => fault,
        });
    }
    let has_block = directive.block.as_ref().is_some_and(|block| block.open == directive.end);
    let name = spec.name;
    if spec.opens.is_none() && has_block {
        let fault = Diagnostic::error("unexpected-block", not_terminated(name)).at(directive.end);
        if let Some(last) = habit::lost_semicolon(sources, directive, context) {
            return Some(lacks_semicolon(fault, last));
        }
        return Some(fault.label(format!("`{name}` has no block")).help(unexpected_block_help(directive)));
    }
    if spec.opens.is_some() && !has_block && !is_cut(directive, spec) {
        let message = format!("directive \"{name}\" has no opening \"{{\"");
        let fault = Diagnostic::error("missing-block", message).at(directive.span());
        return Some(
            fault.label("this opens a block").help(format!("write `{name} … {{` and end the block with `}}`")),
        );
    }
    None
}

fn lacks_semicolon(fault: Diagnostic, last: &Word) -> Diagnostic {
    let fault = fault.at(last.span).label("a `;` is missing behind this");
    fault.fix(habit::add_semicolon(last.span))
}

fn not_terminated(name: &str) -> String {
    format!("directive \"{name}\" is not terminated by \";\"")
}

fn wrong_count(name: &str) -> String {
    format!("invalid number of arguments in \"{name}\" directive")
}

/// To nginx the brace begins a block: what it says of that depends on whether the directive has one.
fn brace_in_word(directive: &Directive, spec: &DirectiveSpec, word: &Word, brace: Span) -> Option<Diagnostic> {
    let text = word.text();
    let (before, behind) = text.split_once('{').unwrap_or((&text, ""));
    let complete = directive.args.iter().take_while(|one| one.brace.is_none()).count();
    let count = complete + usize::from(!before.is_empty());
    let is_placeholder = behind.starts_with('{');
    let message = match spec.opens {
        None => not_terminated(&directive.name.text()),
        Some(_) if !spec.arity.takes(count) => wrong_count(&directive.name.text()),
        Some(Opens::If) if !before.is_empty() => format!("invalid condition \"{before}\""),
        Some(_) if is_placeholder => "unexpected \"{\"".into(),
        // What is behind the brace was cut short too, and that has been reported.
        Some(_) if is_cut(directive, spec) => return None,
        Some(_) => format!("unknown directive \"{behind}\""),
    };
    let fault = Diagnostic::error("brace-in-word", message).at(word.span).nginx_at(brace);
    Some(match is_placeholder {
        true => fault.label("a placeholder that was never filled in"),
        false => fault.label("a `{` ends a word and begins a block").help(format!("quote the word: \"{text}\"")),
    })
}

fn unexpected_block_help(directive: &Directive) -> String {
    let glued = directive.args.last().filter(|word| word.span.end == directive.end.start);
    match glued {
        Some(word) if word.value.ends_with(b"$") || word.value.contains(&b'$') => {
            format!("write variables as `$name` or `${{name}}`: a `{{` ends the word `{}`", word.text())
        }
        Some(word) => format!("a `{{` ends the word `{}`; put the whole word into quotes", word.text()),
        None => "end it with `;`".into(),
    }
}

/// Whether a block directive was cut short by a fault of syntax, which has been reported.
pub(super) fn is_cut(directive: &Directive, spec: &DirectiveSpec) -> bool {
    spec.opens.is_some() && directive.end.start == directive.end.end
}

/// `invalid number of arguments in "x" directive`
pub(super) fn arguments(
    checker: &Checker<'_>,
    directive: &Directive,
    spec: &DirectiveSpec,
    context: Context,
) -> Option<Diagnostic> {
    let count = directive.args.len();
    if spec.arity.takes(count) || is_cut(directive, spec) {
        return None;
    }
    let name = directive.name.text();
    let message = wrong_count(&name);
    let fault = Diagnostic::error("argument-count", message);
    if let Some(last) = habit::lost_semicolon(checker.sources, directive, context) {
        return Some(lacks_semicolon(fault, last));
    }
    if let Some(backslash) = habit::joins_lines(directive) {
        let mut fault = fault;
        habit::blame_backslash(&mut fault, backslash);
        return Some(fault);
    }
    let fault = fault.at(directive.span()).label(format!("{} here, it takes {}", arguments_here(count), spec.arity));
    Some(match (directive.args.first(), directive.args.get(1)) {
        (Some(sign), Some(value)) if &*sign.value == b"=" => {
            let gap = Span { end: value.span.start, ..sign.span };
            let fault = fault.help(format!("write `{name} {};` without the `=`", value.text()));
            fault.fix(Fix::sure("take the `=` out").remove(gap))
        }
        (Some(first), Some(_)) if spec.arity.takes(1) && !first.quoted && is_text(spec) => {
            let all: Vec<_> = directive.args.iter().map(|word| word.text()).collect();
            let fault = fault.help(format!("if it is one value, quote it: `{name} \"{}\";`", all.join(" ")));
            let whole = Span { start: first.span.start, ..directive.span() };
            match habit::quoted(checker.sources, whole) {
                Some(text) => fault.fix(Fix::likely("make it one value").replace(whole, text)),
                None => fault,
            }
        }
        _ => fault,
    })
}

fn arguments_here(count: usize) -> String {
    match count {
        0 => "no argument".into(),
        1 => "1 argument".into(),
        _ => format!("{count} arguments"),
    }
}

/// Whether its argument may be any text, so that spaces in it make sense.
fn is_text(spec: &DirectiveSpec) -> bool {
    matches!(spec.ty, ValueType::Custom | ValueType::String | ValueType::Strings | ValueType::Script)
}
