//! The relay: moves events from the outbox to the bus.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nodkey_db::{
    Db, Lease,
    outbox::{self, Outgoing},
};
use nodkey_kernel::{
    error::{Classify as _, chain},
    random::Random,
    time::{Clock, Timestamp},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    bus::Bus,
    error::BusError,
    metrics::{OUTBOX_DEPTH, OUTBOX_OLDEST, PUBLISHED},
    spans::sending,
};

/// Maximum number of events per read.
const BATCH: usize = 256;
/// Maximum number of events tracked at a time: being published, queued behind one that is, or published and not yet deleted.
const WINDOW: usize = 1024;
/// How long to wait for events being published before the outbox is read again: one read and one deletion for many events.
const GATHER: Duration = Duration::from_millis(10);
/// Delay before a refused event is sent again, in milliseconds; half of it is random.
const AGAIN: u32 = 2000;
/// Minimum interval between logged refusals.
const COMPLAIN: Duration = Duration::from_secs(10);
/// Interval at which a long outbox is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// Interval at which to request the stream while the bus is unreachable.
const PREPARE: Duration = Duration::from_secs(2);

/// Publishes the contents of a service's outbox until `shutdown`, then once more.
///
/// An event is deleted only once the bus has it. A crash between the two repeats the event, and its id absorbs that. Events about the same
/// thing are published one after the other. An event that the bus refuses holds up no others. Among replicas one relays, chosen by a lease.
pub async fn relay(service: &'static str, bus: Bus, db: Db, clock: Clock, shutdown: CancellationToken) {
    let notify = db.outbox_notify();
    let mut relay = Relay::new(service, bus, db, clock);
    relay.prepare(&shutdown).await;
    loop {
        let stopping = shutdown.is_cancelled();
        let more = relay.hold().await && relay.take_in().await;
        if stopping {
            return relay.finish().await;
        }
        relay.work(more, &notify, &shutdown).await;
    }
}

struct Relay {
    service: &'static str,
    bus: Bus,
    db: Db,
    clock: Clock,
    random: Random,
    lease: Lease,
    /// Whether we hold the lease, and when to check it again.
    holds: bool,
    renew: Instant,
    /// Tracked events, by their sequence number in the outbox.
    known: HashSet<i64>,
    /// By key: the events that wait behind the one being published.
    lines: HashMap<String, VecDeque<Outgoing>>,
    in_flight: FuturesUnordered<BoxFuture<'static, Published>>,
    /// Published, to be deleted.
    published: Vec<i64>,
    /// When to log a refusal, and measure a long outbox, again.
    complain: Instant,
    measure: Instant,
}

/// Outcome of a publish.
struct Published {
    outgoing: Outgoing,
    outcome: Result<(), BusError>,
}

impl Relay {
    fn new(service: &'static str, bus: Bus, db: Db, clock: Clock) -> Self {
        let random = Random::system();
        let lease = Lease::new("relay", &random);
        let now = Instant::now();
        Self {
            service,
            bus,
            db,
            clock,
            random,
            lease,
            holds: false,
            renew: now,
            known: HashSet::new(),
            lines: HashMap::new(),
            in_flight: FuturesUnordered::new(),
            published: Vec::new(),
            complain: now,
            measure: now,
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
        let now = Instant::now();
        if now < self.renew {
            return self.holds;
        }
        self.renew = now + Lease::RENEW;
        match self.lease.hold(&self.db).await {
            Ok(ours) => {
                if !ours {
                    // Another replica publishes what was in progress.
                    self.forget();
                }
                self.holds = ours;
            }
            // Nothing can be read either.
            Err(e) => warn!(service = self.service, error = chain(&e), "the relay cannot reach its database"),
        }
        self.holds
    }

    fn forget(&mut self) {
        self.known.clear();
        self.lines.clear();
        self.in_flight.clear();
        self.published.clear();
    }

    /// Reads the outbox and sends what is new; true when there is likely more.
    async fn take_in(&mut self) -> bool {
        if !self.bus.is_connected() {
            self.measure_now_and_then().await;
            return true;
        }
        let limit = (self.known.len() + BATCH).min(WINDOW);
        let batch = match outbox::batch(&self.db, i64::try_from(limit).unwrap_or(i64::MAX)).await {
            Ok(batch) => batch,
            Err(e) => {
                warn!(service = self.service, error = chain(&e), "the outbox cannot be read");
                return false;
            }
        };
        let full = batch.len() == limit;
        if full {
            self.measure_now_and_then().await;
        } else {
            self.report(batch.len(), batch.first().map(|first| first.created_at));
        }
        for outgoing in batch {
            if !self.known.insert(outgoing.seq) {
                continue;
            }
            if let Some(line) = self.lines.get_mut(outgoing.message.key()) {
                line.push_back(outgoing);
            } else {
                self.lines.insert(outgoing.message.key().to_owned(), VecDeque::new());
                self.send(outgoing, Duration::ZERO);
            }
        }
        full
    }

    fn send(&self, mut outgoing: Outgoing, pause: Duration) {
        let bus = self.bus.clone();
        let span = sending(&bus, &mut outgoing.message);
        // The time is the same on every attempt: a repeated event is no newer than the first copy.
        bus.sign(&mut outgoing.message, outgoing.created_at);
        self.in_flight.push(Box::pin(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let outcome = bus.publish(&outgoing.message).await;
            if let Err(error) = &outcome {
                span.fail(error.reason());
            }
            Published { outgoing, outcome }
        }));
    }

