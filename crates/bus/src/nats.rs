//! NATS JetStream.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap,
    connection::State,
    jetstream::{
        self, AckKind, Context,
        consumer::{AckPolicy, DeliverPolicy, pull},
        stream,
    },
};
use futures_util::StreamExt as _;
use nodkey_db::Message;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{
    bus::{BusConfig, BusError},
    consumer::Consumer,
    wake::Hub,
};

/// How many events a consumer works on or has buffered.
const MAX_ACK_PENDING: i64 = 64;
/// How long a stream remembers ids to recognise a repeated publish.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// How long a stream keeps events for consumers that are away.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// The largest event, an answer with 1 MiB of custom fields, and room for the rest.
const MIN_PAYLOAD: usize = 2 << 20;

/// A connection to NATS.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    config: BusConfig,
    hub: Arc<Hub>,
}

impl Nats {
    pub(crate) async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        let mut options = async_nats::ConnectOptions::new().name("nodkey").retry_on_initial_connect();
        if !config.user.is_empty() {
            options = options.user_and_password(config.user.clone(), config.password.expose_secret().to_owned());
        }
        let client = options.connect(&config.url).await.map_err(|e| BusError::unavailable("connect", e))?;
        let hub = Arc::new(Hub::default());
        let nats = Self { jetstream: jetstream::new(client.clone()), client, config: config.clone(), hub };
        nats.listen_to_wakes().await?;
        Ok(nats)
    }

    /// One subscription a process; who waits for what is sorted out here.
    async fn listen_to_wakes(&self) -> Result<(), BusError> {
        let prefix = self.subject("wake.");
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
        let config = stream::Config {
            name: self.stream(service),
            subjects: vec![self.subject(&format!("evt.{service}.>"))],
            storage: stream::StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            max_age: MAX_AGE,
            num_replicas: self.config.replicas,
            ..stream::Config::default()
        };
        self.jetstream.create_or_update_stream(config).await.map_err(|e| BusError::unavailable("create stream", e))?;
        // Told now: a server that refuses a large event later would hold up every event behind it.
        let limit = self.client.server_info().max_payload;
        if limit < MIN_PAYLOAD { Err(BusError::Payload { limit }) } else { Ok(()) }
    }

    pub(crate) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, message.id.to_string());
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        // The first future sends, the second is the server's word that the event is stored.
        let ack = self
            .jetstream
            .publish_with_headers(self.subject(&message.subject), headers, message.payload.clone())
            .await
            .map_err(|e| BusError::unavailable("publish", e))?;
        ack.await.map_err(|e| BusError::unavailable("publish", e))?;
        Ok(())
    }

    pub(crate) async fn subscribe(&self, consumer: &Consumer) -> Result<Subscription, BusError> {
        // Whoever comes first makes the stream: services start in any order.
        self.ensure_stream(consumer.producer()).await?;
        let stream =
            self.jetstream.get_stream(self.stream(consumer.producer())).await.map_err(|e| BusError::unavailable("get stream", e))?;
        let config = pull::Config {
            durable_name: Some(self.name(consumer.name())),
            filter_subject: self.subject(&format!("{}.>", consumer.subject())),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(self.config.ack_wait_seconds),
            deliver_policy: DeliverPolicy::All,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|e| BusError::unavailable("create consumer", e))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(usize::try_from(MAX_ACK_PENDING).unwrap_or(1))
            .messages()
            .await
            .map_err(|e| BusError::unavailable("pull", e))?;
        Ok(Subscription { messages, prefix: self.subject("") })
    }

    pub(crate) async fn wake(&self, topic: &str) {
        // A hint: whoever waits looks by itself in a while.
        let _ = self.client.publish(self.subject(&format!("wake.{topic}")), bytes::Bytes::new()).await;
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

    fn subject(&self, subject: &str) -> String {
        if self.config.prefix.is_empty() { subject.to_owned() } else { format!("{}.{subject}", self.config.prefix) }
    }

    fn stream(&self, service: &str) -> String {
        self.name(&format!("EVT_{}", service.to_uppercase()))
    }

    fn name(&self, name: &str) -> String {
        if self.config.prefix.is_empty() { name.to_owned() } else { format!("{}_{name}", self.config.prefix) }
    }
}

/// A durable pull consumer, pulling.
pub(crate) struct Subscription {
    messages: pull::Stream,
    prefix: String,
}

/// An event to be acknowledged.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    inner: jetstream::Message,
}

impl Subscription {
    /// The next event; an error is the bus being away, and the next call goes on.
    pub(crate) async fn next(&mut self) -> Result<Delivery, BusError> {
        let inner = match self.messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(e)) => return Err(BusError::unavailable("pull", e)),
            None => return Err(BusError::unavailable("pull", "the subscription ended")),
        };
        let mut message = Message {
            id: Uuid::nil(),
            subject: inner.subject.strip_prefix(self.prefix.as_str()).unwrap_or(&inner.subject).to_owned(),
            payload: inner.payload.clone(),
            headers: std::collections::BTreeMap::new(),
        };
        for (name, values) in inner.headers.iter().flat_map(HeaderMap::iter) {
            let value = values.first().map(ToString::to_string).unwrap_or_default();
            if *name == async_nats::header::NATS_MESSAGE_ID {
                message.id = value.parse().unwrap_or_default();
            } else {
                message.headers.insert(name.to_string(), value);
            }
        }
        Ok(Delivery { message, inner })
    }
}

impl Delivery {
    /// Done. An acknowledgement that is lost means a redelivery, which the inbox absorbs.
    pub(crate) async fn ack(self) {
        let _ = self.inner.ack().await;
    }

    /// Still at it.
    pub(crate) async fn progress(&self) {
        let _ = self.inner.ack_with(AckKind::Progress).await;
    }

    /// Never again.
    pub(crate) async fn term(self) {
        let _ = self.inner.ack_with(AckKind::Term).await;
    }
}
