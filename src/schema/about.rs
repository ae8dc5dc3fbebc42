//! What the most used directives do, in a sentence of ours.

use std::{collections::HashMap, sync::LazyLock};

/// A name and its sentence on each line.
const TEXT: &str = include_str!("../../grammar/about.txt");

static SENTENCES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    TEXT.lines().filter_map(|line| line.split_once(' ')).map(|(name, words)| (name, words.trim())).collect()
});

/// What a directive does; none for those that nobody has written about.
pub fn about(name: &str) -> Option<&'static str> {
    SENTENCES.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn sentences_are_of_directives() {
        for (name, words) in SENTENCES.iter() {
            assert!(Schema::nginx().named(name.as_bytes()).next().is_some(), "{name}");
            assert!(words.ends_with('.') && words.len() > 20, "{name}: {words}");
        }
        assert!(SENTENCES.len() > 100);
    }
}
