//! Hash maps for the request path: names of a configuration, looked up by what clients send.
//!
//! The standard library's hash resists whoever knows everything but the key, at a price that stands out where nothing
//! else takes as long. This one is keyed too, by a seed of its own in each map, and multiplies 16 bytes at a time.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map with a fast hash.
pub type NameMap<K, V> = HashMap<K, V, NameHash>;

/// Makes the hashers of one map.
#[derive(Clone, Debug)]
pub struct NameHash {
    seed: u64,
    key: u64,
}

impl Default for NameHash {
    fn default() -> Self {
        let random = RandomState::new();
        Self { seed: random.hash_one(0), key: random.hash_one(1) }
    }
}

impl BuildHasher for NameHash {
    type Hasher = NameHasher;

    #[inline]
    fn build_hasher(&self) -> NameHasher {
        NameHasher { state: self.seed, key: self.key }
    }
}

/// Hashes one name.
pub struct NameHasher {
    state: u64,
    key: u64,
}

impl NameHasher {
    #[inline]
    fn mix(&mut self, first: u64, second: u64) {
        self.state = folded_product(first ^ self.state, second ^ self.key);
    }
}

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let pair = u128::from_le_bytes(*pair);
            self.mix(pair as u64, (pair >> 64) as u64);
        }
        // What is left, as two words that may overlap; the length, which comes beside, tells the rest apart.
        let (first, second) = match (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
                (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
                _ => (rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
            },
        };
        self.mix(first, second);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.state = self.state.rotate_left(32) ^ number.wrapping_mul(GOLDEN_RATIO);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // Some keys leave few bits of a short rest in the lower half: once more, by a number that has them everywhere.
        folded_product(self.state, GOLDEN_RATIO)
    }
}

/// 2^64 divided by the golden ratio: a number whose bits follow no pattern.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// Both halves of a product, so that each bit of either number tells in all of it.
#[inline]
fn folded_product(first: u64, second: u64) -> u64 {
    let product = u128::from(first) * u128::from(second);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names() -> Vec<Vec<u8>> {
        let text = [b'a'; 100];
        let mut names: Vec<Vec<u8>> = (0..text.len()).map(|length| text[..length].to_vec()).collect();
        for at in 0..50 {
            for bit in 0..8 {
                let mut name = text[..50].to_vec();
                name[at] ^= 1 << bit;
                names.push(name);
            }
        }
        names.extend((0..10_000).map(|number| format!("/path/{number}").into_bytes()));
        names
    }

    /// Seeds and keys that are the same in every run.
    fn hashes() -> impl Iterator<Item = NameHash> {
        let mut number = 1_u64;
        let mut next = move || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number ^ number >> 29
        };
        std::iter::repeat_with(move || NameHash { seed: next(), key: next() })
    }

    #[test]
    fn tells_names_apart_by_whatever_seed() {
        let names = names();
        for hash in hashes().take(50) {
            let hashes: HashSet<u64> = names.iter().map(|name| hash.hash_one(name)).collect();
            assert_eq!(hashes.len(), names.len(), "{hash:?}");
            // Maps look at the upper bits, and at as many of the lower ones as they have room for.
            let buckets = |place: fn(u64) -> u64| hashes.iter().map(|hash| place(*hash)).collect::<HashSet<_>>().len();
            assert_eq!(buckets(|hash| hash >> 57), 128, "{hash:?}");
            assert!(buckets(|hash| hash & 0x3fff) > 7500, "{hash:?}");
        }
    }

    #[test]
    fn has_a_seed_of_its_own_in_each_map() {
        assert_ne!(NameHash::default().hash_one(b"name"), NameHash::default().hash_one(b"name"));
    }

    #[test]
    fn finds_what_borrows() {
        let mut map: NameMap<Box<[u8]>, u8> = NameMap::default();
        map.insert(b"some".as_slice().into(), 1);
        assert_eq!(map.get(&b"some"[..]), Some(&1));
        assert_eq!(map.get(&b"same"[..]), None);
    }
}
