//! Sets of bytes.

use std::ops::{BitAnd, BitOr, Not};

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const NONE: Self = Self([0; 4]);
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// One byte.
    pub fn one(byte: u8) -> Self {
        Self::NONE.with(byte)
    }

    /// These bytes.
    pub fn of(bytes: &[u8]) -> Self {
        bytes.iter().fold(Self::NONE, |set, byte| set.with(*byte))
    }

    /// The bytes from one to another, both of them in.
    pub fn range(first: u8, last: u8) -> Self {
        (first..=last).fold(Self::NONE, Self::with)
    }

    /// With one more byte.
    #[must_use]
    pub fn with(mut self, byte: u8) -> Self {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        self
    }

    /// Whether a byte is in it.
    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether two sets share a byte.
    pub fn meets(self, other: Self) -> bool {
        !(self & other).is_empty()
    }

    /// With the other case of each letter.
    #[must_use]
    pub fn caseless(self) -> Self {
        self.bytes().fold(self, |set, byte| set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase()))
    }

    /// The bytes from the smallest.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        (0..=255).filter(move |byte| self.has(*byte))
    }
}

impl BitOr for ByteSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }
}

impl BitAnd for ByteSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }
}

impl Not for ByteSet {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|bits| !bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let letters = ByteSet::range(b'a', b'c') | ByteSet::one(b'X');
        assert!(
            letters.has(b'b') && !letters.has(b'd') && letters.caseless().has(b'x') && letters.caseless().has(b'B')
        );
        assert_eq!((!letters & ByteSet::of(b"abcd")).bytes().collect::<Vec<_>>(), b"d");
        assert!(!letters.meets(ByteSet::one(b'd')) && (!ByteSet::ALL).is_empty());
    }
}
