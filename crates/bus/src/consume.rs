//! Consuming events: each takes effect once, in the transaction that marks it as seen.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use metrics::{Counter, Gauge};
use nodkey_db::{Db, DbError, Message, dead_letter, inbox};
use nodkey_kernel::{
    error::{Classify as _, Kind, chain},
    jose::sha256,
    random::Random,
    time::Clock,
};
use nodkey_trace::FutureExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};

use crate::{
    backoff::pause,
    bus::Bus,
    consumer::{Consumer, HandlerError},
    error::BusError,
    held::{Held, Line},
    ids::derived_id,
    metrics::{CONSUMED, RETRYING},
    source::{Delivery, Source, Verdict},
    spans::handling,
    trust::Trust,
};

/// Maximum number of events waiting for a retry. At this limit nothing more is taken from the bus.
const MAX_HELD: usize = 64;
/// Maximum pause between two attempts at an event.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Maximum pause while our own database accepts no writes.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// Maximum number of refused events kept as dead letters within a window; further ones are only counted.
const MAX_REFUSED: usize = 100;
const REFUSED_PERIOD: Duration = Duration::from_hours(1);
/// Interval at which to retry a bus that is unreachable.
const RESUBSCRIBE: Duration = Duration::from_millis(500);

/// Subscribes, and returns the loop that handles events until `shutdown`. Events that are already waiting are handled together.
///
/// A failure that may be temporary is retried without limit and holds up only events about the same thing, unless very many fail. An event
/// that is itself invalid, or was not signed by its publisher, becomes a dead letter immediately. The loop waits for a bus that is
/// unreachable.
pub async fn consume(
    bus: &Bus,
    db: Db,
    clock: Clock,
    consumer: Consumer,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static + use<>, BusError> {
    let source = match bus.subscribe(&consumer, &db, &clock).await {
        Ok(source) => Some(source),
        Err(error) if error.kind() == Kind::Unavailable => {
            warn!(consumer = consumer.name(), error = chain(&error), "the bus is away; subscribing when it is back");
            None
        }
        Err(error) => return Err(error),
    };
    let worker = Worker {
        bus: bus.clone(),
        measures: Measures::new(consumer.name()),
        consumer,
        db,
        clock,
        random: Random::system(),
        shutdown,
        held: Held::default(),
        outage: None,
        refused: Refusals::default(),
    };
    Ok(worker.run(source))
}

struct Worker {
    bus: Bus,
    consumer: Consumer,
    measures: Measures,
    db: Db,
    clock: Clock,
    random: Random,
    shutdown: CancellationToken,
    held: Held,
    outage: Option<Outage>,
    refused: Refusals,
}

/// No event can be handled: our own database accepts no writes.
struct Outage {
    /// Events taken from the bus before the outage.
    waiting: VecDeque<Delivery>,
    failures: u32,
    since: Instant,
    due: Instant,
}

/// Outcomes of a batch of events.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    taken: usize,
    without_effect: usize,
    duplicate: usize,
}

/// Why a transaction did not commit.
enum Failed {
    /// The database accepts no writes, whichever the event.
    Outage(String),
    /// This event failed.
    Event(usize, HandlerError),
    /// One of the events failed.
    Some(HandlerError),
}

impl Failed {
    /// The word for spans.
    const fn error_type(&self) -> &'static str {
        match self {
            Self::Outage(_) => "unavailable",
            Self::Event(_, error) | Self::Some(error) => match error {
                HandlerError::Undecodable(_) => "undecodable",
                HandlerError::Retry(_) => "retry",
                HandlerError::Fatal(_) => "fatal",
            },
        }
    }
}

