//! What was used lately, within a bound.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::Hash;

use super::NameMap;

/// Values of one thread, in two halves: when the young half is full it becomes the old one, and what nobody
/// asked for meanwhile is gone. Values are handed out by clone.
pub struct Recent<K, V> {
    young: RefCell<NameMap<K, (V, usize)>>,
    old: RefCell<NameMap<K, (V, usize)>>,
    weight: Cell<usize>,
    half: usize,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// At most so much weight, in whatever unit [`Self::insert`] is told.
    pub fn new(most: usize) -> Self {
        Self { young: RefCell::default(), old: RefCell::default(), weight: Cell::new(0), half: most / 2 }
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some((value, _)) = self.young.borrow().get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.borrow_mut().remove_entry(key)?;
        self.insert(key, value.clone(), weight);
        Some(value)
    }

    /// Forgets a value that was asked for just now.
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((_, weight)) = self.young.borrow_mut().remove(key) {
            self.weight.set(self.weight.get() - weight);
        }
    }

    /// Keeps a value, if it is not too heavy for half of all.
    pub fn insert(&self, key: K, value: V, weight: usize) {
        if weight > self.half {
            return;
        }
        if self.weight.get() + weight > self.half {
            *self.old.borrow_mut() = self.young.take();
            self.weight.set(0);
        }
        let replaced = self.young.borrow_mut().insert(key, (value, weight));
        self.weight.set(self.weight.get() + weight - replaced.map_or(0, |(_, weight)| weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used() {
        let recent = Recent::new(8);
        for number in 0..10 {
            recent.insert(number, number, 1);
            assert_eq!(recent.get(&0), Some(0), "{number}");
        }
        assert_eq!(recent.get(&9), Some(9));
        assert_eq!(recent.get(&1), None);
        assert!(recent.young.borrow().len() + recent.old.borrow().len() <= 8);
        recent.remove(&9);
        assert_eq!(recent.get(&9), None);
    }

    #[test]
    fn counts_weights() {
        let recent = Recent::new(8);
        recent.insert("heavy", 1, 5);
        assert_eq!(recent.get("heavy"), None);
        recent.insert("a", 1, 3);
        recent.insert("a", 2, 4);
        assert_eq!((recent.get("a"), recent.weight.get()), (Some(2), 4));
    }
}
