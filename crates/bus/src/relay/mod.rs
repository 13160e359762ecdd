//! The relay: moves events from the outbox to the bus.

mod feeds;
mod lines;
mod measure;
mod position;
mod publish;
mod tend;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nodkey_db::{
    Db, DbError, Fresh, Lease, Outgoing, backlog,
    outbox::{self, Unreadable},
};
use nodkey_kernel::{error::chain, random::Random, time::Clock};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use self::{
    feeds::{Answer, Feeds},
    lines::Lines,
    position::Position,
};
use crate::{bus::Bus, error::BusError, ids::derived_id, metrics::UNPUBLISHABLE};

/// Maximum number of events per read and per deletion.
const BATCH: usize = 256;
/// Maximum number of events tracked at a time: being published, queued behind one that is, or published and not yet deleted.
const WINDOW: usize = 1024;
/// How long to gather published events before they are deleted: one deletion for many.
const GATHER: Duration = Duration::from_millis(50);
/// How often to look for events that other replicas wrote, or that a process left when it was killed, in milliseconds; jittered.
const LOOK: u32 = 2000;
/// How long the lease lasts, and how often to renew it, or to ask for it: another replica takes over within 10 s.
const TERM: Duration = Duration::from_secs(7);
const RENEW: Duration = Duration::from_millis(2500);
/// Delay before a refused event is sent again, in milliseconds; half of it is random.
const AGAIN: u32 = 2000;
/// Minimum interval between logged failures.
const COMPLAIN: Duration = Duration::from_secs(10);
/// Interval at which a long outbox is measured, and what consumers in this process have still to handle.
const MEASURE: Duration = Duration::from_secs(5);
/// Interval at which to request the stream while the bus is unreachable.
const PREPARE: Duration = Duration::from_secs(2);

/// Publishes the contents of a service's outbox until `shutdown`, then once more.
///
/// Events that this process commits are published without being read, unless one about the same thing is still in the outbox that the relay
/// does not know of. All others are read. An event is deleted only once the bus has it. A crash between the two repeats the event, and its
/// id absorbs that. Events about the same thing are published one after the other. An event that the bus refuses holds up no others, and
/// one that can never be published becomes a dead letter. Among replicas one relays, chosen by a lease.
///
/// Consumers in the same process are given each event at once, and the event is deleted once each has acknowledged it or has it in its
/// backlog, from which it is given later. So no consumer holds up another, or the outbox.
pub async fn relay(service: &'static str, bus: Bus, db: Db, clock: Clock, shutdown: CancellationToken) {
    let tending = tend::tend(service, bus.clone(), clock.clone(), shutdown.clone());
    tokio::join!(Relay::new(service, bus, db, clock).run(&shutdown), tending);
}

struct Relay {
    service: &'static str,
    bus: Bus,
    db: Db,
    fresh: Arc<Fresh>,
    clock: Clock,
    random: Random,
    lease: Lease,
    /// Until when we hold the lease, and when to renew it or to ask for it.
    held_until: Option<Instant>,
    renew: Instant,
    position: Position,
    /// When to look for what others wrote.
    look: Instant,
    /// Whether there is more to read, and whether to read once more after that.
    more: bool,
    again: bool,
    lines: Lines,
    in_flight: FuturesUnordered<BoxFuture<'static, Published>>,
    /// The consumers, if they are in this process.
    feeds: Option<Feeds>,
    /// When to delete what was published.
    sweep: Option<Instant>,
    /// When to log a failure, and measure a long outbox and what consumers have, again.
    complain: Instant,
    measure: Instant,
    measure_feeds: Instant,
}

/// Outcome of a publish.
struct Published {
    outgoing: Outgoing,
    outcome: Result<Vec<(&'static str, Answer)>, BusError>,
}

impl Relay {
    fn new(service: &'static str, bus: Bus, db: Db, clock: Clock) -> Self {
        // A counter that begins above zero would not be seen to rise.
        UNPUBLISHABLE.with([service]).increment(0);
        let random = Random::system();
        let lease = Lease::new("relay", &random).lasting(TERM);
        let now = Instant::now();
        let feeds = match &bus {
            Bus::Memory(memory) => Some(Feeds::new(service, Arc::clone(memory))),
            Bus::Nats(_) => None,
        };
        Self {
            service,
            bus,
            fresh: db.fresh(),
            db,
            clock,
            random,
            lease,
            held_until: None,
            renew: now,
            position: Position::new(now),
            look: now,
            more: false,
            again: false,
            lines: Lines::default(),
            in_flight: FuturesUnordered::new(),
            feeds,
            sweep: None,
            complain: now,
            measure: now,
            measure_feeds: now,
        }
    }

    async fn run(mut self, shutdown: &CancellationToken) {
        self.prepare(shutdown).await;
        loop {
            let stopping = shutdown.is_cancelled();
            if self.hold().await {
                self.take_fresh();
                if self.more || stopping || self.look <= Instant::now() {
                    self.read().await;
                }
                self.measure_feeds_now_and_then().await;
                self.catch_up().await;
            }
            if stopping {
                return self.finish().await;
            }
            self.work(shutdown).await;
        }
    }

