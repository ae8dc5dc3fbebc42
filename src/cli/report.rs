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
            let handler = handler.with_context_lines(0).with_links(false);
            diagnostics.iter().try_for_each(|diagnostic| {
                let mut text = String::new();
                handler.render_report(&mut text, &Shown::new(sources, diagnostic)).map_err(io::Error::other)?;
                out.write_all(text.as_bytes())
            })
        }
    }
}

/// A diagnostic as miette wants it: the labels of one source, and a sub-diagnostic for each other source.
struct Shown<'a> {
    message: Cow<'a, str>,
    severity: Severity,
    help: Option<&'a str>,
    source: Option<Text>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn new(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Self {
        let mut shown = Self {
            message: Cow::Borrowed(&diagnostic.message),
            severity: diagnostic.severity,
            help: diagnostic.help.as_deref(),
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let Some(at) = diagnostic.at.or(diagnostic.nginx_at) else { return shown };
        shown.source = Some(source(sources, at));
        shown.labels.push(LabeledSpan::new_primary_with_span(diagnostic.label.clone(), offsets(at)));
        for (span, label) in others(sources, diagnostic, at) {
            if span.file == at.file {
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
    if let Some(span) = diagnostic.nginx_at.filter(|span| sources.place(*span) != sources.place(at)) {
        others.push((span, "nginx would name this line".into()));
    }
    others
}

fn source(sources: &Sources, span: Span) -> Text {
    let source = sources.get(span.file);
    let name = if source.origin == Origin::CommandLine { "command line" } else { &source.name };
    Text { name: name.into(), bytes: printable(&source.text) }
}

fn offsets(span: Span) -> (usize, usize) {
    (span.start as usize, (span.end - span.start) as usize)
}

/// Bytes that are not text become `?`, so that every other byte keeps its place.
fn printable(text: &Arc<[u8]>) -> Arc<[u8]> {
    if std::str::from_utf8(text).is_ok() {
        return text.clone();
    }
    let mut clean = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        clean.extend_from_slice(chunk.valid().as_bytes());
        clean.resize(clean.len() + chunk.invalid().len(), b'?');
    }
    clean.into()
}

/// A text with its name.
struct Text {
    name: String,
    bytes: Arc<[u8]>,
}

impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let read = self.bytes.read_span(span, before, after)?;
        let (line, column, lines) = (read.line(), read.column(), read.line_count());
        let named = MietteSpanContents::new_named(self.name.clone(), read.data(), *read.span(), line, column, lines);
        Ok(Box::new(named))
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

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.map(|help| Box::new(help) as Box<dyn fmt::Display>)
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
