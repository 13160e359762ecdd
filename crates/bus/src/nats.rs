//! NATS JetStream.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, Event, HeaderMap, ServerAddr,
    connection::State,
    jetstream::{
        self, AckKind, Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{CreateStreamError, PublishError, PublishErrorKind},
        stream::{self, ConsumerErrorKind},
    },
};
use futures_util::StreamExt as _;
use metrics::Gauge;
use nodkey_db::Message;
use nodkey_kernel::{
    error::{chain, plain},
    time::Timestamp,
};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    config::{BusConfig, Identity},
    consumer::{Consumer, producer},
    error::BusError,
    metrics::{CONNECTED, PENDING},
    wake::Hub,
};

/// Interval at which to ping the server. After two pings without an answer the connection is reopened.
const PING: Duration = Duration::from_secs(5);
/// Maximum number of events that a consumer handles or has buffered.
const MAX_ACK_PENDING: u16 = 64;
/// How long a pull stays open, and how often the server confirms that it still is. Silence reveals that the consumer is gone.
const PULL: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a start waits for the server.
const CONNECT: Duration = Duration::from_secs(2);
/// How long to probe for the reason that the server does not answer.
const PROBE: Duration = Duration::from_secs(1);
/// Maximum duration of a question how many events are pending.
const MEASURE: Duration = Duration::from_secs(1);
/// Maximum duration of a publish, whatever happens to the connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stream remembers ids to recognize a repeated publish.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// How long a stream keeps events for consumers that are away.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// Codes for a missing consumer: its stream is missing, or the consumer itself is.
const MISSING: [ErrorCode; 2] = [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];

/// Size of the largest event: a response with 1 MiB of custom fields, plus the remaining fields.
const MIN_PAYLOAD: usize = 2 << 20;

/// A connection to NATS.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    config: BusConfig,
    identity: Option<Identity>,
    hub: Arc<Hub>,
}

impl Nats {
    pub(crate) async fn connect(config: &BusConfig, identity: Option<Identity>) -> Result<Self, BusError> {
        let (sender, mut connected) = watch::channel(false);
        report(false);
        let (said, refusal) = watch::channel(None);
        let options = async_nats::ConnectOptions::new().name("nodkey").retry_on_initial_connect().ping_interval(PING);
        let mut options = options.event_callback(move |event| {
            observe(&event, &sender, &said);
            std::future::ready(())
        });
        if !config.user.is_empty() {
            // Replies to a user are visible to no other user.
            options = options.custom_inbox_prefix(inbox(&config.user));
            options = options.user_and_password(config.user.clone(), config.password.expose_secret().to_owned());
        }
        let client = options.connect(&config.url).await.map_err(|e| BusError::unavailable("connect", e))?;
        let hub = Arc::new(Hub::default());
        let nats = Self { jetstream: jetstream::new(client.clone()), client, config: config.clone(), identity, hub };
        nats.listen_to_wakes().await?;
        // An unreachable server is waited for later.
        if timeout(CONNECT, connected.wait_for(|is| *is)).await.is_err() {
            let said = refusal.borrow().clone();
            let (address, cause) = unreachable(&config.url, said).await;
            warn!(address, cause, "NATS cannot be reached; events wait in the outbox until it can");
        }
        Ok(nats)
    }

    /// One subscription per process; it is matched to the waiters here.
    async fn listen_to_wakes(&self) -> Result<(), BusError> {
        let prefix = self.names().subject("wake.");
        let mut wakes = self.client.subscribe(format!("{prefix}>")).await.map_err(|e| BusError::unavailable("subscribe", e))?;
        let hub = Arc::downgrade(&self.hub);
        tokio::spawn(async move {
            while let Some(message) = wakes.next().await {
                let Some(hub) = hub.upgrade() else { break };
                if let Some(topic) = message.subject.strip_prefix(&prefix) {
                    hub.wake(topic);
                }
            }
        });
        Ok(())
    }

    pub(crate) async fn ensure_stream(&self, service: &str) -> Result<(), BusError> {
        self.require_connection("create stream")?;
        let config = self.stream_config(service);
        let failed = |e: CreateStreamError| BusError::unavailable("create stream", e);
        match self.jetstream.get_stream(&config.name).await {
            Ok(stream) if is_as(&stream.cached_info().config, &config) => {}
            Ok(_) => match self.jetstream.update_stream(&config).await {
                Ok(_) => {}
                // The stream accepts events nevertheless. Services that have their own users may not change streams.
                Err(e) if !self.config.user.is_empty() => {
                    warn!(
                        stream = config.name,
                        error = chain(&e),
                        "the stream is not as it should be, and an administrator has to change it"
                    );
                }
                Err(e) => return Err(failed(e)),
            },
            Err(_) => drop(self.jetstream.create_stream(config).await.map_err(failed)?),
        }
        // Refused now: a server that rejected a large event later would hold up every event behind it.
        let limit = self.client.server_info().max_payload;
        if limit < MIN_PAYLOAD { Err(BusError::Payload { limit }) } else { Ok(()) }
    }

    fn stream_config(&self, service: &str) -> stream::Config {
        stream::Config {
            name: self.names().stream(service),
            subjects: vec![self.names().subject(&format!("evt.{service}.>"))],
            storage: stream::StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            max_age: MAX_AGE,
            num_replicas: self.config.replicas,
            ..stream::Config::default()
        }
    }

