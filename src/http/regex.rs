//! Regular expressions over raw bytes, with nginx's captures and named captures.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fancy_regex::{BytesMode, RegexBuilder};

use super::{Request, VarIndex};
use crate::log::Level;

/// A compiled regular expression. A copy shares what was compiled, and searches in memory of its own, which it has from its
/// first search on.
pub struct Regex {
    shared: Arc<Shared>,
    own: OnceLock<fancy_regex::Regex>,
}

/// What copies share.
struct Shared {
    pattern: Box<[u8]>,
    compiled: fancy_regex::Regex,
    groups: usize,
    names: Box<[(usize, VarIndex)]>,
    /// It holds `$`, which to PCRE stands before a last line feed too.
    ends: bool,
}

impl Clone for Regex {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), own: OnceLock::new() }
    }
}

/// A search that went past the limit of backtracking; nginx answers 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("regular expression exceeded the match limit")]
pub struct MatchLimit;

impl Regex {
    /// Compiles a pattern: as written, and in the engine's language. `name` numbers the variable of a named group.
    ///
    /// # Errors
    /// The engine's words about what it cannot do.
    pub fn new(
        pattern: &[u8],
        translated: &str,
        caseless: bool,
        mut name: impl FnMut(&str) -> VarIndex,
    ) -> Result<Self, String> {
        let compiled = RegexBuilder::new(translated)
            .bytes_mode(BytesMode::Ascii)
            .case_insensitive(caseless)
            .build()
            .map_err(|error| error.to_string())?;
        let names = compiled
            .capture_names()
            .enumerate()
            .filter_map(|(group, group_name)| Some((group, name(group_name?))))
            .collect();
        let ends = pattern.contains(&b'$');
        let shared = Shared { pattern: pattern.into(), groups: compiled.captures_len(), compiled, names, ends };
        Ok(Self { shared: Arc::new(shared), own: OnceLock::new() })
    }

    /// The engine with memory of its own.
    fn engine(&self) -> &fancy_regex::Regex {
        self.own.get_or_init(|| self.shared.compiled.clone())
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &[u8] {
        &self.shared.pattern
    }

    /// How many groups it has, the whole match not counted.
    pub fn group_count(&self) -> usize {
        self.shared.groups - 1
    }

    /// Whether it matches; captures are not kept.
    ///
    /// # Errors
    /// [`MatchLimit`] where the search was given up.
    pub fn is_match(&self, subject: &[u8]) -> Result<bool, MatchLimit> {
        let found = self.engine().is_match(subject).map_err(|_| MatchLimit)?;
        match subject {
            [line @ .., b'\n'] if !found && self.shared.ends => self.engine().is_match(line).map_err(|_| MatchLimit),
            _ => Ok(found),
        }
    }

    /// Searches the subject; a match leaves its captures, and those with names in their variables.
    ///
    /// # Errors
    /// [`MatchLimit`] where the search was given up, which is then in the log.
    pub fn exec(&self, r: &Request, subject: &[u8]) -> Result<bool, MatchLimit> {
        self.search(r, subject).inspect_err(|_| {
            r.log_with(Level::Alert, |line| {
                line.put("pcre2_match() failed: -47 on \"").bytes(subject);
                line.put("\" using \"").bytes(&self.shared.pattern).put('"');
            });
        })
    }

    fn search(&self, r: &Request, subject: &[u8]) -> Result<bool, MatchLimit> {
        if self.shared.groups == 1 {
            let found = self.is_match(subject)?;
            if found {
                r.set_captures(Captures::default());
            }
            return Ok(found);
        }
        let Some(captures) = self.captures(subject)? else { return Ok(false) };
        for (group, index) in &self.shared.names {
            r.variables().keep(*index, Some(captures.group(*group)));
        }
        r.set_captures(captures);
        Ok(true)
    }

    /// Searches the subject; a match leaves nothing in any request.
    ///
    /// # Errors
    /// [`MatchLimit`] where the search was given up.
    pub fn captures(&self, subject: &[u8]) -> Result<Option<Captures>, MatchLimit> {
        let found = match (self.engine().captures(subject).map_err(|_| MatchLimit)?, subject) {
            (None, [line @ .., b'\n']) if self.shared.ends => self.engine().captures(line).map_err(|_| MatchLimit)?,
            (found, _) => found,
        };
        let Some(found) = found else { return Ok(None) };
        let groups = (0..self.shared.groups).map(|group| found.get(group).map(|m| (m.start(), m.end()))).collect();
        Ok(Some(Captures { subject: Bytes::copy_from_slice(subject), groups }))
    }

    /// The groups that have names, with the numbers of the variables they were given.
    pub fn names(&self) -> &[(usize, VarIndex)] {
        &self.shared.names
    }
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Regex({:?})", String::from_utf8_lossy(&self.shared.pattern))
    }
}

/// What the last regular expression captured.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    subject: Bytes,
    groups: Vec<Option<(usize, usize)>>,
}

impl Captures {
    /// The bytes of a group, empty where it took no part; group 0 is the whole match.
    pub fn slice(&self, group: usize) -> &[u8] {
        match self.groups.get(group) {
            Some(Some((start, end))) => &self.subject[*start..*end],
            _ => &[],
        }
    }

    /// The number behind the last group that took part.
    pub fn len(&self) -> usize {
        self.groups.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// The same, to keep.
    pub fn group(&self, group: usize) -> Bytes {
        match self.groups.get(group) {
            Some(Some((start, end))) => self.subject.slice(*start..*end),
            _ => Bytes::new(),
        }
    }
}
