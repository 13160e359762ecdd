//! Consumers: an event has its effect once, in the transaction that marks it as seen.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use metrics::counter;
use nodkey_db::{Db, DbError, Message, Tx, dead_letter, inbox};
use nodkey_kernel::{
    error::{Classify, Kind, chain},
    id::RelyingPartyId,
    time::{Clock, Timestamp},
};
use nodkey_proto::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};
use uuid::Uuid;

use crate::{Bus, BusError, memory, nats};

/// How many events that wait are taken in by one transaction: what is slow is the commit.
const BATCH: usize = 32;
/// How often an event is tried before it is a dead letter.
const MAX_ATTEMPTS: u32 = 8;
/// How long after a first failure it is tried again; doubles.
const BACKOFF: Duration = Duration::from_millis(50);

/// The facts about an event that are not in its message.
#[derive(Clone, Debug)]
pub struct EventMeta {
    /// Unique.
    pub id: Uuid,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// Version of the aggregate after it; 0 when unknown.
    pub version: i64,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// The request that caused it.
    pub traceparent: Option<String>,
}

/// Why an event had no effect.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It cannot be read; it never will.
    #[error("the event cannot be read: {0}")]
    Undecodable(String),
    /// Something is away; the same may work soon.
    #[error("{0}")]
    Retry(String),
    /// It will never work.
    #[error("{0}")]
    Fatal(String),
}

impl<E: Classify> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let text = chain(&error);
        if error.kind() == Kind::Unavailable { Self::Retry(text) } else { Self::Fatal(text) }
    }
}

type Handler = Arc<dyn for<'a> Fn(&'a mut Tx, &'a Message) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync>;

/// A durable consumer of one kind of event.
#[derive(Clone)]
pub struct Consumer {
    name: &'static str,
    subject: &'static str,
    handler: Handler,
    backoff: Duration,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Makes a consumer of `E`. `name` is durable: `<service>_<fact>`, and never changes.
    ///
    /// The handler writes through the transaction it is given and does no I/O besides.
    pub fn new<E, F>(name: &'static str, handler: F) -> Self
    where
        E: Event + 'static,
        F: for<'a> Fn(&'a mut Tx, E, EventMeta) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync + Clone + 'static,
    {
        let handler: Handler = Arc::new(move |tx, message| {
            let handler = handler.clone();
            Box::pin(async move {
                let event = E::decode(message.payload.clone()).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
                handler(tx, event, meta(message)?).await
            })
        });
        Self { name, subject: E::SUBJECT, handler, backoff: BACKOFF }
    }

    /// Sets how long after a first failure an event is tried again; doubles. Default 50 ms.
    #[must_use]
    pub const fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// The durable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The subject, without relying party and key.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        self.subject
    }

    /// The service that publishes the events.
    #[must_use]
    pub fn producer(&self) -> &'static str {
        self.subject.split('.').nth(1).unwrap_or_default()
    }
}

fn meta(message: &Message) -> Result<EventMeta, HandlerError> {
    let relying_party = message.key().split('.').next().unwrap_or_default();
    let header = |name: &str| message.headers.get(name).map(String::as_str);
    Ok(EventMeta {
        id: message.id,
        relying_party: relying_party.parse().map_err(|_| HandlerError::Undecodable("the subject names no relying party".into()))?,
        version: header("ce-version").and_then(|v| v.parse().ok()).unwrap_or(0),
        time: header("ce-time").and_then(|t| Timestamp::parse_rfc3339(t).ok()),
        traceparent: header("traceparent").map(ToOwned::to_owned),
    })
}

/// Where a consumer's events come from.
pub(crate) enum Source {
    Memory(mpsc::Receiver<memory::Delivery>),
    Nats(Box<nats::Subscription>),
}

enum Delivery {
    Memory(memory::Delivery),
    Nats(Box<nats::Delivery>),
}

impl Source {
    /// Waits for an event, and takes those besides that are there already.
    async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        let mut batch = vec![self.next().await?];
        // An error is met again by the next call.
        while batch.len() < BATCH
            && let Some(Ok(more)) = self.next().now_or_never()
        {
            batch.push(more);
        }
        Ok(batch)
    }

    async fn next(&mut self) -> Result<Delivery, BusError> {
        match self {
            Self::Memory(queue) => {
                queue.recv().await.map(Delivery::Memory).ok_or_else(|| BusError::unavailable("receive", "replaced by another consumer"))
            }
            Self::Nats(subscription) => subscription.next().await.map(|delivery| Delivery::Nats(Box::new(delivery))),
        }
    }
}

impl Delivery {
    fn message(&self) -> &Message {
        match self {
            Self::Memory((message, _)) => message,
            Self::Nats(delivery) => &delivery.message,
        }
    }

