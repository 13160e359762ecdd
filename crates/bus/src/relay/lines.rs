//! The events that a relay works on, in lines: those about the same thing are published one after the other.

use std::collections::{HashMap, HashSet, VecDeque};

use nodkey_db::Outgoing;

/// The events that are ready or being published, wait behind one that is, or are published and not yet deleted.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Their sequence numbers in the outbox.
    known: HashSet<i64>,
    /// The lines.
    by_key: HashMap<String, Line>,
    /// The keys of the lines that are not busy, and the number of events in these.
    ready: VecDeque<String>,
    waiting: usize,
    /// The payloads that are in memory.
    bytes: usize,
    /// Published, to be deleted.
    published: Vec<i64>,
    /// Deleted last. An event may have been written while they were there, and be handed over now.
    gone: HashSet<i64>,
}

/// The events about one thing that are not being published, oldest first.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Outgoing>,
    /// Whether others about it are being published, or are about to be again.
    is_busy: bool,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The size of the payloads that are in memory.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The lowest sequence number.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.known.iter().min().copied()
    }

    /// Whether an event is or was here: nothing has to be read for the sake of it.
    pub(super) fn knows(&self, seq: i64) -> bool {
        self.known.contains(&seq) || self.gone.contains(&seq)
    }

    /// Adds an event, unless it is or was here.
    pub(super) fn add(&mut self, outgoing: Outgoing) {
        if self.knows(outgoing.seq) {
            return;
        }
        self.known.insert(outgoing.seq);
        self.bytes += outgoing.message.payload.len();
        let key = outgoing.message.key();
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.to_owned(), Line::default());
            self.ready.push_back(key.to_owned());
        }
        if let Some(line) = self.by_key.get_mut(key) {
            self.waiting += usize::from(!line.is_busy);
            line.waiting.push_back(outgoing);
        }
    }

    /// Adds an event that is published now, whatever was added before; false if it is or was here.
    pub(super) fn add_alone(&mut self, seq: i64) -> bool {
        !self.knows(seq) && self.known.insert(seq)
    }

    /// How many events [`Self::take`] could return.
    pub(super) const fn ready(&self) -> usize {
        self.waiting
    }

    /// Takes events that may be published now, together: at most so many, and of so many bytes unless the first is larger. Those about the
    /// same thing are next to one another. The rest of their lines waits for them.
    pub(super) fn take(&mut self, count: usize, bytes: usize) -> Vec<Outgoing> {
        let (mut taken, mut size) = (Vec::new(), 0);
        while let Some(key) = self.ready.front()
            && let Some(line) = self.by_key.get_mut(key)
        {
            let before = taken.len();
            while let Some(next) = line.waiting.front()
                && (taken.is_empty() || taken.len() < count && size + next.message.payload.len() <= bytes)
            {
                size += next.message.payload.len();
                taken.extend(line.waiting.pop_front());
            }
            if taken.len() == before {
                break;
            }
            line.is_busy = true;
            self.waiting -= taken.len() - before + line.waiting.len();
            self.ready.pop_front();
        }
        taken
    }

    /// Notes what became of events that were taken together. Behind a refused one its line goes on waiting: none may overtake it.
    pub(super) fn settle(&mut self, taken: &[Outgoing], refused: &[Outgoing]) {
        self.published.extend(taken.iter().map(|event| event.seq));
        self.bytes = self.bytes.saturating_sub(taken.iter().map(|event| event.message.payload.len()).sum());
        let held: HashSet<_> = refused.iter().map(|event| event.message.key()).collect();
        for event in taken {
            if !held.contains(event.message.key()) {
                self.release(event.message.key());
            }
        }
    }

    /// Makes refused events ready again, ahead of what waits behind them.
    pub(super) fn put_back(&mut self, refused: Vec<Outgoing>) {
        let keys: Vec<_> = refused.iter().map(|event| event.message.key().to_owned()).collect();
        for event in refused.into_iter().rev() {
            if let Some(line) = self.by_key.get_mut(event.message.key()) {
                line.waiting.push_front(event);
            }
        }
        for key in keys {
            self.release(&key);
        }
    }

    /// Lets a busy line go on, or ends it when nothing waits in it.
    fn release(&mut self, key: &str) {
        let Some(line) = self.by_key.get_mut(key).filter(|line| line.is_busy) else { return };
        if line.waiting.is_empty() {
            self.by_key.remove(key);
        } else {
            line.is_busy = false;
            self.waiting += line.waiting.len();
            self.ready.push_back(key.to_owned());
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nodkey_db::Message;
    use nodkey_kernel::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    const MANY: usize = 1 << 20;

    fn event(seq: i64, about: &str) -> Outgoing {
        let message = Message {
            id: Uuid::nil(),
            subject: format!("evt.registry.v1.x.p.{about}"),
            payload: vec![0; 10].into(),
            headers: BTreeMap::new(),
        };
        Outgoing { seq, created_at: Timestamp::from_seconds(0), message }
    }

    fn lines(events: &[(i64, &str)]) -> Lines {
        let mut lines = Lines::default();
        for (seq, about) in events {
            lines.add(event(*seq, about));
        }
        lines
    }

    fn seqs(events: &[Outgoing]) -> Vec<i64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn events_about_the_same_thing_are_taken_together_or_one_after_the_other() {
        let mut lines = lines(&[(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "a")]);
        assert_eq!(lines.ready(), 5);
        let first = lines.take(2, MANY);
        assert_eq!(seqs(&first), [1, 3]);
        assert_eq!(lines.ready(), 2, "5 waits for them");
        let second = lines.take(10, MANY);
        assert_eq!((seqs(&second), lines.ready()), (vec![2, 4], 0));
        lines.add(event(6, "a"));
        assert_eq!(lines.ready(), 0);
        lines.settle(&first, &[]);
        let third = lines.take(10, MANY);
        assert_eq!((seqs(&third), lines.ready(), lines.to_delete()), (vec![5, 6], 0, &[1, 3][..]));
        lines.settle(&second, &[]);
        lines.settle(&third, &[]);
        lines.deleted();
        assert_eq!((lines.len(), lines.bytes(), lines.by_key.len()), (0, 0, 0));
    }

    #[test]
    fn nothing_overtakes_a_refused_event() {
        let mut lines = lines(&[(1, "a"), (2, "a"), (3, "b"), (4, "a")]);
        let mut taken = lines.take(3, MANY);
        let refused = taken.split_off(1);
        assert_eq!((seqs(&taken), seqs(&refused)), (vec![1], vec![2, 4]));
        lines.settle(&taken, &refused);
        assert_eq!(seqs(&lines.take(10, MANY)), [3], "a waits");
        lines.add(event(5, "a"));
        lines.put_back(refused);
        assert_eq!(lines.ready(), 3);
        assert_eq!(seqs(&lines.take(10, MANY)), [2, 4, 5]);
    }

    #[test]
    fn what_is_taken_has_a_size_and_what_is_larger_goes_alone() {
        let mut lines = lines(&[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(seqs(&lines.take(10, 25)), [1, 2]);
        assert_eq!(seqs(&lines.take(10, 5)), [3]);
        assert!(lines.take(10, 5).is_empty());
    }

    #[test]
    fn an_event_is_added_once_even_if_it_is_handed_over_after_its_deletion() {
        let mut lines = lines(&[(1, "a"), (1, "a")]);
        let taken = lines.take(10, MANY);
        assert_eq!(seqs(&taken), [1]);
        lines.settle(&taken, &[]);
        lines.deleted();
        lines.add(event(1, "a"));
        assert_eq!((lines.len(), lines.ready(), lines.knows(1)), (0, 0, true));
    }
}
