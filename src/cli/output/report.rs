//! Prints diagnostics: with miette on a terminal, in nginx's one-line form everywhere else.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
    sync::Arc,
};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteSpanContents, SourceCode};

use crate::{
    diag::{Diagnostic, Severity, Span},
    lint,
    load::{Origin, Sources, level, sentence},
};

/// Other places that are shown for one diagnostic, at most.
const MOST_RELATED: usize = 4;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// nginx's one-line form.
    Plain,
    /// With the source and labels, for a terminal so many columns wide.
    Terminal { width: usize, color: bool },
}

/// Prints diagnostics in the order given.
///
/// # Errors
/// What writing says.
pub(crate) fn print(
    out: &mut dyn Write,
    sources: &Sources,
    diagnostics: &[Diagnostic],
    style: Style,
) -> io::Result<()> {
    match style {
        Style::Plain => diagnostics.iter().try_for_each(|diagnostic| {
            writeln!(out, "nginx: [{}] {}", level(diagnostic).name(), sentence(sources, diagnostic))
        }),
        Style::Terminal { width, color } => {
            let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
            let handler = GraphicalReportHandler::new_themed(theme).with_width(width).without_syntax_highlighting();
            let handler = handler.with_context_lines(1).with_links(false);
            diagnostics.iter().try_for_each(|diagnostic| {
                let mut text = String::new();
                handler.render_report(&mut text, &Shown::new(sources, diagnostic)).map_err(io::Error::other)?;
                writeln!(out, "{text}")
            })
        }
    }
}

/// A diagnostic as miette wants it: the labels of one source, and a sub-diagnostic for each other source.
struct Shown<'a> {
    message: Cow<'a, str>,
    /// The rule that found it, for the comment that allows it and for its page.
    rule: Option<&'static str>,
    severity: Severity,
    help: Option<Cow<'a, str>>,
    source: Option<Text>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn new(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Self {
        let mut shown = Self {
            message: harmless(&diagnostic.message),
            rule: lint::rule(diagnostic.code).map(|rule| rule.code),
            severity: diagnostic.severity,
            help: diagnostic.help.as_deref().map(harmless),
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let Some(at) = diagnostic.at.or(diagnostic.nginx_at) else { return shown };
        shown.source = Some(source(sources, at));
        shown.labels.push(LabeledSpan::new_primary_with_span(diagnostic.label.clone(), offsets(at)));
        for (span, label) in others(sources, diagnostic, at) {
            // Labels are shown from the top: what stands far above the fault would be taken for it.
            let is_far_above = span.file == at.file && sources.line(span) + 1 < sources.line(at);
            if span.file == at.file && !is_far_above {
                shown.labels.push(LabeledSpan::new_with_span(Some(label.into_owned()), offsets(span)));
            } else {
                shown.elsewhere.push(Self::elsewhere(sources, span, label));
            }
        }
        shown
    }

    fn elsewhere(sources: &'a Sources, span: Span, label: Cow<'a, str>) -> Self {
        Self {
            message: label,
            rule: None,
            severity: Severity::Note,
            help: None,
            source: Some(source(sources, span)),
            labels: vec![LabeledSpan::new_primary_with_span(None, offsets(span))],
            elsewhere: Vec::new(),
        }
    }
}

/// The related places, and nginx's line where that is another one.
fn others<'a>(sources: &Sources, diagnostic: &'a Diagnostic, at: Span) -> Vec<(Span, Cow<'a, str>)> {
    let related = diagnostic.related.iter().take(MOST_RELATED);
    let mut others: Vec<_> = related.map(|(span, label)| (*span, Cow::Borrowed(label.as_str()))).collect();
    let is_elsewhere = |span: &Span| {
        let is_supplied = sources.get(span.file).origin == Origin::Supplied;
        sources.place(*span) != sources.place(at) && !is_end(sources, *span) && !is_supplied
    };
    if let Some(span) = diagnostic.nginx_at.filter(is_elsewhere) {
        others.push((span, "nginx would name this line".into()));
    }
    others
}

/// The end of a file has nothing to put a label under.
fn is_end(sources: &Sources, span: Span) -> bool {
    span.start as usize == sources.get(span.file).text.len()
}

fn source(sources: &Sources, span: Span) -> Text {
    let source = sources.get(span.file);
    let name = if source.origin == Origin::CommandLine { "command line" } else { &source.name };
    Text { name: name.into(), bytes: printable(&source.text) }
}

