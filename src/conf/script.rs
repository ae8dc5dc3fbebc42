//! Compiles strings with variables, and regular expressions.

use bytes::Bytes;

use super::{Ctx, pcre};
use crate::diag::{Diagnostic, Span};
use crate::http::{Part, Regex, Script, VarIndex};
use crate::syntax::Word;

impl Ctx<'_> {
    /// Compiles a word that may hold variables.
    ///
    /// # Errors
    /// nginx's `invalid variable name` and `the closing bracket in "x" variable is missing`.
    pub fn script(&mut self, word: &Word) -> Result<Script, Diagnostic> {
        self.script_from(word, &word.value)
    }

    /// Compiles a part of a word.
    ///
    /// # Errors
    /// As [`Self::script`].
    pub fn script_from(&mut self, word: &Word, text: &[u8]) -> Result<Script, Diagnostic> {
        self.script_at(word.span, text)
    }

    /// Compiles text that stands at a place.
    ///
    /// # Errors
    /// As [`Self::script`].
    pub fn script_at(&mut self, at: Span, text: &[u8]) -> Result<Script, Diagnostic> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            push_literal(&mut parts, &rest[..dollar]);
            let (part, behind) = self.reference(at, &rest[dollar + 1..])?;
            parts.push(part);
            rest = behind;
        }
        push_literal(&mut parts, rest);
        Ok(Script::new(parts))
    }

    /// One reference, behind its `$`.
    fn reference<'t>(&mut self, at: Span, text: &'t [u8]) -> Result<(Part, &'t [u8]), Diagnostic> {
        if let [digit @ b'1'..=b'9', rest @ ..] = text {
            return Ok((Part::Capture(digit - b'0'), rest));
        }
        let (name, rest) = match text {
            [b'{', text @ ..] if !text.is_empty() => {
                let (name, rest) = split_name(text);
                let [b'}', rest @ ..] = rest else {
                    let name = String::from_utf8_lossy(name);
                    let message = format!("the closing bracket in \"{name}\" variable is missing");
                    return Err(Diagnostic::error("invalid-variable", message).at(at));
                };
                (name, rest)
            }
            _ => split_name(text),
        };
        if name.is_empty() {
            return Err(Diagnostic::error("invalid-variable", "invalid variable name").at(at));
        }
        Ok((Part::Variable(self.variable(name, at)), rest))
    }

    /// Compiles a regular expression; its named groups become variables.
    ///
    /// # Errors
    /// PCRE2's words in nginx's sentence; the engine's where it cannot do what PCRE2 can.
    pub fn regex(&mut self, word: &Word, pattern: &[u8], caseless: bool) -> Result<Regex, Diagnostic> {
        if let Some(known) = self.known_regex(pattern, caseless) {
            return Ok(known.clone());
        }
        let mut refused = None;
        let regex = compile_regex(pattern, caseless, |name| {
            self.capture_variable(name).unwrap_or_else(|diagnostic| {
                refused = Some(diagnostic.at(word.span));
                VarIndex(0)
            })
        });
        match refused {
            Some(diagnostic) => Err(diagnostic),
            None => regex
                .inspect(|regex| self.keep_regex(regex, caseless))
                .map_err(|message| Diagnostic::error("invalid-regex", message).at(word.span)),
        }
    }
}

/// Compiles a regular expression; `name` numbers the variable of a named group.
///
/// # Errors
/// PCRE2's words in nginx's sentence; the engine's where it cannot do what PCRE2 can.
pub fn compile_regex(pattern: &[u8], caseless: bool, name: impl FnMut(&str) -> VarIndex) -> Result<Regex, String> {
    let failed = |what: &str, at: usize| {
        let shown = String::from_utf8_lossy(pattern);
        let place = match pattern.get(at..).unwrap_or_default() {
            [] => String::new(),
            behind => format!(" at \"{}\"", String::from_utf8_lossy(behind)),
        };
        format!("pcre2_compile() failed: {what} in \"{shown}\"{place}")
    };
    let translated = pcre::translate(pattern).map_err(|fault| failed(fault.message, fault.at))?;
    Regex::new(pattern, &translated, caseless, name).map_err(|what| failed(&what, pattern.len()))
}

fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.split_at(text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len()))
}

fn push_literal(parts: &mut Vec<Part>, bytes: &[u8]) {
    if !bytes.is_empty() {
        parts.push(Part::Literal(Bytes::copy_from_slice(bytes)));
    }
}
