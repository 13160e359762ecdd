//! Limits the memory of bodies while they arrive: a total for all callers with the same standing, and a share of it for each.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nodkey_runtime::counts::{Counts, Full};

/// A number of bytes shared by several users, each limited to a share.
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

/// Bytes taken from a buffer, returned when dropped.
#[derive(Debug)]
pub struct Taken<'a, K: Hash + Eq> {
    buffer: &'a Buffer<K>,
    by: Option<K>,
    bytes: u64,
}

impl<K: Hash + Eq + Clone> Buffer<K> {
    /// Makes a buffer of `bytes` in total, of which each user may take `of_each`.
    #[must_use]
    pub fn new(bytes: u64, of_each: u64) -> Self {
        Self { bytes, of_each, held: Mutex::new(Held { all: 0, each: Counts::default() }) }
    }

    /// Begins with nothing taken. What is taken counts against `by`, where that is known.
    #[must_use]
    pub fn begin(&self, by: Option<K>) -> Taken<'_, K> {
        Taken { buffer: self, by, bytes: 0 }
    }

    /// The number of bytes taken.
    #[cfg(test)]
    pub fn taken(&self) -> u64 {
        self.held().all
    }

    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> Taken<'_, K> {
    /// Grows to `bytes` in total.
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
