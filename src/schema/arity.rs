//! How many arguments a directive takes, as nginx counts them.

use std::fmt;

/// How many arguments a directive takes, its name not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// That many or more.
    AtLeast(usize),
    /// One of the numbers whose bit is set; nginx knows no fixed number beyond seven.
    OneOf(u8),
}

impl Arity {
    /// No argument.
    pub const NONE: Self = Self::exactly(0);

    /// That many, at most seven.
    pub const fn exactly(count: u32) -> Self {
        Self::OneOf(1 << count)
    }

    /// Whether it takes `count` arguments.
    pub fn takes(self, count: usize) -> bool {
        match self {
            Self::AtLeast(least) => count >= least,
            Self::OneOf(counts) => count < 8 && counts & (1 << count) != 0,
        }
    }

    /// Reads `1`, `1-3`, `2+` or `1|3`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(least) = text.strip_suffix('+') {
            return least.parse().ok().map(Self::AtLeast);
        }
        let mut counts = 0;
        for part in text.split('|') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            for count in first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?.min(8) {
                counts |= 1u8.checked_shl(count)?;
            }
        }
        Some(Self::OneOf(counts))
    }
}

/// `no arguments`, `1 argument`, `1 to 3 arguments`, `at least 2 arguments`
impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AtLeast(1) => f.write_str("at least 1 argument"),
            Self::AtLeast(least) => write!(f, "at least {least} arguments"),
            Self::NONE => f.write_str("no arguments"),
            Self::OneOf(2) => f.write_str("1 argument"),
            Self::OneOf(counts) => {
                let (first, last) = (counts.trailing_zeros(), 7 - counts.leading_zeros());
                let word = if counts.count_ones() > 2 { "to" } else { "or" };
                if first == last {
                    write!(f, "{first} arguments")
                } else {
                    write!(f, "{first} {word} {last} arguments")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_counts() {
        let taken = |text: &str| {
            let arity = Arity::parse(text).expect("an arity");
            (0..10).filter(|&count| arity.takes(count)).collect::<Vec<_>>()
        };
        assert_eq!((taken("0"), taken("1"), taken("1-3")), (vec![0], vec![1], vec![1, 2, 3]));
        assert_eq!((taken("1|3"), taken("7"), taken("2+").len()), (vec![1, 3], vec![7], 8));
        assert_eq!((Arity::parse("x"), Arity::parse("8"), Arity::parse("")), (None, None, None));
    }

    #[test]
    fn counts_are_said_in_words() {
        let said = |text: &str| Arity::parse(text).expect("an arity").to_string();
        assert_eq!(
            (said("0"), said("1"), said("2")),
            ("no arguments".into(), "1 argument".into(), "2 arguments".into())
        );
        assert_eq!((said("1-2"), said("1-4")), ("1 or 2 arguments".into(), "1 to 4 arguments".into()));
        assert_eq!((said("1+"), said("2+")), ("at least 1 argument".into(), "at least 2 arguments".into()));
    }
}
