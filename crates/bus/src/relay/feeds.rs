//! The consumers in this process: each is given events as they are published, and one that does not keep up gets its own later.
//!
//! A consumer has a bounded number of events that it has not acknowledged. What it cannot take, or has not acknowledged after a while, is
//! copied to its backlog and leaves the outbox. A consumer that is behind is given events from its backlog alone, in the order of the
//! outbox, until none is left. So it gets events about one thing in order, and nobody else waits for it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nodkey_db::{Db, DbError, Message, backlog, outbox};
use nodkey_kernel::{error::chain, time::Timestamp};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::{
    memory::{Acknowledged, Memory, QUEUE, Subscriber},
    metrics::{OLDEST, PENDING},
    signature,
};

/// How long the outbox keeps an event for a consumer that has taken it and does not acknowledge it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Minimum number of events to read from a backlog, unless the consumer has none.
const MIN_READ: usize = QUEUE / 4;

/// What consumers were given: their names, and when they have acknowledged.
pub(super) type Given = Vec<(&'static str, Acknowledged)>;

/// What became of an event that a consumer was given.
pub(super) enum Answer {
    Acknowledged,
    /// The consumer is gone and has not acknowledged.
    Gone,
    /// It has not acknowledged yet.
    Late(Acknowledged),
}

/// Waits for the consumers that were given an event, but not long.
pub(super) async fn answers(given: Given) -> Vec<(&'static str, Answer)> {
    let patience = Instant::now() + PATIENCE;
    let mut answers = Vec::with_capacity(given.len());
    for (name, mut acknowledged) in given {
        let answer = match timeout_at(patience, &mut acknowledged).await {
            Ok(Ok(())) => Answer::Acknowledged,
            Ok(Err(_)) => Answer::Gone,
            Err(_) => Answer::Late(acknowledged),
        };
        answers.push((name, answer));
    }
    answers
}

/// What became of an event of a backlog.
pub(super) struct Late {
    name: &'static str,
    seq: i64,
    acknowledged: bool,
}

/// One consumer.
#[derive(Default)]
struct Feed {
    /// The number of the subscription that is given events.
    subscription: u64,
    /// How many events it was given and has not acknowledged.
    taken: usize,
    /// Whether it is given events from its backlog alone.
    behind: bool,
    /// How far its backlog was read.
    after: i64,
    /// Events of its backlog that it was given and that are not deleted yet.
    open: HashSet<i64>,
    /// Number of events in its backlog.
    stored: u64,
}

impl Feed {
    /// Whether the subscription may be given events. What its predecessor was given comes first: it has to be acknowledged, or be in the
    /// backlog.
    const fn follows(&self, subscriber: &Subscriber) -> bool {
        self.subscription == subscriber.number || self.taken == 0
    }

    fn is_hungry(&self, subscriber: &Subscriber) -> bool {
        let room = QUEUE.saturating_sub(self.taken);
        self.behind && !subscriber.is_gone() && self.follows(subscriber) && room >= MIN_READ
    }

    /// Notes that an event of the backlog has to be read again.
    fn return_to(&mut self, seq: i64) {
        self.after = self.after.min(seq - 1);
    }
}

/// The consumers of a service's events.
pub(super) struct Feeds {
    service: &'static str,
    bus: Arc<Memory>,
    by_name: HashMap<Cow<'static, str>, Feed>,
    /// Events to copy from the outbox to backlogs, and those to delete from backlogs.
    keep: BTreeMap<&'static str, Vec<i64>>,
    handled: BTreeMap<&'static str, Vec<i64>>,
    /// Whether the outbox was read to its end: it may hold older events than a backlog.
    is_read: bool,
    late: FuturesUnordered<BoxFuture<'static, Late>>,
}

impl Feeds {
    pub(super) fn new(service: &'static str, bus: Arc<Memory>) -> Self {
        let (keep, handled) = (BTreeMap::new(), BTreeMap::new());
        Self { service, bus, by_name: HashMap::new(), keep, handled, is_read: false, late: FuturesUnordered::new() }
    }

    /// Finds out who is behind. The outbox has to be read from its head after this.
    pub(super) async fn load(&mut self, db: &Db) -> Result<(), DbError> {
        let stored = backlog::consumers(db).await?;
        *self = Self::new(self.service, Arc::clone(&self.bus));
        for (name, events) in stored {
            info!(service = self.service, consumer = name, events, "events wait for a consumer that was behind");
            let feed = Feed { behind: true, stored: u64::try_from(events).unwrap_or(0), ..Feed::default() };
            self.by_name.insert(name.into(), feed);
        }
        Ok(())
    }

    /// Notes that the outbox was read to its end.
    pub(super) const fn outbox_was_read(&mut self) {
        self.is_read = true;
    }

    /// Gives an event of the outbox to its consumers. Call this in the order of events about one thing.
    pub(super) fn give(&mut self, seq: i64, message: &Message) -> Given {
        let mut given = Vec::new();
        for subscriber in self.bus.readers(&message.subject) {
            let name = subscriber.name;
            let feed = self.by_name.entry(name.into()).or_default();
            let takes = !feed.behind && feed.follows(&subscriber) && feed.taken < QUEUE;
            if let Some(acknowledged) = takes.then(|| subscriber.give(message)).flatten() {
                feed.subscription = subscriber.number;
                feed.taken += 1;
                given.push((name, acknowledged));
            } else {
                if !feed.behind && !subscriber.is_gone() {
                    warn!(service = self.service, consumer = name, "a consumer does not keep up; its events are kept for it");
                }
                feed.behind = true;
                self.keep.entry(name).or_default().push(seq);
            }
        }
        given
    }

    /// Notes what became of an event of the outbox. It can be deleted once [`Feeds::flush`] has succeeded.
    pub(super) fn note(&mut self, seq: i64, answers: Vec<(&'static str, Answer)>) {
        for (name, answer) in answers {
            let Some(feed) = self.by_name.get_mut(name) else { continue };
            match answer {
                Answer::Acknowledged => feed.taken = feed.taken.saturating_sub(1),
                Answer::Gone => {
                    feed.taken = feed.taken.saturating_sub(1);
                    feed.behind = true;
                    self.keep.entry(name).or_default().push(seq);
                }
                Answer::Late(acknowledged) => {
                    feed.open.insert(seq);
                    self.keep.entry(name).or_default().push(seq);
                    self.wait(name, seq, acknowledged);
                }
            }
        }
    }

    fn wait(&self, name: &'static str, seq: i64, acknowledged: Acknowledged) {
        self.late.push(Box::pin(async move { Late { name, seq, acknowledged: acknowledged.await.is_ok() } }));
    }

    /// Resolves when it is known what became of an event of a backlog; `None` when nobody has any.
    pub(super) async fn late(feeds: &mut Option<Self>) -> Option<Late> {
        feeds.as_mut()?.late.next().await
    }

    pub(super) fn note_late(&mut self, Late { name, seq, acknowledged }: Late) {
        let Some(feed) = self.by_name.get_mut(name) else { return };
        feed.taken = feed.taken.saturating_sub(1);
        if acknowledged {
            self.handled.entry(name).or_default().push(seq);
        } else {
            feed.open.remove(&seq);
            feed.return_to(seq);
            feed.behind = true;
        }
    }

    /// Notes what is known without waiting.
    pub(super) fn note_all_late(&mut self) {
        while let Some(Some(late)) = self.late.next().now_or_never() {
            self.note_late(late);
        }
    }

    /// Whether something has to be written.
    pub(super) fn is_dirty(&self) -> bool {
        !self.keep.is_empty() || !self.handled.is_empty()
    }

    /// Writes what is noted, and deletes published events from the outbox.
    pub(super) async fn flush(&mut self, db: &Db, published: &[i64]) -> Result<(), DbError> {
        if !self.is_dirty() {
            return outbox::delete(db, published).await;
        }
        let mut tx = db.begin_patient().await?;
        let mut changes = Vec::new();
        for (name, seqs) in &self.keep {
            changes.push((*name, backlog::add(&mut tx, name, seqs).await?, 0));
        }
        outbox::delete_in(&mut tx, published).await?;
        for (name, seqs) in &self.handled {
            changes.push((*name, 0, backlog::remove(&mut tx, name, seqs).await?));
        }
        tx.commit().await?;
        for (name, added, removed) in changes {
            if let Some(feed) = self.by_name.get_mut(name) {
                feed.stored = (feed.stored + added).saturating_sub(removed);
            }
        }
        for (name, seqs) in std::mem::take(&mut self.keep) {
            let Some(feed) = self.by_name.get_mut(name) else { continue };
            if let Some(first) = seqs.into_iter().filter(|seq| !feed.open.contains(seq)).min() {
                feed.return_to(first);
            }
        }
        for (name, seqs) in std::mem::take(&mut self.handled) {
            let Some(feed) = self.by_name.get_mut(name) else { continue };
            for seq in seqs {
                feed.open.remove(&seq);
            }
        }
        Ok(())
    }

    /// Gives those who are behind, and have room, what is kept for them.
    pub(super) async fn catch_up(&mut self, db: &Db) -> Result<(), DbError> {
        if !self.is_read || !self.by_name.values().any(|feed| feed.behind) {
            return Ok(());
        }
        for subscriber in self.bus.readers_of(self.service) {
            if self.by_name.get(subscriber.name).is_some_and(|feed| feed.is_hungry(&subscriber)) {
                if self.keep.contains_key(subscriber.name) {
                    self.flush(db, &[]).await?;
                }
                self.feed(db, &subscriber).await?;
            }
        }
        Ok(())
    }

    /// All that is to be kept for the consumer is in its backlog.
    async fn feed(&mut self, db: &Db, subscriber: &Subscriber) -> Result<(), DbError> {
        let name = subscriber.name;
        let Some(feed) = self.by_name.get_mut(name) else { return Ok(()) };
        if feed.subscription != subscriber.number {
            (feed.subscription, feed.after) = (subscriber.number, 0);
        }
        let room = QUEUE.saturating_sub(feed.taken);
        let batch = backlog::batch_after(db, name, feed.after, i64::try_from(room).unwrap_or(i64::MAX)).await?;
        let mut is_all = batch.len() < room;
        let mut given = Vec::new();
        for row in batch {
            match row {
                Ok(event) if feed.open.contains(&event.seq) => feed.after = event.seq,
                Ok(mut event) => {
                    event.message.headers.remove(signature::HEADER);
                    let Some(acknowledged) = subscriber.give(&event.message) else {
                        is_all = false;
                        break;
                    };
                    feed.after = event.seq;
                    feed.taken += 1;
                    feed.open.insert(event.seq);
                    given.push((event.seq, acknowledged));
                }
                Err(unreadable) => {
                    let (seq, cause) = (unreadable.seq, unreadable.cause);
                    error!(service = self.service, consumer = name, seq, cause, "an event that is kept for a consumer cannot be read");
                    feed.after = seq;
                }
            }
        }
        if is_all {
            feed.behind = false;
        }
        for (seq, acknowledged) in given {
            self.wait(name, seq, acknowledged);
        }
        Ok(())
    }

    /// Reports how many events each consumer has still to handle, and the age of those that are kept.
    pub(super) async fn report(&mut self, db: &Db, now: Timestamp) {
        for subscriber in self.bus.readers_of(self.service) {
            let name = subscriber.name;
            let Some(feed) = self.by_name.get(name) else {
                PENDING.with([name]).set(0.0);
                OLDEST.with([name]).set(0.0);
                continue;
            };
            let pending = feed.stored + feed.taken.saturating_sub(feed.open.len()) as u64;
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
            PENDING.with([name]).set(pending as f64);
            let oldest = if feed.stored == 0 { Ok(None) } else { backlog::oldest(db, name).await };
            match oldest {
                Ok(oldest) => OLDEST.with([name]).set(oldest.map_or(0.0, |at| at.until(now).as_secs_f64())),
                Err(e) => warn!(service = self.service, consumer = name, error = chain(&e), "the backlog cannot be read"),
            }
        }
    }
}
