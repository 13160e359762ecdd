//! Wakes between processes: plain NATS messages, without JetStream.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message as Received};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use nodkey_db::Message;
use nodkey_kernel::error::chain;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;
use uuid::Uuid;

use super::Names;
use crate::{
    config::Identity,
    signature::{self, verify_within},
    wake::{Hub, Kind, Listener, MAX_PAYLOAD},
};

/// Maximum age of a payload, and maximum difference between the clocks of its publisher and its listener.
const MAX_AGE: Duration = Duration::from_mins(1);

/// The wakes of one process: those it sends, and those it listens to.
#[derive(Debug)]
pub(super) struct Wakes {
    client: Client,
    /// What precedes a topic in its subject.
    prefix: String,
    identity: Option<Arc<Identity>>,
    hub: Arc<Hub>,
    /// The kinds that were ever listened to.
    kinds: Mutex<HashMap<&'static str, AbortOnDropHandle<()>>>,
}

impl Wakes {
    pub(super) fn new(client: Client, names: &Names<'_>, identity: Option<Arc<Identity>>) -> Self {
        Self { client, prefix: names.subject("wake."), identity, hub: Arc::default(), kinds: Mutex::default() }
    }

    pub(super) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Listens. The server may get the subscription after a change that the caller does not read either, if it reads from elsewhere
    /// meanwhile. As every lost wake, that one is made up for by [`crate::look_out`].
    pub(super) fn listen(&self, topic: &str) -> Listener {
        match Kind::of(topic) {
            None => self.hub.listen(topic, || None),
            Some(kind) if kind.singly => self.hub.listen(topic, || Some(self.subscribe(kind, topic))),
            Some(kind) => {
                let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
                kinds.entry(kind.name).or_insert_with(|| self.subscribe(kind, kind.topics));
                self.hub.listen(topic, || None)
            }
        }
    }

    fn subscribe(&self, kind: &'static Kind, topics: &str) -> AbortOnDropHandle<()> {
        let (client, subject) = (self.client.clone(), format!("{}{topics}", self.prefix));
        let mut subscribing = Box::pin(async move { client.subscribe(subject).await });
        // Queued right now, ahead of what the caller does next, unless the client has a lot to send.
        let queued = (&mut subscribing).now_or_never();
        let reader = Reader { kind, prefix: self.prefix.clone(), identity: self.identity.clone(), hub: Arc::downgrade(&self.hub) };
        AbortOnDropHandle::new(tokio::spawn(async move {
            let subscribed = match queued {
                Some(subscribed) => subscribed,
                None => subscribing.await,
            };
            match subscribed {
                Ok(mut wakes) => while reader.read(wakes.next().await).is_some() {},
                Err(e) => warn!(kind = kind.name, error = chain(&e), "wakes cannot be subscribed to"),
            }
        }))
    }

    /// Wakes the listeners of a topic: those in this process directly, those in others if they can be reached now.
    pub(super) async fn wake(&self, topic: &str, payload: Option<Bytes>, is_connected: bool) {
        self.hub.wake(topic, payload.as_ref());
        // While the server is unreachable, wakes would pile up.
        if Kind::of(topic).is_none() || !is_connected {
            return;
        }
        let subject = format!("{}{topic}", self.prefix);
        let _ = match (payload, &self.identity) {
            (Some(payload), Some(identity)) => {
                let message = message(topic, payload);
                let signed = signature::sign(&message, identity.clock.now(), &identity.key);
                let mut headers = HeaderMap::new();
                headers.insert(signature::HEADER, signed);
                self.client.publish_with_headers(subject, headers, message.payload).await
            }
            _ => self.client.publish(subject, Bytes::new()).await,
        };
    }
}

/// Reads the wakes of one subscription.
struct Reader {
    kind: &'static Kind,
    prefix: String,
    identity: Option<Arc<Identity>>,
    hub: Weak<Hub>,
}

impl Reader {
    /// `None` when there will be no more, or nobody is left to listen.
    fn read(&self, received: Option<Received>) -> Option<()> {
        let (received, hub) = (received?, self.hub.upgrade()?);
        if let Some(topic) = received.subject.strip_prefix(&self.prefix)
            // A signature is not verified for nobody.
            && hub.is_listened_to(topic)
        {
            hub.wake(topic, self.verified(topic, &received).as_ref());
        }
        Some(())
    }

    /// The payload, if the service that wakes the topic signed it just now.
    fn verified(&self, topic: &str, received: &Received) -> Option<Bytes> {
        let (identity, signed) = (self.identity.as_ref()?, received.headers.as_ref()?.get(signature::HEADER)?);
        if received.payload.len() > MAX_PAYLOAD {
            return None;
        }
        let mut message = message(topic, received.payload.clone());
        message.headers.insert(signature::HEADER.to_owned(), signed.to_string());
        verify_within(&message, self.kind.publisher, &identity.keys, identity.clock.now(), MAX_AGE, MAX_AGE).ok()?;
        Some(message.payload)
    }
}

/// What is signed: no event has such a subject.
fn message(topic: &str, payload: Bytes) -> Message {
    Message { id: Uuid::nil(), subject: format!("wake.{topic}"), payload, headers: BTreeMap::new() }
}