    pub(crate) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, message.id.to_string());
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        self.require_connection("publish")?;
        let subject = self.names().subject(&message.subject);
        match self.send(&subject, headers.clone(), message).await {
            // The stream was deleted, or the server has lost it.
            Err(e) if e.kind() == PublishErrorKind::StreamNotFound => {
                self.ensure_stream(producer(&message.subject)).await?;
                self.send(&subject, headers, message).await
            }
            outcome => outcome,
        }
        .map_err(|e| BusError::unavailable("publish", e))
    }

    async fn send(&self, subject: &str, headers: HeaderMap, message: &Message) -> Result<(), PublishError> {
        let publish = async {
            // The first future sends; the second resolves when the server confirms that the event is stored.
            self.jetstream.publish_with_headers(subject.to_owned(), headers, message.payload.clone()).await?.await
        };
        timeout(PATIENCE, publish).await.unwrap_or_else(|_| Err(PublishError::new(PublishErrorKind::TimedOut))).map(drop)
    }

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

    /// Whether a durable consumer exists.
    pub(crate) async fn has(&self, consumer: &Consumer) -> Result<bool, BusError> {
        self.require_connection("look for a consumer")?;
        let (stream, name) = (self.names().stream(consumer.producer()), self.names().name(consumer.name()));
        match self.jetstream.get_consumer_from_stream::<pull::Config, _, _>(name, stream).await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), ConsumerErrorKind::JetStream(cause) if MISSING.contains(&cause.error_code())) => Ok(false),
            Err(e) => Err(BusError::unavailable("look for a consumer", e)),
        }
    }

    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether unsigned events are refused.
    pub(crate) const fn requires_signatures(&self) -> bool {
        self.config.require_signatures && self.identity.is_some()
    }

    pub(crate) async fn wake(&self, topic: &str) {
        // A hint: waiters check by themselves after a while. While the server is unreachable, hints would pile up.
        if !self.is_connected() {
            return;
        }
        let _ = self.client.publish(self.names().subject(&format!("wake.{topic}")), bytes::Bytes::new()).await;
    }

    /// What is sent without a connection would wait in the memory of the client.
    fn require_connection(&self, action: &'static str) -> Result<(), BusError> {
        if self.is_connected() { Ok(()) } else { Err(BusError::unavailable(action, "not connected")) }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) async fn drain(&self) {
        let _ = self.client.drain().await;
    }

    pub(crate) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    const fn names(&self) -> Names<'_> {
        Names(self.config.prefix.as_str())
    }
}

/// Names of subjects, streams and consumers in a deployment with or without a prefix.
pub(crate) struct Names<'a>(pub(crate) &'a str);

impl Names<'_> {
    pub(crate) fn subject(&self, subject: &str) -> String {
        if self.0.is_empty() { subject.to_owned() } else { format!("{}.{subject}", self.0) }
    }

    pub(crate) fn stream(&self, service: &str) -> String {
        self.name(&format!("EVT_{}", service.to_uppercase()))
    }

    pub(crate) fn name(&self, name: &str) -> String {
        if self.0.is_empty() { name.to_owned() } else { format!("{}_{name}", self.0) }
    }
}

/// Prefix of the subjects on which a user receives replies.
pub(crate) fn inbox(user: &str) -> String {
    format!("_INBOX.{user}")
}

/// Whether a stream is configured as we would create it.
fn is_as(stream: &stream::Config, ours: &stream::Config) -> bool {
    let facts = |of: &stream::Config| (of.subjects.clone(), of.storage, of.duplicate_window, of.max_age, of.num_replicas);
    facts(stream) == facts(ours)
}

/// The address of the server and the reason that it is unreachable: what the operating system reports, or otherwise what the server `said`.
async fn unreachable(url: &str, said: Option<String>) -> (String, String) {
    let Ok(server) = url.parse::<ServerAddr>() else { return (String::new(), "the address cannot be read".to_owned()) };
    let address = format!("{}:{}", server.host(), server.port());
    let cause = match timeout(PROBE, tokio::net::TcpStream::connect(&address)).await {
        Ok(Err(e)) => plain(&e.to_string()),
        Err(_) => "no answer in time".to_owned(),
        Ok(Ok(_)) => said.unwrap_or_else(|| "it takes connections, and does not answer as NATS does".to_owned()),
    };
    (address, cause)
}

fn observe(event: &Event, connected: &watch::Sender<bool>, said: &watch::Sender<Option<String>>) {
    match event {
        Event::Connected => info!("connected to the bus"),
        Event::Disconnected => warn!("the bus is away; events wait in the outbox"),
        Event::ClientError(error) => {
            let text = plain(&error.to_string());
            // Connecting is retried again and again; log it once.
            if said.borrow().as_ref() != Some(&text) {
                info!(cause = text, "no connection to the bus");
                said.send_replace(Some(text));
            }
            return;
        }
        other => return info!(event = %other, "the bus"),
    }
    said.send_replace(None);
    let is = matches!(event, Event::Connected);
    report(is);
    connected.send_replace(is);
}

pub(crate) fn report(connected: bool) {
    CONNECTED.set(f64::from(u8::from(connected)));
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
            if *name == async_nats::header::NATS_MESSAGE_ID {
                message.id = value.parse().unwrap_or_default();
            } else {
                message.headers.insert(name.to_string(), value);
            }
        }
        let stored = inner.info().ok().and_then(|info| i64::try_from(info.published.unix_timestamp_nanos() / 1000).ok());
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
