//! Habits from other languages and slips that have a name, each with a repair where there is one.

mod again;
mod braces;
mod foreign;
mod lost;
mod otherwise;
mod swallowed;

pub use again::reconsider;
pub(crate) use again::{is_typographic, translations};
pub(crate) use foreign::is_foreign;

use crate::{
    diag::{Diagnostic, Fix, Span},
    load::Sources,
    schema::{Context, Schema},
    syntax::{Directive, Word},
};

/// What is odd about a word: a label, a way out, and the repair.
pub(super) struct Habit {
    label: String,
    help: Option<String>,
    fix: Option<Fix>,
}

impl Habit {
    fn new(label: impl Into<String>, help: impl Into<String>) -> Self {
        Self { label: label.into(), help: Some(help.into()), fix: None }
    }

    fn fix(self, fix: Fix) -> Self {
        self.with(Some(fix))
    }

    fn with(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }

    /// Says it of a fault.
    pub(super) fn tell(self, mut fault: Diagnostic) -> Diagnostic {
        fault.label = Some(self.label);
        fault.help = self.help.or(fault.help);
        fault.fix = self.fix.or(fault.fix);
        fault
    }
}

/// What is odd about a name that nginx does not know.
pub(super) fn name(sources: &Sources, directive: &Directive) -> Option<Habit> {
    let name = &directive.name;
    let (text, at) = (String::from_utf8_lossy(&name.value), name.span);
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        let habit =
            Habit::new("a byte-order mark stands before this word", format!("save the file without it: `{rest}`"));
        if !rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Some(habit);
        }
        return Some(habit.fix(Fix::sure("take the byte-order mark out").remove(Span { end: at.start + 3, ..at })));
    }
    if text.contains('\0') {
        return Some(no_text(sources, at));
    }
    if text.starts_with("/*") {
        let habit = Habit::new("this is not a comment to nginx", "a comment starts with `#` and ends with its line");
        return Some(match block_comment(sources, at) {
            Some((span, text)) => habit.fix(Fix::sure("make it a comment").replace(span, text)),
            None => habit,
        });
    }
    if let Some(mark) = ["//", "--", "<!--"].into_iter().find(|mark| text.starts_with(mark)) {
        let habit = Habit::new("this is not a comment to nginx", "a comment starts with `#` and ends with its line");
        let mark = Span { end: at.start + mark.len() as u32, ..at };
        return Some(habit.fix(Fix::sure("make it a comment").replace(mark, "#")));
    }
    if text.contains('\u{a0}') {
        let habit = Habit::new("a no-break space is part of this word", "replace it by an ordinary space");
        return Some(habit.fix(Fix::sure("use ordinary spaces").replace(at, text.replace('\u{a0}', " "))));
    }
    if matches!(&*text, "else" | "elseif" | "elsif" | "elif" | "else_if") {
        return Some(Habit::new("nginx has no `else`", "write a second `if` with the opposite condition, or a `map`"));
    }
    if let Some(known) = text.strip_suffix([':', '=']).filter(|known| is_directive(known)) {
        let habit = Habit::new("a name and its arguments are parted by a space", format!("write `{known}`"));
        if let Some(fix) = foreign::from_yaml(sources, at) {
            return Some(Habit::new("this is YAML", "nginx's statements are `name value;` and `name { … }`").fix(fix));
        }
        return Some(habit.fix(Fix::sure("write it as nginx does").replace(at, known)));
    }
    if let Some((known, _)) = text.split_once('#').filter(|(known, _)| is_directive(known)) {
        let habit = Habit::new("a comment starts only behind a space or `;`", format!("write `{known} #…`"));
        let hash = Span { start: at.start + known.len() as u32, ..at };
        return Some(habit.fix(Fix::likely("put a space before the comment").before(hash, " ")));
    }
    if let Some((known, rest)) = text.split_once('=').filter(|(known, _)| is_directive(known)) {
        let habit = Habit::new("nginx has no assignments", format!("write `{known} {rest};`"));
        return Some(habit.fix(Fix::sure("write it as nginx does").replace(at, format!("{known} {rest}"))));
    }
    foreign::name(sources, directive)
}

/// Zero bytes: other encodings, and what is no text at all.
fn no_text(sources: &Sources, at: Span) -> Habit {
    let source = sources.get(at.file);
    let text = &source.text[..source.text.len().min(100)];
    let marked = text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff");
    let zeros = |start| text.iter().skip(start).step_by(2).all(|byte| *byte == 0);
    if text.len() > 3 && (marked || zeros(0) || zeros(1)) {
        let help = format!("save it as UTF-8: iconv -f UTF-16 -t UTF-8 {0} > new && mv new {0}", source.name);
        return Habit::new("this file is in UTF-16, where nginx expects a byte for each letter", help);
    }
    Habit::new("there are zero bytes in this word: this is hardly a text", "is it the right file?")
}

