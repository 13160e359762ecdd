//! Room for bodies while they arrive: so much for all who prove as much, and of that a part for one of them at most.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nodkey_runtime::counts::{Counts, Full};

/// So many bytes, of which each of those who share it fills a part at most.
#[derive(Debug)]
pub struct Buffer<K> {
    bytes: u64,
    of_each: u64,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    all: u64,
    each: Counts<K>,
}

/// Some of a room, given back when dropped.
#[derive(Debug)]
pub struct Taken<'a, K: Hash + Eq> {
    buffer: &'a Buffer<K>,
    by: Option<K>,
    bytes: u64,
}

impl<K: Hash + Eq + Clone> Buffer<K> {
    /// So many bytes in all, and so many of one.
    #[must_use]
    pub fn new(bytes: u64, of_each: u64) -> Self {
        Self { bytes, of_each, held: Mutex::new(Held { all: 0, each: Counts::default() }) }
    }

    /// Begins to take some. It counts against whoever it is `by`, where that is known.
    #[must_use]
    pub fn begin(&self, by: Option<K>) -> Taken<'_, K> {
        Taken { buffer: self, by, bytes: 0 }
    }

    /// How much is taken.
    #[cfg(test)]
    pub fn taken(&self) -> u64 {
        self.held().all
    }

    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> Taken<'_, K> {
    /// Takes up to so many bytes in all.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let mut held = self.buffer.held();
        if held.all + more > self.buffer.bytes {
            return Err(Full);
        }
        if let Some(by) = &self.by {
            held.each.add(by.clone(), more, self.buffer.of_each)?;
        }
        held.all += more;
        drop(held);
        self.bytes += more;
        Ok(())
    }
}

impl<K: Hash + Eq> Drop for Taken<'_, K> {
    fn drop(&mut self) {
        let mut held = self.buffer.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= self.bytes;
        if let Some(by) = &self.by {
            held.each.remove(by, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_fills_a_part_of_a_room_and_what_is_given_back_is_forgotten() {
        let buffer = Buffer::new(1_600, 100);
        let mut first = buffer.begin(Some("one"));
        first.grow(60).unwrap();
        first.grow(90).unwrap();
        first.grow(80).unwrap();
        let mut second = buffer.begin(Some("one"));
        assert_eq!(second.grow(11), Err(Full));
        second.grow(10).unwrap();
        buffer.begin(Some("other")).grow(100).unwrap();
        let mut nobody = buffer.begin(None);
        nobody.grow(1_500).unwrap();
        assert_eq!(buffer.begin(Some("other")).grow(1), Err(Full), "there is an end to all of it");
        drop((first, second, nobody));
        assert_eq!(buffer.taken(), 0);
        assert!(buffer.held().each.is_empty());
    }
}
