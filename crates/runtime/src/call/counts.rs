//! Amounts held by each of many keys.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

/// The amount that each key holds. Keys that hold nothing are removed.
#[derive(Debug)]
pub struct Counts<K>(HashMap<K, u64>);

/// The amount would exceed the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Counts<K> {
    /// Adds to what a key holds, unless the total would exceed `most`.
    pub fn add(&mut self, key: K, amount: u64, most: u64) -> Result<(), Full> {
        match self.0.entry(key) {
            Entry::Occupied(mut held) if held.get().saturating_add(amount) <= most => *held.get_mut() += amount,
            Entry::Vacant(none) if amount <= most => drop(none.insert(amount)),
            _ => return Err(Full),
        }
        Ok(())
    }

    /// Subtracts what was added.
    pub fn remove(&mut self, key: &K, amount: u64) {
        if let Some(held) = self.0.get_mut(key) {
            *held = held.saturating_sub(amount);
            if *held == 0 {
                self.0.remove(key);
            }
        }
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holds_as_much_as_it_may_and_who_holds_nothing_is_forgotten() {
        let mut counts = Counts::default();
        assert_eq!(counts.add("a", 3, 2), Err(Full));
        assert!(counts.is_empty());
        for (key, amount, most, added) in [("a", 2, 3, Ok(())), ("a", 2, 3, Err(Full)), ("a", 1, 3, Ok(())), ("b", 3, 3, Ok(()))] {
            assert_eq!(counts.add(key, amount, most), added, "{key} {amount}");
        }
        counts.remove(&"a", 2);
        assert_eq!(counts.add("a", 2, 3), Ok(()));
        counts.remove(&"a", 3);
        counts.remove(&"b", 3);
        counts.remove(&"c", 1);
        assert!(counts.is_empty());
    }
}
