//! Diagnostics: the one type for everything that is said about a configuration.

mod codes;
mod fix;
mod similar;

pub use codes::{CODES, Code, document};
pub use fix::{Certainty, Edit, Fix};
pub use similar::{closest, differ_by_one};

/// A file that was read, by its place in [`crate::load::Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file the bytes stand in.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// Whether all of another span is part of this one.
    pub fn holds(&self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// How grave a diagnostic is. nginx's words for the first two are `emerg` and `warn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, and probably should not be.
    Warning,
    /// Something worth knowing.
    Note,
}

/// One thing said about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// Stable kebab-case name of the rule, such as `unknown-directive`.
    pub code: &'static str,
    /// nginx's own sentence, without the `in FILE:LINE` behind it.
    pub message: String,
    /// The word at fault.
    pub at: Option<Span>,
    /// Where nginx would say the fault is: the `;`, `{` or `}` that it had just read.
    pub nginx_at: Option<Span>,
    /// How far nginx would have read when it complains, where that is not [`Self::nginx_at`]: this orders diagnostics.
    pub met_at: Option<Span>,
    /// A few words for the label under the fault.
    pub label: Option<String>,
    /// A way out that can be pasted.
    pub help: Option<String>,
    /// Other places that matter, each with its label.
    pub related: Vec<(Span, String)>,
    /// A change of the text that mends it.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// The code of two directives that name one folder: nginx's sentence tells where the first one stands, which is
    /// the first place that is [related](Self::related).
    pub const SAME_PATH: &'static str = "same-path";

    /// The code of two directives that name one folder with different levels below it; the places are told likewise.
    pub const PATH_LEVELS: &'static str = "path-levels";

    /// An error with nginx's sentence.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A warning with nginx's sentence.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    /// A note.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self {
            severity,
            code,
            message,
            at: None,
            nginx_at: None,
            met_at: None,
            label: None,
            help: None,
            related: Vec::new(),
            fix: None,
        }
    }

    /// Puts the fault at a word; nginx's line is the same one unless [`Self::nginx_at`] says otherwise.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.at = Some(span);
        self.nginx_at.get_or_insert(span);
        self
    }

    /// Says which byte nginx had just read when it would have complained.
    #[must_use]
    pub fn nginx_at(mut self, span: Span) -> Self {
        self.nginx_at = Some(span);
        self
    }

    /// Says how far nginx would have read when it complains, where it then names another line.
    #[must_use]
    pub fn met_at(mut self, span: Span) -> Self {
        self.met_at = Some(span);
        self
    }

    /// For what nginx finds only after the whole configuration is read, and says without a file and a line; so do we in its
    /// one-line form. The fault keeps its place.
    #[must_use]
    pub fn after_reading(mut self) -> Self {
        self.nginx_at = None;
        self.met_at = None;
        self
    }

    /// When nginx would come upon it: 0 while it reads, and then module by module when it has read everything.
    pub fn stage(&self) -> u8 {
        match self.code {
            "cpu-affinity" if self.nginx_at.is_none() => 1,
            "missing-section" | "worker-connections" => 2,
            "unknown-thread-pool" => 3,
            "zone" if self.message.starts_with("zero size shared memory zone") => 4,
            _ => 0,
        }
    }

    /// Adds the words under the fault.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds a change of the text that mends it.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}
