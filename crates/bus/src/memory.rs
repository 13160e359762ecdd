//! The bus inside one process.
//!
//! Publishing resolves when every consumer has acknowledged, so the outbox keeps an event until then. The outbox of the publishing service
//! is the durable stream, and a killed process loses nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::try_join_all;
use nodkey_db::Message;
use tokio::sync::{mpsc, oneshot};

use crate::{consumer::Consumer, error::BusError, wake::Hub};

/// Maximum number of events queued for one consumer.
const QUEUE: usize = 64;

/// An event for one consumer, and the channel to acknowledge it.
pub(crate) type Delivery = (Message, oneshot::Sender<()>);

#[derive(Debug)]
struct Subscription {
    subject: &'static str,
    queue: mpsc::Sender<Delivery>,
}

/// The bus inside one process.
#[derive(Debug, Default)]
pub struct Memory {
    // By durable name: a consumer that reconnects replaces its predecessor.
    subscriptions: Mutex<HashMap<&'static str, Subscription>>,
    hub: Arc<Hub>,
}

impl Memory {
    pub(crate) fn subscribe(&self, consumer: &Consumer) -> mpsc::Receiver<Delivery> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let subscription = Subscription { subject: consumer.subject(), queue };
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).insert(consumer.name(), subscription);
        receiver
    }

    pub(crate) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        let matching: Vec<_> = {
            let subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            let matches = |s: &Subscription| message.subject.strip_prefix(s.subject).is_some_and(|rest| rest.starts_with('.'));
            subscriptions.iter().filter(|(_, s)| matches(s)).map(|(name, s)| (*name, s.queue.clone())).collect()
        };
        // Each at its own pace: a consumer that is stuck does not hold up the others.
        let deliveries = matching.into_iter().map(|(name, queue)| async move {
            let (ack, acked) = oneshot::channel();
            let gone = || BusError::Unacknowledged(name.into());
            queue.send((message.clone(), ack)).await.map_err(|_| gone())?;
            acked.await.map_err(|_| gone())
        });
        try_join_all(deliveries).await.map(drop)
    }

    pub(crate) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}