    async fn progress(&self) {
        if let Self::Nats(delivery) = self {
            delivery.progress().await;
        }
    }

    async fn settle(self, verdict: Verdict) {
        match (self, verdict) {
            // Whoever publishes waits for this; if it went away, the event comes again and the inbox knows it.
            (Self::Memory((_, ack)), _) => drop(ack.send(())),
            (Self::Nats(delivery), Verdict::Done) => delivery.ack().await,
            (Self::Nats(delivery), Verdict::Dead) => delivery.term().await,
        }
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Done,
    Dead,
}

/// Subscribes, and returns the loop that works events off in order until `shutdown`. Those that wait are taken in together; if
/// one of them fails, each by itself.
///
/// A failure that may pass is retried in place, so that what comes later about the same thing does not overtake.
pub async fn consume(
    bus: &Bus,
    db: Db,
    clock: Clock,
    consumer: Consumer,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static + use<>, BusError> {
    let mut source = bus.subscribe(&consumer).await?;
    let bus = bus.clone();
    Ok(async move {
        loop {
            let next = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                next = source.next_batch() => next,
            };
            match next {
                Ok(batch) => work_off_batch(&consumer, &db, &clock, batch, &shutdown).await,
                Err(error) => {
                    warn!(consumer = consumer.name, error = chain(&error), "the bus is away; subscribing again");
                    let Some(again) = resubscribe(&bus, &consumer, &shutdown).await else { return };
                    source = again;
                }
            }
        }
    })
}

async fn resubscribe(bus: &Bus, consumer: &Consumer, shutdown: &CancellationToken) -> Option<Source> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        if let Ok(source) = bus.subscribe(consumer).await {
            return Some(source);
        }
    }
}

async fn work_off_batch(consumer: &Consumer, db: &Db, clock: &Clock, batch: Vec<Delivery>, shutdown: &CancellationToken) {
    if batch.len() > 1 {
        let span = info_span!("consume", consumer = consumer.name, events = batch.len());
        let messages: Vec<_> = batch.iter().map(Delivery::message).collect();
        if let Ok(taken) = handle(consumer, db, clock, &messages).instrument(span).await {
            let duplicates = batch.len() - taken;
            for (outcome, count) in [("ok", taken), ("duplicate", duplicates)] {
                counter!("nodkey_events_consumed_total", "consumer" => consumer.name, "outcome" => outcome).increment(count as u64);
            }
            for delivery in batch {
                delivery.settle(Verdict::Done).await;
            }
            return;
        }
    }
    for delivery in batch {
        if shutdown.is_cancelled() {
            // Unacknowledged, the rest comes again after the restart.
            return;
        }
        let span = info_span!("consume", consumer = consumer.name, event = %delivery.message().id);
        work_off(consumer, db, clock, delivery, shutdown).instrument(span).await;
    }
}

async fn work_off(consumer: &Consumer, db: &Db, clock: &Clock, delivery: Delivery, shutdown: &CancellationToken) {
    let mut attempt = 1;
    let (verdict, outcome) = loop {
        match handle(consumer, db, clock, &[delivery.message()]).await {
            Ok(0) => break (Verdict::Done, "duplicate"),
            Ok(_) => break (Verdict::Done, "ok"),
            Err(HandlerError::Retry(cause)) if attempt < MAX_ATTEMPTS => {
                warn!(attempt, cause, "event failed, trying again");
                counter!("nodkey_events_consumed_total", "consumer" => consumer.name, "outcome" => "retry").increment(1);
                delivery.progress().await;
                tokio::select! {
                    // Unacknowledged, it comes again after the restart.
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(consumer.backoff * (1 << (attempt - 1))) => attempt += 1,
                }
            }
            Err(error) => {
                warn!(attempt, cause = %error, "event given up");
                if let Err(e) = dead_letter::add(db, consumer.name, delivery.message(), &error.to_string(), clock.now()).await {
                    // Not kept, so not given up: it stays unacknowledged and comes again.
                    warn!(cause = chain(&e), "the dead letter could not be kept");
                    return;
                }
                break (Verdict::Dead, "dead");
            }
        }
    };
    counter!("nodkey_events_consumed_total", "consumer" => consumer.name, "outcome" => outcome).increment(1);
    delivery.settle(verdict).await;
}

/// Effects and marks in one transaction; returns how many of the events were not seen before.
async fn handle(consumer: &Consumer, db: &Db, clock: &Clock, messages: &[&Message]) -> Result<usize, HandlerError> {
    let mut tx = db.begin().await?;
    let mut taken = 0;
    for message in messages {
        if inbox::first_time(&mut tx, consumer.name, message.id, clock.now()).await? {
            (consumer.handler)(&mut tx, message).await?;
            taken += 1;
        }
    }
    tx.commit().await.map_err(|e: DbError| HandlerError::from(e))?;
    Ok(taken)
}
