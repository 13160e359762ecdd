//! The relay: takes events from the outbox to the bus.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use metrics::{counter, gauge};
use nodkey_db::{
    Db, RelayLock,
    outbox::{self, Outgoing},
    relay_lock,
};
use nodkey_kernel::{error::chain, random::Random, time::Clock};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Bus;

/// How many events are taken at once.
const BATCH: i64 = 256;
/// How many things have their events on the way at once. Events about one thing go one after the other.
const CONCURRENCY: usize = 64;

/// Publishes what the outbox of a service holds until `shutdown`, then once more.
///
/// An event is deleted only once the bus has it, so a crash between the two repeats it, and ids absorb that. Among replicas
/// one relays; the others wait for it to go away.
pub async fn relay(service: &'static str, bus: Bus, db: Db, clock: Clock, shutdown: CancellationToken) {
    let notify = db.outbox_notify();
    let random = Random::system();
    let mut lock: Option<RelayLock> = None;
    loop {
        let stopping = shutdown.is_cancelled();
        let more = hold(&db, &mut lock).await && drain(service, &bus, &db, &clock).await;
        if stopping {
            return;
        }
        if more {
            continue;
        }
        // Jittered, so that replicas do not all look at the same moment.
        let look_again = Duration::from_millis(u64::from(900 + random.below(200)));
        tokio::select! {
            () = notify.notified() => {}
            () = tokio::time::sleep(look_again) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Takes the lock, or makes sure that it still holds.
async fn hold(db: &Db, lock: &mut Option<RelayLock>) -> bool {
    if let Some(held) = lock {
        if held.holds().await {
            return true;
        }
        *lock = None;
    }
    match relay_lock(db).await {
        Ok(taken) => *lock = taken,
        Err(e) => warn!(error = chain(&e), "the relay cannot reach its database"),
    }
    lock.is_some()
}

/// Publishes one batch; true when there is likely more.
async fn drain(service: &'static str, bus: &Bus, db: &Db, clock: &Clock) -> bool {
    let batch = match outbox::batch(db, BATCH).await {
        Ok(batch) => batch,
        Err(e) => {
            warn!(error = chain(&e), "the outbox cannot be read");
            return false;
        }
    };
    observe(service, db, clock).await;
    if batch.is_empty() {
        return false;
    }
    let full = i64::try_from(batch.len()).is_ok_and(|n| n == BATCH);
    let mut by_key: HashMap<String, Vec<Outgoing>> = HashMap::new();
    for outgoing in batch {
        by_key.entry(outgoing.message.key().to_owned()).or_default().push(outgoing);
    }
    let total: usize = by_key.values().map(Vec::len).sum();
    let sent: Vec<i64> = stream::iter(by_key.into_values())
        .map(|events| publish_in_order(bus, events))
        .buffer_unordered(CONCURRENCY)
        .flat_map(stream::iter)
        .collect()
        .await;
    if !sent.is_empty()
        && let Err(e) = outbox::delete(db, &sent).await
    {
        warn!(error = chain(&e), "events were sent and could not be deleted; they will be sent again");
        return false;
    }
    full && sent.len() == total
}

/// Stops at the first that fails: what follows about the same thing must not overtake it.
async fn publish_in_order(bus: &Bus, events: Vec<Outgoing>) -> Vec<i64> {
    let mut sent = Vec::with_capacity(events.len());
    for outgoing in events {
        if let Err(e) = bus.publish(&outgoing.message).await {
            warn!(event = %outgoing.message.id, error = chain(&e), "an event could not be published; trying again soon");
            break;
        }
        let fact = outgoing.message.headers.get("ce-type").cloned().unwrap_or_default();
        counter!("nodkey_events_published_total", "type" => fact).increment(1);
        sent.push(outgoing.seq);
    }
    sent
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
async fn observe(service: &'static str, db: &Db, clock: &Clock) {
    if let Ok((depth, oldest)) = outbox::depth(db).await {
        gauge!("nodkey_outbox_depth", "service" => service).set(depth as f64);
        gauge!("nodkey_outbox_oldest_seconds", "service" => service).set(oldest.map_or(0.0, |at| at.until(clock.now()).as_secs_f64()));
    }
}
