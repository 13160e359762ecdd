//! Reading the outbox: what the relay is not given.

use std::time::Duration;

use nodkey_db::{
    FreshEvent,
    outbox::{self, Unreadable},
};
use nodkey_kernel::error::chain;
use tokio::time::Instant;
use tracing::{error, warn};
use uuid::Uuid;

use super::Relay;
use crate::{ids::derived_id, metrics::UNPUBLISHABLE};

/// Maximum number of events per read.
const BATCH: usize = 1000;
/// Number of events in the first read. The next ones have as many as are expected to be within the size.
pub(super) const FIRST: usize = 256;
const READ_BYTES: usize = 16 << 20;
/// Maximum number of events tracked at a time: being published, queued behind one that is, or published and not yet deleted. Fewer where
/// each is published by itself: the server confirms the last one in time. And of bytes in them, beyond which nothing is read.
const WINDOW: usize = 4096;
const SINGLE_WINDOW: usize = 1024;
const WINDOW_BYTES: usize = 32 << 20;
/// How often to look for events that other replicas wrote, or that a process left when it was killed, in milliseconds; jittered.
const LOOK: u32 = 2000;

impl Relay {
    /// Publishes what this process has committed, unless the outbox has to be read for it.
    pub(super) fn take_fresh(&mut self) {
        let (events, missed) = self.fresh.take();
        self.take(events, missed);
    }

    /// Publishes what another replica has committed, without a pass over the outbox. What is not found so is read at the next look.
    pub(super) async fn take_others(&mut self) {
        if self.more || !self.bus.is_connected() || !self.has_room() {
            self.again = true;
            return;
        }
        match outbox::fresh_after(&self.db, self.position.recent(), i64::try_from(FIRST).unwrap_or(i64::MAX)).await {
            Ok((events, missed)) => self.take(events, missed),
            Err(e) => warn!(service = self.service, error = chain(&e), "the outbox cannot be read"),
        }
    }

    /// Publishes events of which each says what has to be published before it, and reads the outbox if it has to be for one, or some were
    /// `missed`.
    fn take(&mut self, events: Vec<FreshEvent>, mut missed: bool) {
        let takes = self.holds() && self.bus.is_connected();
        for event in events {
            let outgoing = event.outgoing;
            self.position.saw(outgoing.seq);
            // An older event about the same thing may wait that another process has written.
            let is_next = event.after.iter().flatten().all(|seq| self.lines.knows(*seq));
            if takes
                && is_next
                && self.lines.len() < self.window()
                && self.lines.bytes() < WINDOW_BYTES
                && self.bus.obstacle(self.service, &outgoing.message).is_none()
            {
                self.track(outgoing);
            } else {
                missed |= !self.lines.knows(outgoing.seq);
            }
        }
        if missed {
            (self.more, self.again) = (true, self.more);
        }
    }

    /// Reads the next part of the outbox, and sends what is new.
    pub(super) async fn read(&mut self) {
        // Jittered, so that services do not all read at the same moment.
        self.look = Instant::now() + Duration::from_millis((LOOK - 100 + self.random.below(200)).into());
        if !self.bus.is_connected() {
            self.more = false;
            return self.measure_now_and_then().await;
        }
        if !self.has_room() {
            self.more = true;
            return;
        }
        if self.position.is_first() {
            self.again = false;
        }
        let (highest, limit) = (self.position.highest(), self.limit());
        let batch = outbox::batch_after(&self.db, self.position.after(), i64::try_from(limit).unwrap_or(i64::MAX)).await;
        let batch = match batch {
            Ok(batch) => batch,
            Err(e) => {
                warn!(service = self.service, error = chain(&e), "the outbox cannot be read");
                self.more = false;
                return;
            }
        };
        let full = batch.len() == limit;
        if full {
            let bytes: usize = batch.iter().flatten().map(|outgoing| outgoing.message.payload.len()).sum();
            self.limit = (limit * READ_BYTES / bytes.max(1)).clamp(1, BATCH);
            self.measure_now_and_then().await;
        } else if self.position.is_first() {
            self.report(batch.len(), batch.iter().flatten().next().map(|first| first.created_at));
        }
        for row in batch {
            let seq = row.as_ref().map_or_else(|unreadable| unreadable.seq, |outgoing| outgoing.seq);
            self.position.saw(seq);
            if full {
                self.position.go_on(seq);
            }
            match row {
                Ok(outgoing) => match self.bus.obstacle(self.service, &outgoing.message) {
                    None => self.track(outgoing),
                    Some(cause) => self.give_up(seq, Some(outgoing.message.id), &cause).await,
                },
                Err(Unreadable { cause, .. }) => self.give_up(seq, None, &cause).await,
            }
        }
        self.more = full || std::mem::take(&mut self.again);
        if !full {
            // What is not published yet is read, and reported, again and again.
            let highest = self.lines.oldest().map_or(highest, |oldest| highest.min(oldest - 1));
            self.position.end(highest, Instant::now());
            if let Some(feeds) = &mut self.feeds {
                feeds.outbox_was_read();
            }
        }
    }

    /// Moves an event that can never be published out of the way.
    async fn give_up(&mut self, seq: i64, id: Option<Uuid>, cause: &str) {
        let service = self.service;
        // A row without an id gets one that is always the same, and not that of an event.
        let id = id.filter(|id| !id.is_nil()).unwrap_or_else(|| derived_id(&[service.as_bytes(), b"_relay", &seq.to_be_bytes()]));
        match outbox::give_up(&self.db, service, seq, id, cause, self.clock.now()).await {
            Ok(()) => {
                UNPUBLISHABLE.with([service]).increment(1);
                error!(service, event = %id, cause, "an event can never be published; it is a dead letter now");
            }
            Err(e) => warn!(service, event = %id, error = chain(&e), "an event that can never be published could not be moved"),
        }
    }

    /// Whether there is room for another read. As many events as it may return can be published without being read.
    pub(super) fn has_room(&self) -> bool {
        self.lines.len() + 2 * self.limit() <= self.window() && self.lines.bytes() < WINDOW_BYTES
    }

    /// The number of events in the next read.
    fn limit(&self) -> usize {
        self.limit.min(self.window() / 4)
    }

    fn window(&self) -> usize {
        if self.bus.takes_many() { WINDOW } else { SINGLE_WINDOW }
    }
}
