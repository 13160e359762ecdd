//! The relay: moves events from the outbox to the bus.

mod feeds;
mod lines;
mod measure;
mod position;
mod publish;
mod read;
mod send;
mod tend;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nodkey_db::{Db, DbError, Fresh, Lease, Outgoing, backlog, outbox};
use nodkey_kernel::{error::chain, random::Random, time::Clock};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::{feeds::Feeds, lines::Lines, position::Position, publish::Heard, read::FIRST, send::Sent};
use crate::{
    bus::Bus,
    metrics::UNPUBLISHABLE,
    wake::{Listener, relay_topic},
};

/// From how many published events on they are deleted at once.
const MANY: usize = 256;
/// How long to gather published events before they are deleted: one deletion for many.
const GATHER: Duration = Duration::from_millis(50);
/// How long the lease lasts, and how often to renew it, or to ask for it: another replica takes over within 10 s.
const TERM: Duration = Duration::from_secs(7);
const RENEW: Duration = Duration::from_millis(2500);
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
    /// Woken when another replica has committed events.
    others: Listener,
    /// When to look for what others wrote.
    look: Instant,
    /// Whether there is more to read, and whether to read once more after that.
    more: bool,
    again: bool,
    /// The number of events in the next read, if the window is large enough.
    limit: usize,
    lines: Lines,
    in_flight: FuturesUnordered<BoxFuture<'static, Sent>>,
    /// How many of these are batches.
    batches: usize,
    /// Refused events, until they are sent again.
    paused: FuturesUnordered<BoxFuture<'static, Vec<Outgoing>>>,
    /// The consumers, if they are in this process, and the events that they were given.
    feeds: Option<Feeds>,
    given: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// When to delete what was published.
    sweep: Option<Instant>,
    /// When to log a failure, and measure a long outbox and what consumers have, again.
    complain: Instant,
    measure: Instant,
    measure_feeds: Instant,
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
            others: bus.listen(&relay_topic(service)),
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
            limit: FIRST,
            lines: Lines::default(),
            in_flight: FuturesUnordered::new(),
            batches: 0,
            paused: FuturesUnordered::new(),
            feeds,
            given: FuturesUnordered::new(),
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
                self.dispatch();
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
            self.paused.clear();
            self.given.clear();
            self.batches = 0;
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

    /// Publishes until it is time to read the outbox, or to renew the lease.
    async fn work(&mut self, shutdown: &CancellationToken) {
        let until = if self.holds() { self.look.min(self.renew) } else { self.renew };
        let fresh = Arc::clone(&self.fresh);
        while !(self.more && self.has_room()) {
            tokio::select! {
                Some(sent) = self.in_flight.next() => self.note(sent),
                Some(heard) = self.given.next() => self.hear(heard),
                Some(late) = Feeds::late(&mut self.feeds) => if let Some(feeds) = &mut self.feeds {
                    feeds.note_late(late);
                    self.sweep_soon();
                },
                Some(refused) = self.paused.next() => self.lines.put_back(refused),
                () = fresh.notified() => if self.holds() { self.take_fresh() } else { self.bus.wake(&relay_topic(self.service)).await },
                _ = self.others.notified(), if self.holds() => self.take_others().await,
                () = sleep_until(self.sweep.unwrap_or(until)), if self.sweep.is_some() => self.delete().await,
                () = sleep_until(until) => return,
                () = shutdown.cancelled() => return,
            }
            self.dispatch();
            if self.lines.to_delete().len() >= MANY {
                self.delete().await;
            }
            self.catch_up().await;
        }
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
        while let Some(sent) = self.in_flight.next().await {
            self.note(sent);
            self.dispatch();
        }
        while let Some(heard) = self.given.next().await {
            self.hear(heard);
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
