//! Lines of another language: which they are, and their translation as one repair.

use crate::{
    diag::{Fix, Span},
    load::Sources,
};

/// One line, without the spaces around it.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// How far it is indented, in bytes.
    pub(super) indent: usize,
    /// The offset behind it.
    end: usize,
}

/// How many lines are looked at, at most.
const MOST: usize = 500;

/// The lines of a file from the one that begins with this word; none where it does not begin a line.
pub(super) fn from<'a>(sources: &'a Sources, word: Span) -> impl Iterator<Item = Line<'a>> + use<'a> {
    let text = &sources.get(word.file).text;
    let mut at = word.start as usize;
    let start = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |line| line + 1);
    let begins_line = text[start..at].iter().all(u8::is_ascii_whitespace);
    let first_indent = at - start;
    let mut first = true;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty() && begins_line)?;
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let whole = std::str::from_utf8(&rest[..length]).ok()?;
        let indent = if std::mem::take(&mut first) { first_indent } else { whole.len() - whole.trim_start().len() };
        let end = at + whole.trim_end().len();
        at += length + 1;
        Some(Line { text: whole.trim(), indent, end })
    })
    .take(MOST)
}

/// The repair that puts other lines in the place of some lines, the first of which begins with `word`. Each comes with its
/// indent beyond that of the first line.
pub(super) fn replaced(
    sources: &Sources,
    word: Span,
    lines: &[Line<'_>],
    new: &[(usize, String)],
    title: &str,
) -> Option<Fix> {
    let span = Span { end: lines.last()?.end as u32, ..word };
    let indent = sources.indent(word);
    let text = new.iter().map(|(more, text)| match &**text {
        "" => String::new(),
        text => format!("{indent}{}{text}", " ".repeat(*more)),
    });
    Some(Fix::likely(title).replace(span, text.collect::<Vec<_>>().join("\n").trim_start()))
}

/// The words of a line, as shells part them.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A value as nginx reads it: in quotes where it needs them.
pub(super) fn value(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains([' ', '\t', ';', '{', '}', '"', '\'', '#']);
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_by_a_shell() {
        assert_eq!(words("Header set X \"a b\""), ["Header", "set", "X", "a b"]);
        assert_eq!(words("  a\t'' b"), ["a", "", "b"]);
        assert_eq!((value("a"), value("a b;"), value("")), ("a".into(), "\"a b;\"".into(), "\"\"".into()));
    }
}
