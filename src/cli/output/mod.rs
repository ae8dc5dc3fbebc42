//! How diagnostics are printed: for people, for nginx's readers, for programs and for code forges.

mod github;
mod json;
mod place;
pub(super) mod report;
mod sarif;

use std::io::{self, Write};

use crate::{
    diag::Severity,
    inspect::Inspection,
    load::{level, sentence},
};

pub(super) const FORMATS: &[&str] = &["human", "nginx", "json", "sarif", "github"];

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// With the source, labels and a summary.
    Human,
    /// nginx's lines.
    Nginx,
    /// One object with all diagnostics.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// GitHub's workflow commands.
    Github,
}

impl Format {
    /// For people on a terminal, nginx's lines elsewhere.
    pub(super) fn usual(is_terminal: bool) -> Self {
        if is_terminal { Self::Human } else { Self::Nginx }
    }

    /// The format of a word.
    pub(super) fn named(word: &str) -> Option<Self> {
        let formats = [Self::Human, Self::Nginx, Self::Json, Self::Sarif, Self::Github];
        FORMATS.iter().position(|known| *known == word).map(|at| formats[at])
    }
}

/// Prints what was seen. Off a terminal, what is for people is 100 columns wide and has no colours.
pub(super) fn print(
    out: &mut dyn Write,
    looks: &[Inspection],
    format: Format,
    terminal: Option<report::Style>,
) -> io::Result<()> {
    match format {
        Format::Human => human(out, looks, terminal.unwrap_or(report::Style::Terminal { width: 100, color: false })),
        Format::Nginx => looks.iter().try_for_each(|look| {
            let sources = &look.loaded.sources;
            look.diagnostics
                .iter()
                .try_for_each(|said| writeln!(out, "nginx: [{}] {}", level(said).name(), sentence(sources, said)))
        }),
        Format::Json => json::print(out, looks),
        Format::Sarif => sarif::print(out, looks),
        Format::Github => github::print(out, looks),
    }
}

fn human(out: &mut dyn Write, looks: &[Inspection], style: report::Style) -> io::Result<()> {
    for look in looks {
        report::print(out, &look.loaded.sources, &look.diagnostics, style)?;
    }
    let count =
        |severity| looks.iter().flat_map(|look| &look.diagnostics).filter(|said| said.severity == severity).count();
    let files = looks.len();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    writeln!(out, "{}, {} in {}", many(errors, "error"), many(warnings, "warning"), many(files, "file"))
}
