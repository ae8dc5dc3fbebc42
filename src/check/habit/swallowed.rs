//! What a comment of another language takes with it: to nginx the lines behind it are words of the same statement.

use super::comment_length;
use crate::{
    diag::{Diagnostic, Span},
    load::{Loaded, Sources},
};

/// What such comments begin with.
const MARKS: [&str; 4] = ["/*", "//", "--", "<!--"];

/// Points at the block that such a comment costs, where it stands on another line, and at the comment beside it.
pub(super) fn point_at(loaded: &Loaded, diagnostics: &mut [Diagnostic]) {
    for said in diagnostics.iter_mut().filter(|said| said.code == "unknown-directive") {
        let (Some(comment), Some(label)) = (said.at, &said.label) else { continue };
        let name = said.message.strip_prefix("unknown directive \"");
        let Some(mark) = MARKS.into_iter().find(|mark| name.is_some_and(|name| name.starts_with(mark))) else {
            continue;
        };
        let end = said.nginx_at.filter(|end| end.file == comment.file);
        if let Some(lost) = end.and_then(|end| lost(&loaded.sources, comment, mark, end)) {
            said.related.insert(0, (comment, label.clone()));
            said.label = Some(format!("this is lost: to nginx it belongs to what begins with `{mark}`"));
            said.at = Some(lost);
        }
    }
}

/// The first word behind a comment, on a line further down and before the end of the statement.
fn lost(sources: &Sources, comment: Span, mark: &str, end: Span) -> Option<Span> {
    let text = &sources.get(comment.file).text;
    let text = text.get(..end.start as usize).filter(|_| text.get(end.start as usize) == Some(&b'{'))?;
    let mut at = comment.start as usize;
    if mark == "/*" {
        at += comment_length(sources, comment)?;
    } else {
        at = next_line(text, at)?;
    }
    loop {
        at += text.get(at..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = &text[at..];
        if !rest.starts_with(b"#") && (mark == "/*" || !rest.starts_with(mark.as_bytes())) {
            break;
        }
        at = next_line(text, at)?;
    }
    let length = text[at..].iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(text.len() - at);
    let word = Span { start: at as u32, end: (at + length) as u32, ..comment };
    (sources.line(word) != sources.line(comment)).then_some(word)
}

/// Where the line behind this place begins.
fn next_line(text: &[u8], at: usize) -> Option<usize> {
    Some(at + memchr::memchr(b'\n', text.get(at..)?)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places that are said of each comment: the first one's line, and those beside it.
    fn said(text: &str) -> Vec<(u32, Vec<u32>)> {
        let (loaded, _) = Loaded::from_text("/n.conf", text);
        let mut found = Vec::new();
        crate::check::check(&loaded, crate::schema::Schema::nginx(), &|_| true, &mut found);
        point_at(&loaded, &mut found);
        let line = |at: Span| loaded.sources.line(at);
        let comments = found.iter().filter(|said| said.code == "unknown-directive");
        comments.map(|said| (said.at.map_or(0, line), said.related.iter().map(|(at, _)| line(*at)).collect())).collect()
    }

    #[test]
    fn the_block_that_is_lost_comes_first() {
        assert_eq!(said("events { }\n/* a */\nhttp { }"), [(3, vec![2])]);
        assert_eq!(said("events { }\n// a\n  // b\n# c\n\nhttp { }"), [(6, vec![2])]);
        assert_eq!(said("events { }\n-- a\nhttp { }"), [(3, vec![2])]);
        // The line is still the comment's own.
        assert_eq!(said("events { }\n/* a */ http { }"), [(2, vec![])]);
        assert_eq!(said("events { }\n// a;\nhttp { }"), [(2, vec![])]);
        assert_eq!(said("events { }\n/* a; b */\nhttp { }"), [(2, vec![])]);
        // No more than a line is lost.
        assert_eq!(said("events { }\n/* a */\nuser x;"), [(2, vec![])]);
    }
}
