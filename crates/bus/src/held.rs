//! Events that failed and wait for a retry, each with the events about the same thing behind it.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::source::Delivery;

/// The first event of a line has failed. The others wait for it, so that they do not overtake it.
pub(crate) struct Line {
    /// In order of arrival; never empty.
    pub(crate) deliveries: VecDeque<Delivery>,
    /// How many times the first has failed.
    pub(crate) failures: u32,
    /// When it first failed.
    pub(crate) since: Instant,
    /// When to retry.
    pub(crate) due: Instant,
}

/// Lines by key.
#[derive(Default)]
pub(crate) struct Held(HashMap<String, Line>);

impl Held {
    /// Number of waiting events.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|line| line.deliveries.len()).sum()
    }

    /// Queues the events that have to wait; returns the others.
    pub(crate) fn line_up(&mut self, batch: Vec<Delivery>) -> VecDeque<Delivery> {
        let mut free = VecDeque::with_capacity(batch.len());
        for delivery in batch {
            match self.0.get_mut(delivery.message().key()) {
                Some(line) => line.deliveries.push_back(delivery),
                None => free.push_back(delivery),
            }
        }
        free
    }

    /// Keeps a line until it is due.
    pub(crate) fn keep(&mut self, line: Line) {
        if let Some(first) = line.deliveries.front() {
            self.0.insert(first.message().key().to_owned(), line);
        }
    }

    /// When the next line is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|line| line.due).min()
    }

    /// Takes a line that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Line> {
        let key = self.0.iter().filter(|(_, line)| line.due <= now).min_by_key(|(_, line)| line.due)?.0.clone();
        self.0.remove(&key)
    }

    /// Since when an event has been failing.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.values().map(|line| line.since).min()
    }
}
