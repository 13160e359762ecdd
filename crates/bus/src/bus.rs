//! The bus, of either kind.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use nodkey_db::{Db, Message};
use nodkey_kernel::{
    error::{Classify, Kind, chain},
    time::{Clock, Timestamp},
};
use tracing::warn;

use crate::{
    config::{BusConfig, Identity},
    consumer::Consumer,
    error::BusError,
    memory::Memory,
    nats::{self, Batched, MAX_BATCH, MAX_BATCH_BYTES, Nats},
    signature,
    source::Source,
    trust::Trust,
    wake::{Hub, Listener, MAX_PAYLOAD},
};

/// Maximum number of events to publish together, and of bytes in them, where [`Bus::takes_many`].
pub(crate) const MAX_TOGETHER: usize = MAX_BATCH;
pub(crate) const MAX_TOGETHER_BYTES: usize = MAX_BATCH_BYTES;
/// How many of events that could not be published together are published at a time.
const AT_A_TIME: usize = 256;

/// The bus. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Bus {
    /// In this process.
    Memory(Arc<Memory>),
    /// NATS JetStream.
    Nats(Arc<Nats>),
}

impl Bus {
    /// Connects to the bus that the URL's scheme names. Published events are not signed, and consumed events are not verified.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        Self::connect_as(config, None).await
    }

    /// Connects. With an identity, outgoing events are signed with its key, and incoming events must be signed by the owner of their
    /// subject.
    pub async fn connect_as(config: &BusConfig, identity: Option<Identity>) -> Result<Self, BusError> {
        if config.url == "memory:" {
            nats::report(true);
            return Ok(Self::Memory(Arc::new(Memory::default())));
        }
        if !config.url.starts_with("nats://") && !config.url.starts_with("tls://") {
            return Err(BusError::Url);
        }
        Ok(Self::Nats(Arc::new(Nats::connect(config, identity).await?)))
    }

    /// Refuses a server that would reject our events. A server that is unreachable is only logged: the relay creates the stream later.
    pub async fn check(&self, service: &str) -> Result<(), BusError> {
        match self.ensure_stream(service).await {
            Err(error) if error.kind() == Kind::Unavailable => {
                // An unreachable server was already logged when the connection was attempted.
                if self.is_connected() {
                    warn!(error = chain(&error), "the bus does not accept events yet; they wait in the outbox");
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Makes sure that the stream for the events of `service` exists.
    pub async fn ensure_stream(&self, service: &str) -> Result<(), BusError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Nats(nats) => nats.ensure_stream(service).await,
        }
    }

    /// Publishes an event. Resolves once the event is safe: on disk at the server, or acknowledged by every consumer in this process. A
    /// relay gives it to these by itself, and waits for none.
    pub async fn publish(&self, message: &Message) -> Result<(), BusError> {
        match self {
            Self::Memory(memory) => memory.publish(message).await,
            Self::Nats(nats) => nats.publish(message).await,
        }
    }

    /// Whether many events are published together for less than one by one.
    pub(crate) fn takes_many(&self) -> bool {
        matches!(self, Self::Nats(nats) if nats.takes_batches())
    }

    /// Publishes events, of which those about the same thing come one after the other: together if the bus takes them so. Returns for each
    /// whether it is safe, and why the first that is not was refused. Behind a refused event those about the same thing are not published.
    pub(crate) async fn publish_all(&self, messages: &[&Message]) -> (Vec<bool>, Option<BusError>) {
        if let Self::Nats(nats) = self
            && messages.len() > 1
        {
            match nats.publish_batch(messages).await {
                Ok(Batched::Stored) => return (vec![true; messages.len()], None),
                Ok(Batched::Refused) => {}
                Err(e) => return (vec![false; messages.len()], Some(e)),
            }
        }
        let mut lines = BTreeMap::<_, Vec<_>>::new();
        for (at, message) in messages.iter().enumerate() {
            lines.entry(message.key()).or_default().push(at);
        }
        let lines = lines.into_values().map(|line| async move {
            let mut done = Vec::with_capacity(line.len());
            for at in line {
                match self.publish(messages[at]).await {
                    Ok(()) => done.push(at),
                    Err(e) => return (done, Some(e)),
                }
            }
            (done, None)
        });
        let (mut taken, mut error, mut lines) = (vec![false; messages.len()], None, stream::iter(lines).buffer_unordered(AT_A_TIME));
        while let Some((done, failed)) = lines.next().await {
            for at in done {
                taken[at] = true;
            }
            error = error.or(failed);
        }
        drop(lines);
        (taken, error)
    }

    /// Why an event of `service` can never be published; `None` if nothing is in its way.
    pub(crate) fn obstacle(&self, service: &str, message: &Message) -> Option<String> {
        let mut tokens = message.subject.split('.');
        let is_ours = tokens.next() == Some("evt") && tokens.next() == Some(service);
        let is_valid = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte));
        if message.id.is_nil() {
            return Some("it has no id".to_owned());
        }
        if !is_ours || tokens.clone().next().is_none() || !tokens.all(is_valid) {
            return Some(format!("its subject is none of an event of {service}"));
        }
        match self {
            Self::Memory(_) => None,
            Self::Nats(nats) => nats.obstacle(message),
        }
    }

    /// Signs an event that entered our outbox at `time`. In process there is nobody to prove it to.
    pub(crate) fn sign(&self, message: &mut Message, time: Timestamp) {
        // A replayed dead letter still carries its old signature.
        message.headers.remove(signature::HEADER);
        if let Self::Nats(nats) = self
            && let Some(identity) = nats.identity()
        {
            let signed = signature::sign(message, time, &identity.key);
            message.headers.insert(signature::HEADER.to_owned(), signed);
        }
    }

    /// Subscribes a durable consumer and returns the rules by which it trusts events; `None` trusts all. In process, subscribe before
    /// publishing anything that the consumer should receive.
    pub(crate) async fn subscribe(&self, consumer: &Consumer, db: &Db, clock: &Clock) -> Result<(Source, Option<Trust>), BusError> {
        match self {
            Self::Memory(memory) => Ok((Source::Memory(memory.subscribe(consumer)), None)),
            Self::Nats(nats) => {
                // Before the consumer is created: whether it already exists tells whether there may be earlier events.
                let trust = Trust::of(nats, consumer, db, clock).await?;
                Ok((Source::Nats(nats.subscribe(consumer).await?), trust))
            }
        }
    }

    /// Hints that something about `topic` changed. Best effort.
    pub async fn wake(&self, topic: &str) {
        self.send_wake(topic, None).await;
    }

    /// Hints with what changed: at most 4 KiB, else the hint goes alone. Between processes the payload is signed with the key of this
    /// service, which has to be the one that wakes such topics. Whoever cannot verify that is woken without the payload.
    pub async fn wake_with(&self, topic: &str, payload: Bytes) {
        self.send_wake(topic, Some(payload).filter(|payload| payload.len() <= MAX_PAYLOAD)).await;
    }

    async fn send_wake(&self, topic: &str, payload: Option<Bytes>) {
        match self {
            Self::Memory(memory) => drop(memory.hub().wake(topic, payload.as_ref())),
            Self::Nats(nats) => nats.wake(topic, payload).await,
        }
    }

    /// Hints in this process alone, for example when a lost hint was noticed. Returns false when nobody listens here.
    #[expect(clippy::must_use_candidate, reason = "a hint is given for what it does")]
    pub fn hint(&self, topic: &str) -> bool {
        self.hub().wake(topic, None)
    }

    /// Listens for hints about `topic`. Listen first, then read, so that no change in between is missed. Between processes the first
    /// listener of a kind of topic may miss one even so, and [`crate::look_out`] finds it.
    #[must_use]
    pub fn listen(&self, topic: &str) -> Listener {
        match self {
            Self::Memory(memory) => memory.hub().listen(topic, || None),
            Self::Nats(nats) => nats.listen(topic),
        }
    }

    /// Whether the bus answers.
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
            // A server that is gone receives nothing.
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
