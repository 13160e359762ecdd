//! The bus, whichever it is.

use std::{sync::Arc, time::Duration};

use nodkey_db::Message;
use nodkey_kernel::error::{Classify, Kind, chain};
use secrecy::SecretString;
use serde::Deserialize;
use tracing::warn;

use crate::{
    consumer::Consumer,
    memory::Memory,
    nats::{self, Nats},
    source::Source,
    wake::{Hub, Listener},
};

/// Where the bus is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct BusConfig {
    /// `nats://host:port` or `memory:`.
    pub url: String,
    /// Who to be to the server; empty: nobody in particular.
    pub user: String,
    /// What proves it.
    pub password: SecretString,
    /// Put before every subject, stream and consumer, so that deployments can share a server. Letters, digits, `_`.
    pub prefix: String,
    /// How many seconds after a consumer has gone away its events are given to another.
    pub ack_wait_seconds: u64,
    /// How many replicas a stream has. 3 on a cluster.
    pub replicas: usize,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "memory:".into(),
            user: String::new(),
            password: SecretString::default(),
            prefix: String::new(),
            ack_wait_seconds: 10,
            replicas: 1,
        }
    }
}

/// The bus did not take what it was given.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The URL names no bus.
    #[error("the bus URL must be memory: or start with nats://")]
    Url,
    /// The bus is away or refused; the same again may work soon.
    #[error("the bus is not available: {action}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Large events would not pass.
    #[error("the nats-server takes messages of {limit} bytes at most: set `max_payload: 8MB` in its configuration")]
    Payload {
        /// What it takes.
        limit: usize,
    },
    /// A consumer stopped before it acknowledged.
    #[error("consumer {0} stopped before it acknowledged")]
    Unacknowledged(String),
}

impl BusError {
    pub(crate) fn unavailable(action: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { action, source: source.into() }
    }
}

impl Classify for BusError {
    fn kind(&self) -> Kind {
        match self {
            Self::Url | Self::Payload { .. } => Kind::Internal,
            Self::Unavailable { .. } | Self::Unacknowledged(_) => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        "BUS_UNAVAILABLE"
    }
}

/// The bus. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Bus {
    /// In this process.
    Memory(Arc<Memory>),
    /// NATS JetStream.
    Nats(Arc<Nats>),
}

impl Bus {
    /// Connects; the scheme of the URL chooses.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        if config.url == "memory:" {
            nats::report(true);
            return Ok(Self::Memory(Arc::new(Memory::default())));
        }
        if !config.url.starts_with("nats://") && !config.url.starts_with("tls://") {
            return Err(BusError::Url);
        }
        Ok(Self::Nats(Arc::new(Nats::connect(config).await?)))
    }

    /// Refuses a server that would not take our events. One that is away is only logged: the relay makes sure of the stream later.
    pub async fn check(&self, service: &str) -> Result<(), BusError> {
        match self.ensure_stream(service).await {
            Err(error) if error.kind() == Kind::Unavailable => {
                warn!(error = chain(&error), "the bus is away; events wait in the outbox");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Makes sure that there is somewhere for the events of `service` to go.
    pub async fn ensure_stream(&self, service: &str) -> Result<(), BusError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Nats(nats) => nats.ensure_stream(service).await,
        }
    }

    /// Publishes; resolves once the event is safe: on disk at the server, or acknowledged by every consumer in this process.
    pub async fn publish(&self, message: &Message) -> Result<(), BusError> {
        match self {
            Self::Memory(memory) => memory.publish(message).await,
            Self::Nats(nats) => nats.publish(message).await,
        }
    }

    /// Subscribes a durable consumer. In process this must be done before anything is published that it should see.
    pub(crate) async fn subscribe(&self, consumer: &Consumer) -> Result<Source, BusError> {
        match self {
            Self::Memory(memory) => Ok(Source::Memory(memory.subscribe(consumer))),
            Self::Nats(nats) => Ok(Source::Nats(nats.subscribe(consumer).await?)),
        }
    }

    /// Hints that something about `topic` changed. Best effort.
    pub async fn wake(&self, topic: &str) {
        match self {
            Self::Memory(memory) => memory.hub().wake(topic),
            Self::Nats(nats) => nats.wake(topic).await,
        }
    }

    /// Listens to the hints about `topic`. Listen first, read then: what changes in between is not missed.
    #[must_use]
    pub fn listen(&self, topic: &str) -> Listener {
        self.hub().listen(topic)
    }

    /// Tells whether the bus answers.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Nats(nats) => nats.is_connected(),
        }
    }

    /// Sends what is buffered and disconnects.
    pub async fn close(&self) {
        if let Self::Nats(nats) = self {
            // A server that is gone has nothing to receive.
            let _ = tokio::time::timeout(Duration::from_secs(5), nats.drain()).await;
        }
    }

    fn hub(&self) -> &Arc<Hub> {
        match self {
            Self::Memory(memory) => memory.hub(),
            Self::Nats(nats) => nats.hub(),
        }
    }
}