fn is_directive(name: &str) -> bool {
    Schema::nginx().named(name.as_bytes()).next().is_some()
}

/// Where a comment of other languages ends that begins here.
fn comment_length(sources: &Sources, at: Span) -> Option<usize> {
    let text = &sources.get(at.file).text[at.start as usize..];
    Some(memchr::memmem::find(text, b"*/")? + 2)
}

/// A comment of other languages with its end, and the same with a `#` before each line.
fn block_comment(sources: &Sources, at: Span) -> Option<(Span, String)> {
    let text = &sources.get(at.file).text[at.start as usize..];
    let length = comment_length(sources, at)?;
    let inside = String::from_utf8_lossy(text.get(2..length - 2)?).into_owned();
    let lines: Vec<_> = inside.lines().map(|line| line.trim_start_matches([' ', '\t', '*']).trim_end()).collect();
    let indent = sources.indent(at);
    let comment: Vec<_> = lines.iter().filter(|line| !line.is_empty()).map(|line| format!("# {line}")).collect();
    let mut comment = comment.join(&format!("\n{indent}"));
    let behind = text[length..].iter().take_while(|byte| **byte != b'\n').any(|byte| !byte.is_ascii_whitespace());
    if behind {
        comment += &format!("\n{indent}");
    }
    Some((Span { end: at.start + length as u32, ..at }, comment))
}

/// The same word in quotes, where it can be put into them as it stands.
pub(super) fn quoted(sources: &Sources, span: Span) -> Option<String> {
    let raw = std::str::from_utf8(sources.text(span)).ok()?;
    let quote = ['"', '\''].into_iter().find(|quote| !raw.contains(*quote))?;
    Some(format!("{quote}{raw}{quote}"))
}

/// The backslash at the end of a line that is an argument of a directive.
pub(crate) fn joins_lines(directive: &Directive) -> Option<Span> {
    let joins = |word: &&Word| !word.quoted && matches!(&*word.value, b"\\\n" | b"\\\r");
    let found = directive.args.iter().find(joins)?.span;
    Some(Span { end: found.start + 1, ..found })
}

/// Says of a fault that it comes of such a backslash.
pub(super) fn blame_backslash(said: &mut Diagnostic, backslash: Span) {
    said.at = Some(backslash);
    said.label = Some("a backslash does not join lines".into());
    said.help = Some("take it out: a directive goes on until its `;`".into());
    said.fix = Some(Fix::sure("take the backslash out").remove(backslash));
}

/// A `;` behind a word.
pub(super) fn add_semicolon(last: Span) -> Fix {
    Fix::sure("add the missing `;`").behind(last, ";")
}

/// The word behind which a `;` seems to be lost: the next one begins a line and is the name of a directive that may stand here.
pub(crate) fn lost_semicolon<'a>(sources: &Sources, directive: &'a Directive, context: Context) -> Option<&'a Word> {
    let before = std::iter::once(&directive.name).chain(&directive.args);
    let mut pairs = before.zip(&directive.args);
    let lost = pairs.find(|(_, next)| {
        !next.quoted && begins_line(sources, next) && Schema::nginx().find(&next.value, context).is_some()
    });
    lost.map(|(last, _)| last)
}

fn begins_line(sources: &Sources, word: &Word) -> bool {
    let text = &sources.get(word.span.file).text[..word.span.start as usize];
    let before = text.iter().rev().find(|byte| **byte == b'\n' || !byte.is_ascii_whitespace());
    before == Some(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Loaded;

    #[test]
    fn habits_are_recognised() {
        let help = |text: &str| {
            let (loaded, _) = Loaded::from_text("/n", &format!("{text};\nserver {{ }}"));
            let directive = loaded.root.iter().flat_map(|one| std::iter::once(one).chain(one.children()));
            let mut found = directive.filter(|one| one.name.text() == text);
            found.next().and_then(|one| name(&loaded.sources, one)).and_then(|habit| habit.help)
        };
        assert_eq!(help("root:").as_deref(), Some("write `root`"));
        assert_eq!(help("root=/srv").as_deref(), Some("write `root /srv;`"));
        assert_eq!(help("\u{feff}upstream").as_deref(), Some("save the file without it: `upstream`"));
        assert_eq!(help("/*").as_deref(), Some("a comment starts with `#` and ends with its line"));
        assert_eq!(help("server_name#").as_deref(), Some("write `server_name #…`"));
        assert!(help("elseif").is_some() && help("gzip\u{a0}on").is_some());
        assert_eq!((help("foo:"), help("sever_name")), (None, None));
    }
}
