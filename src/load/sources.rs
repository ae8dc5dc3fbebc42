//! The texts that were read, and where in them things stand.

use std::sync::{Arc, OnceLock};

use memchr::memchr_iter;

use crate::diag::{Diagnostic, FileId, Span};

/// The code of the one error that is ours alone.
pub const NOT_RUN: &str = "not-run";

/// Where a text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File,
    /// The `-g` option; nginx says `in command line`.
    CommandLine,
    /// What was supplied around a file that is not a whole configuration.
    Supplied,
}

/// One text. A file that is included twice is two sources, which share their bytes.
#[derive(Debug)]
pub struct Source {
    /// The path as nginx would print it.
    pub name: String,
    /// The bytes.
    pub text: Arc<[u8]>,
    /// Where it came from.
    pub origin: Origin,
    /// The end of the `include` that read it; none for the first file.
    pub included_at: Option<Span>,
    /// Where each line begins, worked out when it is first asked for.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// A text that nothing includes.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<[u8]>>, origin: Origin) -> Self {
        Self { name: name.into(), text: text.into(), origin, included_at: None, lines: OnceLock::new() }
    }

    /// The same text, read by the `include` that ends here.
    #[must_use]
    pub fn included_at(mut self, include: Option<Span>) -> Self {
        self.included_at = include;
        self
    }

    /// The line of an offset, from 1: nginx's count of line feeds before it.
    pub fn line(&self, offset: u32) -> u32 {
        self.lines().partition_point(|&start| start <= offset) as u32
    }

    /// The column of an offset, from 1, in bytes.
    pub fn column(&self, offset: u32) -> u32 {
        offset + 1 - self.lines()[self.line(offset) as usize - 1]
    }

    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let breaks = memchr_iter(b'\n', &self.text).map(|at| at as u32 + 1);
            std::iter::once(0).chain(breaks).collect()
        })
    }
}

/// Every text of a configuration, by [`FileId`].
#[derive(Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, source: Source) -> FileId {
        self.0.push(source);
        FileId(self.0.len() as u32 - 1)
    }

    /// The text of a file.
    ///
    /// # Panics
    /// Where the id is not from these sources.
    pub fn get(&self, file: FileId) -> &Source {
        &self.0[file.0 as usize]
    }

    pub(super) fn get_mut(&mut self, file: FileId) -> &mut Source {
        &mut self.0[file.0 as usize]
    }

    /// All texts, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The files as `-T` shows them: each path once, in the order in which they were first read.
    pub fn files(&self) -> impl Iterator<Item = &Source> {
        let mut seen = std::collections::HashSet::new();
        self.iter().filter(move |source| source.origin == Origin::File && seen.insert(source.name.as_str()))
    }

    /// The beginning of the main file, where it could be read.
    pub fn main(&self) -> Option<Span> {
        let file = self.0.iter().position(|source| source.origin == Origin::File)?;
        Some(Span { file: FileId(file as u32), start: 0, end: 0 })
    }

    /// The line where a span begins, from 1.
    pub fn line(&self, span: Span) -> u32 {
        self.get(span.file).line(span.start)
    }

    /// The bytes of a span.
    pub fn text(&self, span: Span) -> &[u8] {
        &self.get(span.file).text[span.start as usize..span.end as usize]
    }

    /// The blank bytes that a span's line begins with.
    pub fn indent(&self, span: Span) -> String {
        let text = &self.get(span.file).text[..span.start as usize];
        let line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).map(|byte| char::from(*byte)).collect()
    }

    /// nginx's words for a place: `FILE:LINE`, or `command line`.
    pub fn place(&self, span: Span) -> String {
        let source = self.get(span.file);
        match source.origin {
            Origin::CommandLine => "command line".into(),
            _ => format!("{}:{}", source.name, source.line(span.start)),
        }
    }

    /// A key that sorts places in the order in which nginx reads them: into each file where it is included, and out again.
    pub fn reading_order(&self, span: Span) -> Vec<u32> {
        let mut key = vec![span.start, span.file.0];
        let mut file = span.file;
        while let Some(include) = self.get(file).included_at {
            key.extend([include.start, include.file.0]);
            file = include.file;
        }
        key.reverse();
        key
    }

    /// Sorts diagnostics so that those which nginx would meet first come first; those without a place come last, and behind
    /// them what nginx would not say at all: that a directive is not run.
    pub fn sort(&self, diagnostics: &mut [Diagnostic]) {
        diagnostics.sort_by_cached_key(|diagnostic| {
            let met = diagnostic.met_at.or(diagnostic.nginx_at);
            (diagnostic.code == NOT_RUN, diagnostic.stage(), met.is_none(), met.map(|span| self.reading_order(span)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(file: u32, start: u32) -> Span {
        Span { file: FileId(file), start, end: start + 1 }
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = Source::new("f", &b"ab\r\nc\n\n"[..], Origin::File);
        let places = [0, 1, 3, 4, 5, 6, 7].map(|offset| (source.line(offset), source.column(offset)));
        assert_eq!(places, [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1)]);
    }

    #[test]
    fn places_are_said_as_nginx_says_them() {
        let mut sources = Sources::default();
        sources.add(Source::new("", &b"daemon x;"[..], Origin::CommandLine));
        sources.add(Source::new("/etc/nginx/nginx.conf", &b"a;\nb;"[..], Origin::File));
        assert_eq!(sources.place(span(0, 3)), "command line");
        assert_eq!(sources.place(span(1, 3)), "/etc/nginx/nginx.conf:2");
    }

    #[test]
    fn diagnostics_sort_into_and_out_of_includes() {
        let mut sources = Sources::default();
        let text = &b"0123456789"[..];
        sources.add(Source::new("main", text, Origin::File));
        for name in ["first", "second"] {
            sources.add(Source::new(name, text, Origin::File).included_at(Some(span(0, 5))));
        }
        let at = |file, start| Diagnostic::error("x", format!("{file}:{start}")).at(span(file, start));
        let mut all = [Diagnostic::error("x", "end"), at(0, 6), at(2, 0), at(1, 9), at(0, 4), at(1, 3)];
        sources.sort(&mut all);
        let order: Vec<_> = all.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        assert_eq!(order, ["0:4", "1:3", "1:9", "2:0", "0:6", "end"]);
    }
}
