//! Sending events: signed, and as many at once as pays.

use nodkey_db::Outgoing;
use nodkey_kernel::error::Classify as _;
use tokio::task::yield_now;

use crate::{bus::Bus, error::BusError, spans::sending};

/// After how many signatures other tasks may run.
const STRETCH: usize = 16;

/// What became of events that were sent together.
#[derive(Debug)]
pub(super) struct Sent {
    /// What the bus has.
    pub(super) taken: Vec<Outgoing>,
    /// What it does not have, or did not confirm.
    pub(super) refused: Vec<Outgoing>,
    /// Why.
    pub(super) error: Option<BusError>,
    /// Whether it was one of the batches, of which only so many are under way.
    pub(super) is_batch: bool,
}

/// Sends events, of which those about the same thing are next to one another.
pub(super) async fn send(bus: Bus, mut events: Vec<Outgoing>) -> Sent {
    let mut spans = Vec::with_capacity(events.len());
    for (at, event) in events.iter_mut().enumerate() {
        spans.push(sending(&bus, &mut event.message));
        // The time is the same on every attempt: a repeated event is no newer than the first copy.
        bus.sign(&mut event.message, event.created_at);
        if at % STRETCH == STRETCH - 1 {
            yield_now().await;
        }
    }
    let messages: Vec<_> = events.iter().map(|event| &event.message).collect();
    let is_batch = messages.len() > 1;
    let (taken, error) = bus.publish_all(&messages).await;
    let (mut sent, mut taken) = (Sent { taken: Vec::new(), refused: Vec::new(), error, is_batch }, taken.into_iter());
    for (event, span) in events.into_iter().zip(spans) {
        if taken.next() == Some(true) {
            sent.taken.push(event);
        } else {
            span.fail(sent.error.as_ref().map_or("", |error| error.reason()));
            sent.refused.push(event);
        }
    }
    sent
}
