//! Diagnostics in nginx's words, for logs and pipes.

use super::{Origin, Sources};
use crate::diag::{Diagnostic, Severity, Span};
use crate::log::Level;

/// nginx's buffer for a sentence: longer ones are cut.
const LONGEST: usize = 1024;

/// nginx's word for how grave it is.
pub fn level(diagnostic: &Diagnostic) -> Level {
    match diagnostic.severity {
        Severity::Error if diagnostic.message.starts_with("pread() \"") => Level::Crit,
        Severity::Error => Level::Emerg,
        // The one thing that nginx complains about so loudly and goes on.
        Severity::Warning if diagnostic.message.starts_with("accept filters ") => Level::Emerg,
        Severity::Warning => Level::Warn,
        Severity::Note => Level::Notice,
    }
}

/// `MESSAGE in FILE:LINE`, as nginx writes it into a log.
pub fn sentence(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let mut message = std::borrow::Cow::from(cut(&diagnostic.message));
    if let Some((first, _)) = diagnostic.related.first() {
        let place = || sources.place(*first);
        match diagnostic.code {
            Diagnostic::SAME_PATH => message = format!("{message} used in {} and", place()).into(),
            Diagnostic::PATH_LEVELS => {
                message = format!("{message} in {} has the different levels than", place()).into()
            }
            _ => {}
        }
    }
    let is_placed = level(diagnostic) != Level::Crit;
    // Nobody can look at a line that was made up.
    let is_supplied = |span: &Span| sources.get(span.file).origin == Origin::Supplied;
    let at = diagnostic.nginx_at.map(|span| diagnostic.at.filter(|_| is_supplied(&span)).unwrap_or(span));
    match at.filter(|_| is_placed) {
        Some(span) => format!("{message} in {}", sources.place(span)),
        None => message.into(),
    }
}

fn cut(message: &str) -> &str {
    let end = (0..=message.len().min(LONGEST)).rev().find(|&end| message.is_char_boundary(end));
    &message[..end.unwrap_or_default()]
}
