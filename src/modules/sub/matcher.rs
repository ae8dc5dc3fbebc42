//! Looks for several patterns at once, in any case, in text that comes in pieces.

use std::sync::Arc;

use bytes::Bytes;

/// Patterns, ordered by the letter that the end of the shortest one falls on.
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
    shortest: usize,
    /// How far the window may move when its last letter is this one; 0 where something may end its window here.
    shift: Box<[u8; 256]>,
    /// Where the patterns of each letter begin.
    index: Box<[u8; 257]>,
}

struct Pattern {
    /// In lower case.
    text: Box<[u8]>,
    /// Its number as given.
    pair: usize,
}

impl Matcher {
    /// Prepares up to 255 patterns; empty ones are left out. `None` where nothing is left.
    pub(super) fn new(patterns: &[Bytes]) -> Option<Self> {
        let kept = patterns.iter().enumerate().filter(|(_, text)| !text.is_empty());
        let mut patterns: Vec<Pattern> =
            kept.map(|(pair, text)| Pattern { text: text.to_ascii_lowercase().into(), pair }).collect();
        let shortest = patterns.iter().map(|pattern| pattern.text.len()).min()?;
        let last = shortest - 1;
        patterns.sort_by_key(|pattern| pattern.text[last]);
        let reach = shortest.min(255);
        let mut shift = Box::new([reach as u8; 256]);
        let mut index = Box::new([patterns.len() as u8; 257]);
        let mut letter = 0;
        for (number, pattern) in patterns.iter().enumerate() {
            for back in 0..reach {
                let slot = &mut shift[usize::from(pattern.text[last - back])];
                *slot = (*slot).min(back as u8);
            }
            while letter <= usize::from(pattern.text[last]) {
                index[letter] = number as u8;
                letter += 1;
            }
        }
        Some(Self { patterns, shortest, shift, index })
    }

    /// How many patterns there are.
    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }
}

/// A place where a pattern was found.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The pattern's number as given.
    pub(super) pair: usize,
}

/// A search through one text. The text that [`Search::hold`] holds back must stand before the next piece.
pub(super) struct Search {
    matcher: Arc<Matcher>,
    once: bool,
    used: Vec<bool>,
    /// The end of the window: the shortest pattern, where it may be.
    window: usize,
    /// The pattern that may have begun, and for which the search waits.
    waiting: usize,
}

enum Match {
    Whole,
    /// The text ends before the pattern does.
    Begun,
    None,
}

impl Search {
    pub(super) fn new(matcher: Arc<Matcher>, once: bool) -> Self {
        let used = vec![false; matcher.len()];
        Self { window: matcher.shortest - 1, matcher, once, used, waiting: 0 }
    }

    /// The next place; `None` where more text is needed.
    pub(super) fn next(&mut self, text: &[u8]) -> Option<Found> {
        let last = self.matcher.shortest - 1;
        while let Some(letter) = text.get(self.window) {
            let letter = usize::from(letter.to_ascii_lowercase());
            let shift = usize::from(self.matcher.shift[letter]);
            if shift > 0 {
                self.window += shift;
                continue;
            }
            let start = self.window - last;
            let candidates = usize::from(self.matcher.index[letter])..usize::from(self.matcher.index[letter + 1]);
            for number in candidates.start.max(self.waiting)..candidates.end {
                if self.once && self.used[number] {
                    continue;
                }
                match self.compare(&text[start..], number) {
                    Match::None => continue,
                    Match::Begun => {
                        self.waiting = number;
                        return None;
                    }
                    Match::Whole => {}
                }
                let pattern = &self.matcher.patterns[number];
                let end = start + pattern.text.len();
                self.used[number] = true;
                self.window = end + last;
                self.waiting = 0;
                return Some(Found { start, end, pair: pattern.pair });
            }
            self.window += 1;
            self.waiting = 0;
        }
        None
    }

    fn compare(&self, text: &[u8], number: usize) -> Match {
        let pattern = &self.matcher.patterns[number].text;
        let length = pattern.len().min(text.len());
        if !text[..length].eq_ignore_ascii_case(&pattern[..length]) {
            return Match::None;
        }
        if length == pattern.len() { Match::Whole } else { Match::Begun }
    }

    /// From where on the text is needed again, before the next piece.
    pub(super) fn hold(&mut self, text: &[u8]) -> usize {
        let start = (self.window + 1 - self.matcher.shortest).min(text.len());
        self.window -= start;
        start
    }

    /// The same for text that was held back, where only the beginning of a pattern is worth it.
    pub(super) fn hold_little(&mut self, text: &[u8]) -> usize {
        loop {
            let start = self.window + 1 - self.matcher.shortest;
            let begins = |number| matches!(self.compare(&text[start..], number), Match::Begun);
            if start >= text.len() || (0..self.matcher.len()).any(begins) {
                return self.hold(text);
            }
            self.window += 1;
        }
    }
}
