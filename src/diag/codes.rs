//! Every code that a diagnostic may have, and what it means.

/// A code.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Stable kebab-case name.
    pub code: &'static str,
    /// What it is about, in one line.
    pub meaning: &'static str,
}

/// All codes but those of the rules in [`crate::lint`], by name.
pub const CODES: &[Code] = &[];