    /// Makes sure that the stream exists, however long the bus is unreachable.
    async fn prepare(&mut self, shutdown: &CancellationToken) {
        while let Err(e) = self.bus.ensure_stream(self.service).await {
            warn!(service = self.service, error = chain(&e), "the stream could not be created or checked; trying again");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(PREPARE) => {}
            }
            self.measure().await;
        }
    }

    /// Takes the lease, or makes sure that we still hold it.
    async fn hold(&mut self) -> bool {
        let (now, held) = (Instant::now(), self.holds());
        if now >= self.renew {
            self.renew = now + RENEW;
            match self.take_lease(held).await {
                Ok(true) => self.held_until = Some(now + TERM),
                Ok(false) => self.held_until = None,
                // Nothing can be read either.
                Err(e) => warn!(service = self.service, error = chain(&e), "the relay cannot reach its database"),
            }
        }
        let holds = self.holds();
        self.fresh.open(holds);
        if holds {
            self.more |= !held;
        } else {
            // Another replica publishes what was in progress.
            self.lines = Lines::default();
            self.in_flight.clear();
            self.position = Position::new(now);
            (self.more, self.again) = (false, false);
        }
        holds
    }

    /// Takes or renews the lease. Whoever takes it finds out what consumers have not had.
    async fn take_lease(&mut self, held: bool) -> Result<bool, DbError> {
        let holds = self.lease.hold(&self.db).await?;
        if holds && !held {
            if let Some(feeds) = &mut self.feeds {
                feeds.load(&self.db).await?;
            } else if backlog::put_back(&self.db).await? > 0 {
                warn!(service = self.service, "events that consumers in one process had not had are published to all");
            }
        }
        Ok(holds)
    }

    fn holds(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    /// Publishes what this process has committed, unless the outbox has to be read for it.
    fn take_fresh(&mut self) {
        let (events, mut missed) = self.fresh.take();
        let takes = self.holds() && self.bus.is_connected();
        for event in events {
            let outgoing = event.outgoing;
            self.position.saw(outgoing.seq);
            // An older event about the same thing may wait that another process has written.
            let is_next = event.after.iter().flatten().all(|seq| self.lines.knows(*seq));
            if takes && is_next && self.lines.len() < WINDOW && self.bus.obstacle(self.service, &outgoing.message).is_none() {
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
    async fn read(&mut self) {
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
        let highest = self.position.highest();
        let batch = outbox::batch_after(&self.db, self.position.after(), i64::try_from(BATCH).unwrap_or(i64::MAX)).await;
        let batch = match batch {
            Ok(batch) => batch,
            Err(e) => {
                warn!(service = self.service, error = chain(&e), "the outbox cannot be read");
                self.more = false;
                return;
            }
        };
        let full = batch.len() == BATCH;
        if full {
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

    /// Publishes until it is time to read the outbox, or to renew the lease.
    async fn work(&mut self, shutdown: &CancellationToken) {
        let until = if self.holds() { self.look.min(self.renew) } else { self.renew };
        let fresh = Arc::clone(&self.fresh);
        while !(self.more && self.has_room()) {
            tokio::select! {
                Some(published) = self.in_flight.next() => self.note(published),
                Some(late) = Feeds::late(&mut self.feeds) => if let Some(feeds) = &mut self.feeds {
                    feeds.note_late(late);
                    self.sweep_soon();
                },
                () = fresh.notified(), if self.holds() => self.take_fresh(),
                () = sleep_until(self.sweep.unwrap_or(until)), if self.sweep.is_some() => self.delete().await,
                () = sleep_until(until) => return,
                () = shutdown.cancelled() => return,
            }
            if self.lines.to_delete().len() >= BATCH {
                self.delete().await;
            }
            self.catch_up().await;
        }
    }

    /// Whether there is room for another read. As many events as it may return can be published without being read.
    fn has_room(&self) -> bool {
        self.lines.len() + 2 * BATCH <= WINDOW
    }

    /// Gives consumers that were behind what is kept for them.
    async fn catch_up(&mut self) {
        if let Some(feeds) = &mut self.feeds
            && let Err(e) = feeds.catch_up(&self.db).await
            && self.complains()
        {
            warn!(service = self.service, error = chain(&e), "what is kept for a consumer could not be read; trying again");
        }
    }

    /// Deletes what the bus has, or every consumer in this process. If that fails, it is tried again later.
    async fn delete(&mut self) {
        self.sweep = None;
        let deleted = match &mut self.feeds {
            Some(feeds) => feeds.flush(&self.db, self.lines.to_delete()).await,
            None => outbox::delete(&self.db, self.lines.to_delete()).await,
        };
        match deleted {
            Ok(()) => self.lines.deleted(),
            Err(e) => {
                self.sweep = Some(Instant::now() + MEASURE);
                warn!(service = self.service, error = chain(&e), "published events could not be deleted; trying again");
            }
        }
    }

    /// Waits for publishes in progress, then lets another replica take over. Events refused now are left to that replica.
    async fn finish(mut self) {
        self.fresh.open(false);
        while let Some(published) = self.in_flight.next().await {
            if published.outcome.is_ok() {
                self.note(published);
            }
        }
        if let Some(feeds) = &mut self.feeds {
            feeds.note_all_late();
        }
        self.delete().await;
        if self.held_until.is_some()
            && let Err(e) = self.lease.release(&self.db).await
        {
            warn!(service = self.service, error = chain(&e), "the relay's lease could not be released and will expire");
        }
    }
}
