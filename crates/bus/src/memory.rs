//! The bus inside one process.
//!
//! A relay gives an event to each consumer, and keeps it until that consumer has acknowledged it. The database of the publishing service is
//! the durable stream, and a killed process loses nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::try_join_all;
use nodkey_db::Message;
use tokio::sync::{mpsc, oneshot};

use crate::{
    consumer::{Consumer, is_of},
    error::BusError,
    wake::Hub,
};

/// Maximum number of events queued for one consumer.
pub(crate) const QUEUE: usize = 128;

/// An event for one consumer, and the channel to acknowledge it.
pub(crate) type Delivery = (Message, oneshot::Sender<()>);

/// Resolves when the consumer has acknowledged; fails when it is gone.
pub(crate) type Acknowledged = oneshot::Receiver<()>;

/// A subscribed consumer.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) name: &'static str,
    subject: &'static str,
    /// Grows with each subscription: a consumer that subscribes again has another number.
    pub(crate) number: u64,
    queue: mpsc::Sender<Delivery>,
}

impl Subscriber {
    /// Gives it an event; `None` when its queue is full, or it is gone.
    pub(crate) fn give(&self, message: &Message) -> Option<Acknowledged> {
        let (ack, acked) = oneshot::channel();
        self.queue.try_send((message.clone(), ack)).ok().map(|()| acked)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

/// The bus inside one process.
#[derive(Debug, Default)]
pub struct Memory {
    // By durable name: a consumer that reconnects replaces its predecessor.
    subscribers: Mutex<HashMap<&'static str, Subscriber>>,
    hub: Arc<Hub>,
}

impl Memory {
    pub(crate) fn subscribe(&self, consumer: &Consumer) -> mpsc::Receiver<Delivery> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = subscribers.values().map(|subscriber| subscriber.number).max().unwrap_or(0) + 1;
        let subscriber = Subscriber { name: consumer.name(), subject: consumer.subject(), number, queue };
        subscribers.insert(consumer.name(), subscriber);
        receiver
    }

    /// The consumers of events on a subject.
    pub(crate) fn readers(&self, subject: &str) -> Vec<Subscriber> {
        self.matching(|subscriber| is_of(subject, subscriber.subject))
    }

    /// The consumers of the events of a service.
    pub(crate) fn readers_of(&self, service: &str) -> Vec<Subscriber> {
        self.matching(|subscriber| crate::consumer::producer(subscriber.subject) == service)
    }

    fn matching(&self, matches: impl Fn(&Subscriber) -> bool) -> Vec<Subscriber> {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.values().filter(|subscriber| matches(subscriber)).cloned().collect()
    }

    /// Waits until every consumer has acknowledged. A relay does not: it would wait for the slowest.
    pub(crate) async fn publish(&self, message: &Message) -> Result<(), BusError> {
        let deliveries = self.readers(&message.subject).into_iter().map(|subscriber| async move {
            let (ack, acked) = oneshot::channel();
            let gone = || BusError::Unacknowledged(subscriber.name.into());
            subscriber.queue.send((message.clone(), ack)).await.map_err(|_| gone())?;
            acked.await.map_err(|_| gone())
        });
        try_join_all(deliveries).await.map(drop)
    }

    pub(crate) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}
