//! Publishing events: each by itself, or many in one atomic batch.

use std::sync::atomic::Ordering;

use async_nats::{
    HeaderMap, header,
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
        publish::PublishAck,
    },
};
use nodkey_db::Message;
use tokio::time::timeout;

use super::{MAX_OWN_HEADERS, Nats, PATIENCE};
use crate::{consumer::producer, error::BusError};

/// Maximum number of events in an atomic batch: what a server takes unless it is configured otherwise.
pub(crate) const MAX_BATCH: usize = 1000;
/// Maximum size of the payloads in one, unless it has a single event.
pub(crate) const MAX_BATCH_BYTES: usize = 4 << 20;

/// How the server answered a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Batched {
    /// It has all events, on disk and in this order.
    Stored,
    /// It did not take them as a batch, for example since it has one of them already. It may have some.
    Refused,
}

impl Nats {
    pub(crate) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.require_connection("publish")?;
        match self.send(message, headers(message)).await {
            // The stream was deleted, or the server has lost it.
            Err(e) if e.kind() == PublishErrorKind::StreamNotFound => {
                self.ensure_stream(producer(&message.subject)).await?;
                self.send(message, headers(message)).await
            }
            outcome => outcome,
        }
        .map(drop)
        .map_err(|e| BusError::unavailable("publish", e))
    }

    /// Publishes at most [`MAX_BATCH`] events in one atomic batch, for which the server syncs its disk once instead of once for each event.
    /// A batch costs it about as much as twenty events that are published one by one.
    pub(crate) async fn publish_batch(&self, messages: &[&Message]) -> Result<Batched, BusError> {
        self.require_connection("publish")?;
        let unavailable = |e| BusError::unavailable("publish", e);
        match timeout(PATIENCE, self.send_batch(messages)).await {
            Ok(Ok(ack)) if ack.batch_size == u64::try_from(messages.len()).ok() => return Ok(Batched::Stored),
            // A server that does not know batches has stored each message by itself, without saying so.
            Ok(Ok(_)) => self.takes_batches.store(false, Ordering::Relaxed),
            Ok(Err(e)) if [PublishErrorKind::TimedOut, PublishErrorKind::BrokenPipe].contains(&e.kind()) => return Err(unavailable(e)),
            Ok(Err(e)) if code(&e) == Some(ErrorCode::ATOMIC_PUBLISH_DISABLED) => self.takes_batches.store(false, Ordering::Relaxed),
            Ok(Err(_)) => {}
            Err(_) => return Err(unavailable(PublishError::new(PublishErrorKind::TimedOut))),
        }
        Ok(Batched::Refused)
    }

    /// Whether the stream takes atomic batches, as far as is known.
    pub(crate) fn takes_batches(&self) -> bool {
        self.takes_batches.load(Ordering::Relaxed)
    }

    /// Why the server would never take an event.
    pub(crate) fn obstacle(&self, message: &Message) -> Option<String> {
        let limit = self.client.server_info().max_payload;
        let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let size = message.payload.len() + headers + MAX_OWN_HEADERS;
        // Unknown before the first connection.
        (limit > 0 && size > limit).then(|| format!("it has {size} bytes, and NATS takes {limit} at most"))
    }

    async fn send_batch(&self, messages: &[&Message]) -> Result<PublishAck, PublishError> {
        let inbox = self.client.new_inbox();
        // Its last token is unique, and short enough for an id.
        let id = inbox.rsplit('.').next().unwrap_or_default();
        let Some((last, others)) = messages.split_last() else { return Err(PublishError::new(PublishErrorKind::Other)) };
        for (message, number) in others.iter().zip(1usize..) {
            let subject = self.names().subject(&message.subject);
            let sent = self.client.publish_with_headers(subject, in_batch(message, id, number), message.payload.clone()).await;
            sent.map_err(|e| PublishError::with_source(PublishErrorKind::Other, e))?;
        }
        let mut headers = in_batch(last, id, messages.len());
        headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
        // The server answers this one alone.
        self.send(last, headers).await
    }

    async fn send(&self, message: &Message, headers: HeaderMap) -> Result<PublishAck, PublishError> {
        let publish = async {
            let subject = self.names().subject(&message.subject);
            // The first future sends; the second resolves when the server confirms that the event is stored.
            self.jetstream.publish_with_headers(subject, headers, message.payload.clone()).await?.await
        };
        timeout(PATIENCE, publish).await.unwrap_or_else(|_| Err(PublishError::new(PublishErrorKind::TimedOut)))
    }
}

fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_MESSAGE_ID, message.id.to_string());
    for (name, value) in &message.headers {
        headers.insert(name.as_str(), value.as_str());
    }
    headers
}

fn in_batch(message: &Message, id: &str, number: usize) -> HeaderMap {
    let mut headers = headers(message);
    headers.insert(header::NATS_BATCH_ID, id);
    headers.insert(header::NATS_BATCH_SEQUENCE, number.to_string());
    headers
}

/// The code with which the server refused.
fn code(error: &PublishError) -> Option<ErrorCode> {
    let cause = std::error::Error::source(error)?.downcast_ref::<jetstream::Error>()?;
    Some(cause.error_code())
}