impl Worker {
    async fn run(mut self, mut source: Option<(Source, Option<Trust>)>) {
        loop {
            let Some((events, trust)) = &mut source else {
                source = self.resubscribe().await;
                if source.is_none() {
                    return;
                }
                continue;
            };
            let due = self.outage.as_ref().map_or_else(|| self.held.next_due(), |outage| Some(outage.due));
            let takes_more = self.outage.is_none() && self.held.len() < MAX_HELD;
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.try_again().await,
                next = events.next_batch(), if takes_more => match next {
                    Ok(batch) => {
                        let believed = self.refuse(batch, trust.as_ref()).await;
                        let free = self.held.line_up(believed);
                        self.work_off(free, None).await;
                    }
                    Err(error) => {
                        warn!(consumer = self.consumer.name(), error = chain(&error), "the bus is away; subscribing again");
                        // What is not acknowledged is delivered again.
                        self.held = Held::default();
                        self.outage = None;
                        source = None;
                    }
                },
            }
            self.observe();
        }
    }

    /// Retries the events that are due.
    async fn try_again(&mut self) {
        if let Some(outage) = &mut self.outage {
            let waiting = std::mem::take(&mut outage.waiting);
            self.work_off(waiting, None).await;
        } else if let Some(line) = self.held.take_due(Instant::now()) {
            self.work_off(line.deliveries, Some((line.failures, line.since))).await;
        }
    }

    /// Handles events together, takes out those that fail, and retries the rest. `before`: how many times the first has failed, and since
    /// when.
    async fn work_off(&mut self, mut batch: VecDeque<Delivery>, mut before: Option<(u32, Instant)>) {
        let mut singly = false;
        while !batch.is_empty() {
            if self.shutdown.is_cancelled() {
                // The rest is unacknowledged and is delivered again after the restart.
                return;
            }
            let together = if singly { 1 } else { batch.len() };
            let (index, error) = match self.handle(&batch.make_contiguous()[..together]).await {
                Ok(outcomes) => {
                    self.settle(batch.drain(..together), outcomes).await;
                    before = None;
                    continue;
                }
                Err(Failed::Outage(cause)) => return self.wait(batch, &cause),
                Err(Failed::Some(_)) if together > 1 => {
                    singly = true;
                    continue;
                }
                Err(Failed::Some(error)) => (0, error),
                Err(Failed::Event(index, error)) => (index, error),
            };
            let failed = if index == 0 { before.take() } else { None };
            let mut rest = batch.split_off(index);
            let Some(delivery) = rest.pop_front() else { return };
            if let HandlerError::Retry(cause) = error {
                let key = delivery.message().key().to_owned();
                let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|behind| behind.message().key() == key);
                batch.extend(others);
                self.hold(delivery, same, failed, &cause);
            } else {
                if let Err((delivery, cause)) = self.give_up(delivery, &error).await {
                    batch.push_back(delivery);
                    batch.append(&mut rest);
                    return self.wait(batch, &cause);
                }
                batch.append(&mut rest);
            }
        }
        self.outage = None;
    }

    /// Runs the effects and marks the events as seen in one transaction, if any event has an effect.
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Outcomes, Failed> {
        let span = info_span!("consume", consumer = self.consumer.name(), events = deliveries.len());
        let outage = |error: DbError| Failed::Outage(chain(&error));
        async {
            let (mut outcomes, mut open) = (Outcomes::default(), Vec::with_capacity(deliveries.len()));
            for (index, message) in deliveries.iter().map(Delivery::message).enumerate() {
                let handling = handling(&self.bus, self.consumer.name(), message);
                if self.consumer.has_effect(&self.db, message).with_context(handling.context()).await.map_err(outage)? {
                    open.push((index, message, handling));
                } else {
                    outcomes.without_effect += 1;
                }
            }
            // The transaction of several events is part of the first one's trace.
            let Some(first) = open.first().map(|(.., handling)| handling.context()) else { return Ok(outcomes) };
            let mut tx = self.db.begin_patient().await.map_err(outage)?;
            for (index, message, handling) in &open {
                let effect = async {
                    if !inbox::first_time(&mut tx, self.consumer.name(), message.id, self.clock.now()).await.map_err(outage)? {
                        return Ok(false);
                    }
                    self.consumer.handle(&mut tx, message).await.map_err(|error| Failed::Event(*index, error))?;
                    Ok(true)
                };
                let effect =
                    effect.with_context(handling.context()).await.inspect_err(|failed: &Failed| handling.fail(failed.error_type()))?;
                if effect {
                    outcomes.taken += 1;
                } else {
                    outcomes.duplicate += 1;
                }
            }
            tx.commit().with_context(first).await.map_err(|error| match HandlerError::from(error) {
                HandlerError::Retry(cause) => Failed::Outage(cause),
                // Deferred constraints, checked at commit.
                error => Failed::Some(error),
            })?;
            Ok(outcomes)
        }
        .instrument(span)
        .await
    }

    async fn settle(&self, done: impl Iterator<Item = Delivery>, outcomes: Outcomes) {
        self.measures.ok.increment(outcomes.taken as u64);
        self.measures.no_effect.increment(outcomes.without_effect as u64);
        self.measures.duplicate.increment(outcomes.duplicate as u64);
        for delivery in done {
            delivery.settle(Verdict::Done).await;
        }
    }

    /// Turns an event into a dead letter. If that cannot be stored, returns the event and the cause.
    async fn give_up(&self, delivery: Delivery, error: &HandlerError) -> Result<(), (Delivery, String)> {
        let message = delivery.message();
        warn!(consumer = self.consumer.name(), event = %message.id, cause = %error, "event given up");
        match dead_letter::add(&self.db, self.consumer.name(), message, &error.to_string(), self.clock.now()).await {
            Ok(()) => {
                self.measures.dead.increment(1);
                delivery.settle(Verdict::Dead).await;
                Ok(())
            }
            Err(e) => Err((delivery, chain(&e))),
        }
    }

    /// Takes out events that are not trusted. Their dead letters have no payload, so that nobody can replay them in the publisher's name.
    async fn refuse(&mut self, deliveries: Vec<Delivery>, trust: Option<&Trust>) -> Vec<Delivery> {
        let Some(trust) = trust else { return deliveries };
        let now = self.clock.now();
        let mut believed = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let Err(cause) = trust.check(delivery.message(), delivery.stored(), now) else {
                believed.push(delivery);
                continue;
            };
            self.measures.refused.increment(1);
            if self.refused.is_kept(Instant::now()) {
                let (consumer, message) = (self.consumer.name(), delivery.message());
                warn!(consumer, event = %message.id, %cause, "event refused");
                let why = format!("{cause} ({})", message.id);
                if let Err(e) = dead_letter::add_refused(&self.db, consumer, &unbelieved(message), &why, now).await {
                    warn!(consumer, error = chain(&e), "a refused event could not be stored");
                }
            }
            delivery.settle(Verdict::Dead).await;
        }
        believed
    }

    async fn resubscribe(&self) -> Option<(Source, Option<Trust>)> {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep(RESUBSCRIBE) => {}
            }
            if let Ok(source) = self.bus.subscribe(&self.consumer, &self.db, &self.clock).await {
                return Some(source);
            }
        }
    }

    /// Keeps a failed event for a retry, and the events about the same thing behind it.
    fn hold(&mut self, failed: Delivery, behind: Vec<Delivery>, before: Option<(u32, Instant)>, cause: &str) {
        let now = Instant::now();
        let (failures, since) = before.map_or((1, now), |(failures, since)| (failures.saturating_add(1), since));
        if is_logged(failures) {
            let (consumer, event, seconds) = (self.consumer.name(), failed.message().id, since.elapsed().as_secs());
            warn!(consumer, %event, failures, seconds, cause, "event failed, trying again");
        }
        self.measures.retry.increment(1);
        let due = now + pause(self.consumer.first_pause(), failures, MAX_PAUSE, &self.random);
        let deliveries = std::iter::once(failed).chain(behind).collect();
        self.held.keep(Line { deliveries, failures, since, due });
    }

    /// Waits until our own database accepts writes.
    fn wait(&mut self, waiting: VecDeque<Delivery>, cause: &str) {
        let now = Instant::now();
        let (failures, since) = self.outage.take().map_or((1, now), |outage| (outage.failures.saturating_add(1), outage.since));
        if is_logged(failures) {
            let (consumer, seconds) = (self.consumer.name(), since.elapsed().as_secs());
            warn!(consumer, events = waiting.len(), failures, seconds, cause, "the consumer cannot write, trying again");
        }
        self.measures.retry.increment(waiting.len() as u64);
        let due = now + pause(self.consumer.first_pause(), failures, MAX_OUTAGE_PAUSE, &self.random);
        self.outage = Some(Outage { waiting, failures, since, due });
    }

    /// Reports for how long something has been failing; 0 when nothing is.
    fn observe(&self) {
        let since = self.outage.iter().map(|outage| outage.since).chain(self.held.since()).min();
        self.measures.retrying.set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
    }
}

