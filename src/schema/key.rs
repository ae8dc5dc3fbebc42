//! A hash for names of the language: fast, and fit for tables that are part of the program alone.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes the hashers of a table whose keys nobody but the program chooses.
pub(super) type NameHash = BuildHasherDefault<NameHasher>;

/// Hashes one name.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = fold(self.0, bytes);
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.0 = length as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The upper half tells names apart best, and tables look at the lower.
        self.0 ^ self.0 >> 32
    }
}

/// A number for a name; few names have the same.
#[inline]
pub(crate) fn key(name: &[u8]) -> u64 {
    fold(name.len() as u64, name)
}

#[inline]
fn fold(start: u64, name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([rest]);
    words.fold(start, |key, word| (key.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::schema::Schema;

    #[test]
    fn names_have_numbers_of_their_own() {
        let names: HashSet<_> = Schema::nginx().directives().iter().map(|spec| spec.name).collect();
        let keys: HashSet<_> = names.iter().map(|name| key(name.as_bytes())).collect();
        assert_eq!(keys.len(), names.len());
        assert_ne!(key(b"a"), key(b"a\0"));
    }
}
