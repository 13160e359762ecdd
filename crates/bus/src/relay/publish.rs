//! How a relay publishes: to NATS, in lines, or to the consumers in this process.

use std::time::Duration;

use nodkey_db::Outgoing;
use nodkey_kernel::error::chain;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{
    COMPLAIN, GATHER, Relay,
    feeds::{Answer, answers},
    send::{Sent, send},
};
use crate::{
    bus::{MAX_TOGETHER, MAX_TOGETHER_BYTES},
    metrics::PUBLISHED,
    spans::sending,
};

/// From how many events that wait on it is worth while to publish them together, and how many such batches are under way at most.
const TOGETHER: usize = 64;
const BATCHES: usize = 3;
/// How many events are under way one by one before others wait until they are enough for a batch.
const SINGLE: usize = 32;
/// Delay before a refused event is sent again, in milliseconds; half of it is random.
const AGAIN: u32 = 2000;

/// What the consumers in this process did with an event.
pub(super) struct Heard {
    outgoing: Outgoing,
    answers: Vec<(&'static str, Answer)>,
}

impl Relay {
    /// Takes on an event, unless it is or was here.
    pub(super) fn track(&mut self, outgoing: Outgoing) {
        if self.feeds.is_none() {
            self.lines.add(outgoing);
        } else if self.lines.add_alone(outgoing.seq) {
            self.give(outgoing);
        }
    }

    /// Gives an event to the consumers in this process. They are given the next one about the same thing behind it.
    fn give(&mut self, mut outgoing: Outgoing) {
        let Some(feeds) = &mut self.feeds else { return };
        let span = sending(&self.bus, &mut outgoing.message);
        self.bus.sign(&mut outgoing.message, outgoing.created_at);
        let given = feeds.give(outgoing.seq, &outgoing.message);
        self.given.push(Box::pin(async move {
            let answers = answers(given).await;
            drop(span);
            Heard { outgoing, answers }
        }));
        self.sweep_soon();
    }

    /// Notes what the consumers in this process did with an event. It can be deleted: what some have not had is kept for them.
    pub(super) fn hear(&mut self, Heard { outgoing, answers }: Heard) {
        if let Some(feeds) = &mut self.feeds {
            feeds.note(outgoing.seq, answers);
        }
        Self::count(&outgoing);
        self.lines.settle(&[outgoing], &[]);
        self.sweep_soon();
    }

    /// Sends what is ready: one event after the other, or together where the bus takes that and many wait.
    pub(super) fn dispatch(&mut self) {
        while self.lines.ready() > 0 {
            let count = match self.lines.ready() {
                _ if !self.bus.takes_many() => 1,
                TOGETHER.. if self.batches < BATCHES => MAX_TOGETHER,
                TOGETHER.. => return,
                _ if self.in_flight.len() < SINGLE => 1,
                _ => return,
            };
            let events = self.lines.take(count, MAX_TOGETHER_BYTES);
            self.batches += usize::from(events.len() > 1);
            self.in_flight.push(Box::pin(send(self.bus.clone(), events)));
        }
    }

    /// Lets the lines of published events go on. A refused event is sent again after a pause, and its line waits for it.
    pub(super) fn note(&mut self, Sent { taken, refused, error, is_batch }: Sent) {
        self.batches -= usize::from(is_batch);
        for event in &taken {
            Self::count(event);
        }
        self.lines.settle(&taken, &refused);
        if !taken.is_empty() {
            self.sweep_soon();
        }
        let Some(first) = refused.first() else { return };
        if let Some(e) = error
            && self.complains()
        {
            warn!(service = self.service, event = %first.message.id, error = chain(&e), "events could not be published; trying again");
        }
        let pause = Duration::from_millis((AGAIN / 2 + self.random.below(AGAIN / 2)).into());
        self.paused.push(Box::pin(async move {
            sleep(pause).await;
            refused
        }));
    }

    fn count(published: &Outgoing) {
        let fact = published.message.headers.get("ce-type").cloned().unwrap_or_default();
        PUBLISHED.with([fact]).increment(1);
    }

    /// Whether to log a failure that repeats itself.
    pub(super) fn complains(&mut self) -> bool {
        let now = Instant::now();
        let due = self.complain <= now;
        if due {
            self.complain = now + COMPLAIN;
        }
        due
    }

    pub(super) fn sweep_soon(&mut self) {
        self.sweep.get_or_insert_with(|| Instant::now() + GATHER);
    }
}