/// The metrics of one consumer.
struct Measures {
    ok: Counter,
    no_effect: Counter,
    duplicate: Counter,
    retry: Counter,
    dead: Counter,
    refused: Counter,
    retrying: Gauge,
}

impl Measures {
    fn new(consumer: &'static str) -> Self {
        let outcome = |outcome| CONSUMED.with([consumer, outcome]);
        let retrying = RETRYING.with([consumer]);
        retrying.set(0.0);
        Self {
            ok: outcome("ok"),
            no_effect: outcome("no_effect"),
            duplicate: outcome("duplicate"),
            retry: outcome("retry"),
            dead: outcome("dead"),
            refused: outcome("refused"),
            retrying,
        }
    }
}

/// Limits how many refused events become dead letters: anyone with access to the bus could fill our database.
#[derive(Default)]
struct Refusals {
    since: Option<Instant>,
    kept: usize,
}

impl Refusals {
    fn is_kept(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| since + REFUSED_PERIOD <= now) {
            *self = Self { since: Some(now), kept: 0 };
        }
        self.kept += 1;
        self.kept <= MAX_REFUSED
    }
}

/// The part of a refused event that is kept, under a new id, because the id it came with may belong to another event.
fn unbelieved(message: &Message) -> Message {
    let id = derived_id(&[message.id.as_bytes(), message.subject.as_bytes(), &sha256(&message.payload)]);
    Message { id, subject: message.subject.clone(), payload: Bytes::new(), headers: BTreeMap::new() }
}

/// Whether this number of failures in a row is worth a log line.
const fn is_logged(failures: u32) -> bool {
    failures.is_power_of_two() || failures.is_multiple_of(64)
}
