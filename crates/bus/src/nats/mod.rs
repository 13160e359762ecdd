//! NATS JetStream.

mod publish;
mod stream;
mod subscription;
mod wakes;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use async_nats::{
    Client, Event, ServerAddr,
    connection::State,
    jetstream::{self, Context, ErrorCode, consumer::pull, stream::ConsumerErrorKind},
};
use bytes::Bytes;
use nodkey_kernel::error::plain;
use secrecy::ExposeSecret as _;
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

pub(crate) use self::publish::{Batched, MAX_BATCH, MAX_BATCH_BYTES};
pub(crate) use self::subscription::{Delivery, Subscription};
use self::wakes::Wakes;
use crate::{
    config::{BusConfig, Identity},
    consumer::Consumer,
    error::BusError,
    metrics::CONNECTED,
    wake::{Hub, Listener},
};

/// Interval at which to ping the server. After two pings without an answer the connection is reopened.
const PING: Duration = Duration::from_secs(5);
/// How long a start waits for the server.
const CONNECT: Duration = Duration::from_secs(2);
/// How long to probe for the reason that the server does not answer.
const PROBE: Duration = Duration::from_secs(1);
/// Maximum duration of a publish, whatever happens to the connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stream keeps events for consumers that are away.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// Maximum size of the headers that publishing adds: the id and the signature.
const MAX_OWN_HEADERS: usize = 512;

/// Codes for a missing consumer: its stream is missing, or the consumer itself is.
const MISSING: [ErrorCode; 2] = [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];

/// A connection to NATS.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    config: BusConfig,
    identity: Option<Arc<Identity>>,
    wakes: Wakes,
    /// Whether the stream of this service takes atomic batches.
    takes_batches: AtomicBool,
}

impl Nats {
    pub(crate) async fn connect(config: &BusConfig, identity: Option<Identity>) -> Result<Self, BusError> {
        let (sender, mut connected) = watch::channel(false);
        report(false);
        let (said, refusal) = watch::channel(None);
        let options = async_nats::ConnectOptions::new().name("nodkey").retry_on_initial_connect().ping_interval(PING);
        // Who listens in this process is woken without a detour.
        let mut options = options.no_echo().event_callback(move |event| {
            observe(&event, &sender, &said);
            std::future::ready(())
        });
        if !config.user.is_empty() {
            // Replies to a user are visible to no other user.
            options = options.custom_inbox_prefix(inbox(&config.user));
            options = options.user_and_password(config.user.clone(), config.password.expose_secret().to_owned());
        }
        let client = options.connect(&config.url).await.map_err(|e| BusError::unavailable("connect", e))?;
        let identity = identity.map(Arc::new);
        let wakes = Wakes::new(client.clone(), &Names(&config.prefix), identity.clone());
        let nats = Self {
            jetstream: jetstream::new(client.clone()),
            client,
            config: config.clone(),
            identity,
            wakes,
            takes_batches: AtomicBool::new(false),
        };
        // An unreachable server is waited for later.
        if timeout(CONNECT, connected.wait_for(|is| *is)).await.is_err() {
            let said = refusal.borrow().clone();
            let (address, cause) = unreachable(&config.url, said).await;
            warn!(address, cause, "NATS cannot be reached; events wait in the outbox until it can");
        }
        Ok(nats)
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

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Whether unsigned events are refused.
    pub(crate) const fn requires_signatures(&self) -> bool {
        self.config.require_signatures && self.identity.is_some()
    }

    pub(crate) async fn wake(&self, topic: &str, payload: Option<Bytes>) {
        self.wakes.wake(topic, payload, self.is_connected()).await;
    }

    pub(crate) fn listen(&self, topic: &str) -> Listener {
        self.wakes.listen(topic)
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
        self.wakes.hub()
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
