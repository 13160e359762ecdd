//! The source of a consumer's events, on either bus.

use futures_util::FutureExt as _;
use nodkey_db::Message;
use nodkey_kernel::time::Timestamp;
use tokio::sync::mpsc;

use crate::{error::BusError, memory, nats};

/// Maximum number of events handled in one transaction: the commit is the slow part.
const BATCH: usize = 32;

/// A subscription.
pub(crate) enum Source {
    Memory(mpsc::Receiver<memory::Delivery>),
    Nats(nats::Subscription),
}

/// An event that waits for its acknowledgement. If dropped without, it is delivered again.
pub(crate) enum Delivery {
    Memory(memory::Delivery),
    Nats(Box<nats::Delivery>),
}

/// Outcome of an event.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// It took effect, now or before.
    Done,
    /// It was given up.
    Dead,
}

impl Source {
    /// Waits for an event, and returns it with any others that are already there.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        let mut batch = vec![self.next().await?];
        // The next call meets the error again.
        while batch.len() < BATCH
            && let Some(Ok(more)) = self.next().now_or_never()
        {
            batch.push(more);
        }
        Ok(batch)
    }

    async fn next(&mut self) -> Result<Delivery, BusError> {
        match self {
            Self::Memory(queue) => {
                queue.recv().await.map(Delivery::Memory).ok_or_else(|| BusError::unavailable("receive", "replaced by another consumer"))
            }
            Self::Nats(subscription) => subscription.next().await.map(|delivery| Delivery::Nats(Box::new(delivery))),
        }
    }
}

impl Delivery {
    pub(crate) fn message(&self) -> &Message {
        match self {
            Self::Memory((message, _)) => message,
            Self::Nats(delivery) => &delivery.message,
        }
    }

    /// When the bus stored it; `None` in process.
    pub(crate) fn stored(&self) -> Option<Timestamp> {
        match self {
            Self::Memory(_) => None,
            Self::Nats(delivery) => delivery.stored,
        }
    }

    pub(crate) async fn settle(self, verdict: Verdict) {
        match (self, verdict) {
            // The relay waits for this. If it is gone, the event is delivered again and the inbox recognizes it.
            (Self::Memory((_, ack)), _) => drop(ack.send(())),
            (Self::Nats(delivery), Verdict::Done) => delivery.ack().await,
            (Self::Nats(delivery), Verdict::Dead) => delivery.term().await,
        }
    }
}
