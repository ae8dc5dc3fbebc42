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
        let product = u128::from(first ^ self.state) * u128::from(second ^ self.key);
        self.state = product as u64 ^ (product >> 64) as u64;
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
        self.state = self.state.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tells_names_apart() {
        let hash = NameHash::default();
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
        let hashes: HashSet<u64> = names.iter().map(|name| hash.hash_one(name)).collect();
        assert_eq!(hashes.len(), names.len());
        // Maps look at the upper bits, and at as many of the lower ones as they have room for.
        let buckets = |place: fn(u64) -> u64| hashes.iter().map(|hash| place(*hash)).collect::<HashSet<_>>().len();
        assert_eq!(buckets(|hash| hash >> 57), 128);
        assert!(buckets(|hash| hash & 0x3fff) > 7000);
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
