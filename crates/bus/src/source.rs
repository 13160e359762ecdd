//! Where a consumer's events come from, whichever the bus.

use futures_util::FutureExt as _;
use nodkey_db::Message;
use nodkey_kernel::time::Timestamp;
use tokio::sync::mpsc;

use crate::{error::BusError, memory, nats};

/// How many events are taken in by one transaction at most: what is slow is the commit.
const BATCH: usize = 32;

/// A subscription.
pub(crate) enum Source {
    Memory(mpsc::Receiver<memory::Delivery>),
    Nats(nats::Subscription),
}

/// An event that waits for its acknowledgement. Dropped without, it comes again.
pub(crate) enum Delivery {
    Memory(memory::Delivery),
    Nats(Box<nats::Delivery>),
}

/// What became of an event.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// It had its effect, now or before.
    Done,
    /// It was given up.
    Dead,
}

impl Source {
    /// Waits for an event, and takes those besides that are there already.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        let mut batch = vec![self.next().await?];
        // An error is met again by the next call.
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
            // Whoever publishes waits for this; if it went away, the event comes again and the inbox knows it.
            (Self::Memory((_, ack)), _) => drop(ack.send(())),
            (Self::Nats(delivery), Verdict::Done) => delivery.ack().await,
            (Self::Nats(delivery), Verdict::Dead) => delivery.term().await,
        }
    }
}
