//! The arguments of one directive, and nginx's sentences about them.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use crate::diag::Diagnostic;
use crate::http::MediaTypes;
use crate::schema::value;
use crate::syntax::{Directive, Word};

/// A directive with its arguments; argument 0 is its name, as in nginx.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    directive: &'a Directive,
}

impl<'a> Args<'a> {
    /// Wraps a directive.
    pub fn new(directive: &'a Directive) -> Self {
        Self { directive }
    }

    /// The directive itself, for its block.
    pub fn directive(&self) -> &'a Directive {
        self.directive
    }

    /// How many words there are, the name counted.
    pub fn len(&self) -> usize {
        self.directive.args.len() + 1
    }

    /// The directive's name.
    pub fn name(&self) -> Cow<'a, str> {
        self.directive.name.text()
    }

    /// A word by number; the table has made sure that it is there.
    pub fn word(&self, index: usize) -> &'a Word {
        match index {
            0 => &self.directive.name,
            _ => &self.directive.args[index - 1],
        }
    }

    /// All words behind the name.
    pub fn words(&self) -> &'a [Word] {
        &self.directive.args
    }

    /// A word's bytes.
    pub fn value(&self, index: usize) -> &'a [u8] {
        &self.word(index).value
    }

    /// A word's bytes, to keep.
    pub fn bytes(&self, index: usize) -> Bytes {
        Bytes::copy_from_slice(self.value(index))
    }

    /// A word as text.
    pub fn text(&self, index: usize) -> Cow<'a, str> {
        self.word(index).text()
    }

    /// A word as `on` or `off`.
    ///
    /// # Errors
    /// nginx's sentence about a value that is neither.
    pub fn flag(&self, index: usize) -> Result<bool, Diagnostic> {
        value::flag(self.value(index)).ok_or_else(|| {
            let message = format!(
                "invalid value \"{}\" in \"{}\" directive, it must be \"on\" or \"off\"",
                self.text(index),
                self.name()
            );
            Diagnostic::error("invalid-value", message).at(self.word(index).span)
        })
    }

    /// A word as a size in bytes.
    ///
    /// # Errors
    /// nginx's `"name" directive invalid value`.
    pub fn size(&self, index: usize) -> Result<usize, Diagnostic> {
        let size = value::size(self.value(index)).and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| self.invalid(index))
    }

    /// A word as a size in bytes, `g` allowed.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn offset(&self, index: usize) -> Result<u64, Diagnostic> {
        value::offset(self.value(index)).ok_or_else(|| self.invalid(index))
    }

    /// A word as a time that nginx keeps in milliseconds.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn msec(&self, index: usize) -> Result<Duration, Diagnostic> {
        value::msec(self.value(index)).ok_or_else(|| self.invalid(index))
    }

    /// A word as a time that nginx keeps in seconds.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn sec(&self, index: usize) -> Result<Duration, Diagnostic> {
        value::sec(self.value(index)).ok_or_else(|| self.invalid(index))
    }

    /// A word as a whole number.
    ///
    /// # Errors
    /// nginx's `invalid number`.
    pub fn number(&self, index: usize) -> Result<u64, Diagnostic> {
        value::number(self.value(index))
            .ok_or_else(|| Diagnostic::error("invalid-value", "invalid number").at(self.word(index).span))
    }

    /// A word that must be one of a few.
    ///
    /// # Errors
    /// nginx's `invalid value "x"`.
    pub fn one_of<T: Copy>(&self, index: usize, choices: &[(&str, T)]) -> Result<T, Diagnostic> {
        let found = choices.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(self.value(index)));
        found.map(|(_, value)| *value).ok_or_else(|| {
            Diagnostic::error("invalid-value", format!("invalid value \"{}\"", self.text(index)))
                .at(self.word(index).span)
        })
    }

    /// Words that each stand for bits, put together.
    ///
    /// # Errors
    /// nginx's `invalid value "x"`.
    pub fn bits(&self, choices: &[(&str, u32)]) -> Result<u32, Diagnostic> {
        (1..self.len()).try_fold(0, |bits, index| Ok(bits | self.one_of(index, choices)?))
    }

    /// Count and size of buffers.
    ///
    /// # Errors
    /// nginx's `"name" directive invalid value`.
    pub fn buffers(&self) -> Result<(usize, usize), Diagnostic> {
        let (count, size) = value::buffers(self.value(1), self.value(2)).ok_or_else(|| self.invalid(1))?;
        usize::try_from(count).ok().zip(usize::try_from(size).ok()).ok_or_else(|| self.invalid(1))
    }

    /// Adds the words to a list of media types, which begins with its defaults.
    pub fn add_types(&self, types: &mut Option<MediaTypes>, defaults: &[&str]) {
        let types = types.get_or_insert_with(|| MediaTypes::new(defaults.iter().map(|name| name.as_bytes())));
        self.words().iter().for_each(|word| types.insert(&word.value));
    }

    /// nginx's `"name" directive invalid value`, at a word.
    pub fn invalid(&self, index: usize) -> Diagnostic {
        Diagnostic::error("invalid-value", format!("\"{}\" directive invalid value", self.name()))
            .at(self.word(index).span)
    }

    /// nginx's `invalid parameter "x"`, at a word.
    pub fn invalid_parameter(&self, index: usize) -> Diagnostic {
        Diagnostic::error("invalid-parameter", format!("invalid parameter \"{}\"", self.text(index)))
            .at(self.word(index).span)
    }

    /// nginx's `"name" directive is duplicate`.
    pub fn duplicate(&self) -> Diagnostic {
        Diagnostic::error("duplicate-directive", format!("\"{}\" directive is duplicate", self.name()))
            .at(self.directive.name.span)
    }

    /// nginx's `"name" directive is incompatible with "other"`.
    pub fn incompatible(&self, other: &str) -> Diagnostic {
        let message = format!("\"{}\" directive is incompatible with \"{other}\"", self.name());
        Diagnostic::error("duplicate-directive", message).at(self.directive.name.span)
    }

    /// nginx's `invalid number of arguments in "name" directive`.
    pub fn wrong_count(&self) -> Diagnostic {
        let message = format!("invalid number of arguments in \"{}\" directive", self.name());
        Diagnostic::error("argument-count", message).at(self.directive.name.span)
    }

    /// An error with a sentence of the caller's, at a word.
    pub fn error(&self, index: usize, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, message).at(self.word(index).span)
    }
}
