//! The events that a relay works on, in lines: those about the same thing are published one after the other.

use std::collections::{HashMap, HashSet, VecDeque};

use nodkey_db::Outgoing;

/// The events that are being published, wait behind one that is, or are published and not yet deleted.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Their sequence numbers in the outbox.
    known: HashSet<i64>,
    /// By key: the events that wait behind the one being published.
    waiting: HashMap<String, VecDeque<Outgoing>>,
    /// Published, to be deleted.
    published: Vec<i64>,
    /// Deleted last. An event may have been written while they were there, and be handed over now.
    gone: HashSet<i64>,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The lowest sequence number.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.known.iter().min().copied()
    }

    /// Whether an event is or was here: nothing has to be read for the sake of it.
    pub(super) fn knows(&self, seq: i64) -> bool {
        self.known.contains(&seq) || self.gone.contains(&seq)
    }

    /// Adds an event; returns it if it is to be published now.
    pub(super) fn add(&mut self, outgoing: Outgoing) -> Option<Outgoing> {
        if !self.known.insert(outgoing.seq) {
            return None;
        }
        if let Some(line) = self.waiting.get_mut(outgoing.message.key()) {
            line.push_back(outgoing);
            return None;
        }
        self.waiting.insert(outgoing.message.key().to_owned(), VecDeque::new());
        Some(outgoing)
    }

    /// Adds an event that is published now, whatever was added before; false if it is here.
    pub(super) fn add_alone(&mut self, seq: i64) -> bool {
        self.known.insert(seq)
    }

    /// Notes that an event was published; returns the next of its line.
    pub(super) fn published(&mut self, outgoing: &Outgoing) -> Option<Outgoing> {
        self.published.push(outgoing.seq);
        let key = outgoing.message.key();
        let next = self.waiting.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.waiting.remove(key);
        }
        next
    }

    /// The events to delete.
    pub(super) fn to_delete(&self) -> &[i64] {
        &self.published
    }

    /// Forgets the events that were deleted.
    pub(super) fn deleted(&mut self) {
        self.gone.clear();
        for seq in self.published.drain(..) {
            self.known.remove(&seq);
            self.gone.insert(seq);
        }
    }
}