fn offsets(span: Span) -> (usize, usize) {
    (span.start as usize, (span.end - span.start) as usize)
}

/// Bytes that are not text, or that a terminal would obey, become `?`, so that every other byte keeps its place.
fn printable(text: &Arc<[u8]>) -> Arc<[u8]> {
    if std::str::from_utf8(text).is_ok() && !text.iter().any(is_command) {
        return text.clone();
    }
    let mut clean = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        clean.extend_from_slice(chunk.valid().as_bytes());
        clean.resize(clean.len() + chunk.invalid().len(), b'?');
    }
    clean.iter_mut().filter(|byte| is_command(byte)).for_each(|byte| *byte = b'?');
    clean.into()
}

/// Control bytes but tabs and line ends.
fn is_command(byte: &u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// A sentence without such bytes.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |letter: char| u8::try_from(letter).is_ok_and(|byte| is_command(&byte));
    if text.contains(is_harmful) { text.replace(is_harmful, "?").into() } else { text.into() }
}

/// A text with its name.
struct Text {
    name: String,
    bytes: Arc<[u8]>,
}

impl SourceCode for Text {
    /// The whole lines of a span, and no others. Asked for no lines around it, miette wants to know its column.
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        let above = self.bytes.get(..start).ok_or(miette::MietteError::OutOfBounds)?;
        let behind = self.bytes.get(end..).ok_or(miette::MietteError::OutOfBounds)?;
        let start = memchr::memrchr(b'\n', above).map_or(0, |at| at + 1);
        let column = if before == 0 { span.offset() - start } else { 0 };
        let end = end + memchr::memchr(b'\n', behind).unwrap_or(behind.len());
        let line = memchr::memchr_iter(b'\n', &above[..start]).count();
        let lines = 1 + memchr::memchr_iter(b'\n', &self.bytes[start..end]).count();
        let span = (start, end - start).into();
        let name = self.name.clone();
        Ok(Box::new(MietteSpanContents::new_named(name, &self.bytes[start..end], span, line, column, lines)))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.rule.map(|rule| Box::new(rule) as Box<dyn fmt::Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        let shown = self.elsewhere.iter().map(|shown| shown as &dyn miette::Diagnostic);
        if self.elsewhere.is_empty() { None } else { Some(Box::new(shown)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Loaded;

    const TEXT: &str = "events { }\nhttp {\n    sever_name a;\n    gzip on;\n    gzip\n        off;\n    root /a\n}\n";

    fn printed(style: Style) -> String {
        let (loaded, mut found) = Loaded::from_text("/n.conf", TEXT);
        crate::check::check(&loaded, crate::schema::Schema::nginx(), &|_| true, &mut found);
        loaded.sources.sort(&mut found);
        let mut out = Vec::new();
        print(&mut out, &loaded.sources, &found, style).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn on_a_pipe_there_is_one_line_for_each() {
        insta::assert_snapshot!(printed(Style::Plain), @r#"
        nginx: [emerg] unknown directive "sever_name" in /n.conf:3
        nginx: [emerg] "gzip" directive is duplicate in /n.conf:6
        nginx: [emerg] unexpected "}" in /n.conf:8
        "#);
    }

    #[test]
    fn on_a_terminal_the_source_is_shown() {
        insta::assert_snapshot!(printed(Style::Terminal { width: 80, color: false }), @r#"
          × unknown directive "sever_name"
           ╭─[/n.conf:3:5]
         3 │     sever_name a;
           ·     ──────────
           ╰────
          help: did you mean `server_name`? It may stand in: server

          × "gzip" directive is duplicate
           ╭─[/n.conf:5:5]
         4 │     gzip on;
           ·     ──┬─
           ·       ╰── the first one
         5 │     gzip
           ·     ──┬─
           ·       ╰── a block takes one
         6 │         off;
           ·            ┬
           ·            ╰── nginx would name this line
           ╰────

          × unexpected "}"
           ╭─[/n.conf:7:10]
         7 │     root /a
           ·          ─┬
           ·           ╰── a `;` is missing behind this
         8 │ }
           · ┬
           · ╰── nginx would name this line
           ╰────
        "#);
    }

    #[test]
    fn bytes_that_are_not_text_keep_their_place() {
        assert_eq!(&*printable(&Arc::from(&b"a\xff\xfeb\xc3\xa9"[..])), b"a??b\xc3\xa9");
    }
}