    /// Handles completed publishes until it is time to read the outbox again.
    async fn work(&mut self, more: bool, notify: &Notify, shutdown: &CancellationToken) {
        // Jittered, so that replicas do not all read at the same moment.
        let look = Instant::now() + Duration::from_millis(u64::from(1400 + self.random.below(200)));
        let look = if self.holds { look } else { self.renew };
        let (mut more, mut gathered) = (more, None);
        loop {
            tokio::select! {
                Some(published) = self.in_flight.next() => self.note(published),
                () = notify.notified(), if self.holds && !more => more = true,
                () = sleep_until(gathered.unwrap_or(look)), if gathered.is_some() => {
                    gathered = None;
                    if self.delete().await && more && self.has_room() {
                        return;
                    }
                }
                () = sleep_until(look.min(self.renew)) => {
                    self.delete().await;
                    return;
                }
                () = shutdown.cancelled() => return,
            }
            let wants_to_read = more && self.has_room();
            if self.in_flight.is_empty() {
                if self.delete().await && wants_to_read {
                    return;
                }
            } else if gathered.is_none() && (wants_to_read || !self.published.is_empty()) {
                gathered = Some(Instant::now() + GATHER);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.known.len() - self.published.len() < WINDOW
    }

    /// Sends the next event of the line. If the event was refused, it is sent again and the line keeps waiting: no event may overtake it.
    fn note(&mut self, Published { outgoing, outcome }: Published) {
        let key = outgoing.message.key();
        match outcome {
            Ok(()) => {
                let fact = outgoing.message.headers.get("ce-type").cloned().unwrap_or_default();
                PUBLISHED.with([fact]).increment(1);
                self.published.push(outgoing.seq);
                match self.lines.get_mut(key).and_then(VecDeque::pop_front) {
                    Some(next) => self.send(next, Duration::ZERO),
                    None => drop(self.lines.remove(key)),
                }
            }
            Err(e) => {
                let now = Instant::now();
                if self.complain <= now {
                    self.complain = now + COMPLAIN;
                    warn!(service = self.service, event = %outgoing.message.id, error = chain(&e), "events could not be published; trying again");
                }
                let pause = Duration::from_millis((AGAIN / 2 + self.random.below(AGAIN / 2)).into());
                self.send(outgoing, pause);
            }
        }
    }

    /// Deletes what the bus has; false when that failed.
    async fn delete(&mut self) -> bool {
        if self.published.is_empty() {
            return true;
        }
        if let Err(e) = outbox::delete(&self.db, &self.published).await {
            warn!(service = self.service, error = chain(&e), "published events could not be deleted; trying again");
            return false;
        }
        for seq in self.published.drain(..) {
            self.known.remove(&seq);
        }
        true
    }

    /// Waits for publishes in progress, then lets another replica take over. Events refused now are left to that replica.
    async fn finish(mut self) {
        while let Some(published) = self.in_flight.next().await {
            if published.outcome.is_ok() {
                self.note(published);
            }
        }
        self.delete().await;
        if self.holds
            && let Err(e) = self.lease.release(&self.db).await
        {
            warn!(service = self.service, error = chain(&e), "the relay's lease could not be released and will expire");
        }
    }

    async fn measure_now_and_then(&mut self) {
        let now = Instant::now();
        if self.measure <= now {
            self.measure = now + MEASURE;
            self.measure().await;
        }
    }

    async fn measure(&mut self) {
        if let Ok((depth, oldest)) = outbox::depth(&self.db).await {
            self.report(usize::try_from(depth).unwrap_or(0), oldest);
        }
    }

    fn report(&self, depth: usize, oldest: Option<Timestamp>) {
        let seconds = oldest.map_or(0.0, |at| at.until(self.clock.now()).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        OUTBOX_DEPTH.with([self.service]).set(depth as f64);
        OUTBOX_OLDEST.with([self.service]).set(seconds);
    }
}
