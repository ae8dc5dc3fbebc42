//! `# rnginx: allow RULE reason`: comments that silence a warning where it stands.

use std::collections::HashSet;

use super::{rule, rules};
use crate::{
    diag::{Diagnostic, Severity, Span, closest},
    load::{Loaded, Origin},
    syntax::{Directive, TokenKind, tokens},
};

/// What the comments of a configuration allow.
#[derive(Debug, Default)]
pub struct Allows {
    allows: Vec<Allow>,
    faults: Vec<Diagnostic>,
}

/// One comment that allows something.
#[derive(Debug)]
struct Allow {
    code: String,
    /// The code in the comment.
    at: Span,
    /// The directive that it is about, with its block; none where nothing follows.
    over: Option<Span>,
    /// A file that is included twice has every comment twice.
    key: (String, u32),
}

impl Allows {
    /// Reads the comments of all files.
    pub fn read(loaded: &Loaded) -> Self {
        let mut allows = Self::default();
        let mut directives = Vec::new();
        for (number, source) in loaded.sources.iter().enumerate() {
            if source.origin != Origin::File || memchr::memmem::find(&source.text, b"rnginx:").is_none() {
                continue;
            }
            if directives.is_empty() {
                collect(&loaded.root, &mut directives);
                directives.sort_unstable_by_key(|span: &Span| (span.file, span.start));
            }
            let file = crate::diag::FileId(number as u32);
            for token in tokens(&source.text).iter().filter(|token| token.kind == TokenKind::Comment) {
                let comment = Span { file, start: token.start as u32, end: token.end() as u32 };
                allows.comment(loaded, comment, &directives);
            }
        }
        allows
    }

    fn comment(&mut self, loaded: &Loaded, comment: Span, directives: &[Span]) {
        let text = String::from_utf8_lossy(loaded.sources.text(comment)).into_owned();
        let Some(order) = text.trim_start_matches('#').trim().strip_prefix("rnginx:") else { return };
        let mut words = order.split_whitespace();
        if words.next() != Some("allow") {
            return;
        }
        let Some(code) = words.next() else {
            self.faults.push(super::rules::ALLOW_UNKNOWN.at(comment, "a comment allows nothing: it names no rule"));
            return;
        };
        let start = comment.start + text.find(code).unwrap_or(0) as u32;
        let at = Span { start, end: start + code.len() as u32, ..comment };
        if !is_known(code) {
            self.faults.push(unknown(code, at));
        } else if words.next().is_none() {
            let fault = super::rules::ALLOW_WITHOUT_REASON.at(at, format!("\"{code}\" is allowed without a reason"));
            self.faults.push(
                fault
                    .label("nothing is allowed without one")
                    .help(format!("write `# rnginx: allow {code} why it is fine here`")),
            );
        } else {
            let over = target(loaded, comment, directives);
            let key = (loaded.sources.get(at.file).name.clone(), at.start);
            self.allows.push(Allow { code: code.to_owned(), at, over, key });
        }
    }

    /// Takes the warnings out that are allowed.
    pub fn silence(&self, said: &mut Vec<Diagnostic>) {
        said.retain(|one| !self.allows.iter().any(|allow| allow.covers(one)));
    }

    /// What is wrong with the comments themselves, given everything that was said.
    pub(super) fn faults<'d>(&self, said: impl Iterator<Item = &'d Diagnostic>) -> Vec<Diagnostic> {
        let mut faults = self.faults.clone();
        if self.allows.is_empty() {
            return faults;
        }
        let mut used = HashSet::new();
        for one in said {
            used.extend(self.allows.iter().filter(|allow| allow.covers(one)).map(|allow| &allow.key));
        }
        let unused = self.allows.iter().filter(|allow| !used.contains(&allow.key) && rule(&allow.code).is_some());
        faults.extend(unused.map(|allow| {
            let message = format!("\"{}\" is allowed here, and not found here", allow.code);
            super::rules::ALLOW_UNUSED.at(allow.at, message).help("take the comment out")
        }));
        faults
    }
}

impl Allow {
    fn covers(&self, one: &Diagnostic) -> bool {
        let inside = |over: Span, at: Span| over.file == at.file && (over.start..over.end).contains(&at.start);
        one.severity == Severity::Warning
            && one.code == self.code
            && self.over.zip(one.at).is_some_and(|(over, at)| inside(over, at))
    }
}

fn is_known(code: &str) -> bool {
    rule(code).is_some() || crate::diag::CODES.iter().any(|known| known.code == code)
}

fn unknown(code: &str, at: Span) -> Diagnostic {
    let fault = super::rules::ALLOW_UNKNOWN.at(at, format!("\"{code}\" is not a rule"));
    match closest(code, rules().iter().map(|rule| rule.code)) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help("`rnginx rules` lists them"),
    }
}

/// Where each directive stands, with its block.
fn collect(directives: &[Directive], spans: &mut Vec<Span>) {
    for directive in directives {
        let end = directive.block.as_ref().map_or(directive.end, |block| block.close);
        let end = if end.file == directive.name.span.file { end.end } else { directive.end.end };
        spans.push(Span { end: end.max(directive.span().end), ..directive.name.span });
        collect(directive.children(), spans);
    }
}

/// The directive whose line a comment ends, or else the one that follows it.
fn target(loaded: &Loaded, comment: Span, directives: &[Span]) -> Option<Span> {
    let behind = directives.partition_point(|span| (span.file, span.start) < (comment.file, comment.start));
    let line = |span: &Span| loaded.sources.line(Span { end: span.start, ..*span });
    let here = line(&comment);
    let before = directives[..behind].iter().rev().take_while(|span| span.file == comment.file && line(span) == here);
    before.last().or_else(|| directives.get(behind).filter(|span| span.file == comment.file)).copied()
}
