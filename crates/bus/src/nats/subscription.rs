//! Durable pull consumers.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, HeaderMap, HeaderName,
    connection::State,
    header,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use futures_util::StreamExt as _;
use metrics::Gauge;
use nodkey_db::Message;
use nodkey_kernel::{jose::sha256, time::Timestamp};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use super::Nats;
use crate::{consumer::Consumer, error::BusError, ids::derived_id, metrics::PENDING};

/// Maximum number of events that a consumer handles or has buffered.
const MAX_ACK_PENDING: u16 = 64;
/// How long a pull stays open, and how often the server confirms that it still is. Silence reveals that the consumer is gone.
const PULL: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Maximum duration of a question how many events are pending.
const MEASURE: Duration = Duration::from_secs(1);

impl Nats {
    pub(crate) async fn subscribe(&self, consumer: &Consumer) -> Result<Subscription, BusError> {
        self.require_connection("create consumer")?;
        let config = pull::Config {
            durable_name: Some(self.names().name(consumer.name())),
            filter_subject: self.names().subject(&format!("{}.>", consumer.subject())),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(self.config.ack_wait_seconds),
            deliver_policy: DeliverPolicy::All,
            max_ack_pending: MAX_ACK_PENDING.into(),
            ..pull::Config::default()
        };
        let pending = PENDING.with([consumer.name()]);
        // The publisher creates the stream; a stream that does not exist yet is waited for.
        let stream = self.names().stream(consumer.producer());
        let consumer = self.jetstream.create_consumer_on_stream(config, stream).await;
        let consumer = consumer.map_err(|e| BusError::unavailable("create consumer", e))?;
        let messages = consumer.stream().max_messages_per_batch(MAX_ACK_PENDING.into()).expires(PULL).heartbeat(HEARTBEAT).messages();
        let messages = messages.await.map_err(|e| BusError::unavailable("pull", e))?;
        let (sender, events) = mpsc::channel(MAX_ACK_PENDING.into());
        let keeper = Keeper { client: self.client.clone(), prefix: self.names().subject(""), alive: Arc::default(), consumer, pending };
        let often = Duration::from_secs(self.config.ack_wait_seconds.max(1)) / 3;
        tokio::spawn(keeper.run(messages, often, sender));
        Ok(Subscription { events })
    }
}

/// An active durable pull consumer.
pub(crate) struct Subscription {
    events: mpsc::Receiver<Result<Delivery, BusError>>,
}

impl Subscription {
    /// The next event. After an error there are no more.
    pub(crate) async fn next(&mut self) -> Result<Delivery, BusError> {
        self.events.recv().await.unwrap_or_else(|| Err(BusError::unavailable("pull", "the subscription ended")))
    }
}

/// Whether a header says with which other events one was published. It is none of the event, and would spoil its replay.
fn is_of_batch(name: &HeaderName) -> bool {
    [header::NATS_BATCH_ID, header::NATS_BATCH_SEQUENCE, header::NATS_BATCH_COMMIT].contains(name)
}

/// Events that the server waits to hear of, by reply subject.
type Alive = Arc<Mutex<HashSet<String>>>;

/// Receives what the server sends, and keeps the server from redelivering it elsewhere until it is settled, however long that takes.
struct Keeper {
    client: Client,
    prefix: String,
    alive: Alive,
    consumer: jetstream::consumer::PullConsumer,
    pending: Gauge,
}

impl Keeper {
    /// Runs until an error, or until nobody receives any more.
    async fn run(self, mut messages: pull::Stream, every: Duration, sender: mpsc::Sender<Result<Delivery, BusError>>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = None;
        loop {
            tokio::select! {
                () = sender.closed() => return,
                _ = ticks.tick() => {
                    self.keep_alive().await;
                    self.measure().await;
                }
                place = sender.reserve(), if taken.is_some() => {
                    let (Ok(place), Some(next)) = (place, taken.take()) else { return };
                    let over = Result::is_err(&next);
                    place.send(next);
                    if over {
                        return;
                    }
                }
                next = messages.next(), if taken.is_none() => taken = Some(match next {
                    Some(Ok(message)) => Ok(self.delivery(message)),
                    Some(Err(e)) => Err(BusError::unavailable("pull", e)),
                    None => Err(BusError::unavailable("pull", "the subscription ended")),
                }),
            }
        }
    }

    async fn keep_alive(&self) {
        if self.client.connection_state() != State::Connected {
            return;
        }
        let alive: Vec<_> = self.alive.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for reply in alive {
            // If this is lost, the event is delivered a second time, and the inbox absorbs it.
            let _ = self.client.publish(reply, AckKind::Progress.into()).await;
        }
    }

    /// Reports how many events the consumer has not settled: those that the server still holds, and those that it has sent.
    async fn measure(&self) {
        // Briefly: what keeps events from being redelivered has to run again in time.
        if let Ok(Ok(info)) = timeout(MEASURE, self.consumer.get_info()).await {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
            self.pending.set(info.num_pending.saturating_add(info.num_ack_pending as u64) as f64);
        }
    }

    fn delivery(&self, inner: jetstream::Message) -> Delivery {
        let mut message = Message {
            id: Uuid::nil(),
            subject: inner.subject.strip_prefix(self.prefix.as_str()).unwrap_or(&inner.subject).to_owned(),
            payload: inner.payload.clone(),
            headers: BTreeMap::new(),
        };
        for (name, values) in inner.headers.iter().flat_map(HeaderMap::iter) {
            let value = values.first().map(ToString::to_string).unwrap_or_default();
            if *name == header::NATS_MESSAGE_ID {
                message.id = value.parse().unwrap_or_default();
            } else if !is_of_batch(name) {
                message.headers.insert(name.to_string(), value);
            }
        }
        let info = inner.info().ok();
        if message.id.is_nil() {
            // Every delivery of this message has the same id, and no other event has it.
            let sequence = info.as_ref().map_or(0, |info| info.stream_sequence);
            message.id = derived_id(&[message.subject.as_bytes(), &sha256(&message.payload), &sequence.to_be_bytes()]);
        }
        let stored = info.and_then(|info| i64::try_from(info.published.unix_timestamp_nanos() / 1000).ok());
        let stored = stored.map(Timestamp::from_micros);
        if let Some(reply) = &inner.reply {
            self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(reply.to_string());
        }
        Delivery { message, stored, inner, alive: Arc::clone(&self.alive) }
    }
}

/// An event to be acknowledged. If dropped without, it is given to another consumer after the acknowledgement wait.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// When the server stored it, by the server's clock.
    pub(crate) stored: Option<Timestamp>,
    inner: jetstream::Message,
    alive: Alive,
}

impl Delivery {
    /// Acknowledges. If the acknowledgement is lost, the event is redelivered, and the inbox absorbs it.
    pub(crate) async fn ack(self) {
        let _ = self.inner.ack().await;
    }

    /// Tells the server never to redeliver the event.
    pub(crate) async fn term(self) {
        let _ = self.inner.ack_with(AckKind::Term).await;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(reply) = &self.inner.reply {
            self.alive.lock().unwrap_or_else(PoisonError::into_inner).remove(reply.as_str());
        }
    }
}
