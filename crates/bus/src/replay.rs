//! Replaying dead letters: an event is handed again to the one consumer that gave it up.

use nodkey_db::{Db, DbError, Message, dead_letter, inbox};
use nodkey_kernel::time::Clock;
use nodkey_trace::FutureExt as _;
use tracing::warn;
use uuid::Uuid;

use crate::{
    bus::Bus,
    consumer::{Consumer, HandlerError},
    metrics::LETTERS,
    spans::handling,
};

/// How often a letter is looked at again that somebody else was about to remove.
const ATTEMPTS: usize = 5;

/// Outcome of a replay.
#[derive(Debug)]
pub enum Replayed {
    /// The event had its effect, and the letter is gone.
    Done,
    /// The event has no effect in the present state. The letter is gone.
    NoEffect,
    /// The event had its effect before, in another way. The letter is gone.
    Duplicate,
    /// There is no such letter: it was replayed or dropped before.
    Gone,
    /// The letter must not be replayed. It stays.
    Refused(&'static str),
    /// The event failed again. The letter stays.
    Failed(HandlerError),
}

impl Replayed {
    /// Name in metrics; `None` when there was nothing to replay.
    const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Done => Some("replayed"),
            Self::NoEffect => Some("no_effect"),
            Self::Duplicate => Some("duplicate"),
            Self::Gone => None,
            Self::Refused(_) => Some("refused"),
            Self::Failed(_) => Some("failed"),
        }
    }
}

/// Hands a dead letter again to the consumer that gave the event up, under the same event id.
///
/// The letter is removed in the transaction that marks the event as seen and has its effect, so whatever happens at the same time - another
/// replay, a replica's, a redelivery by the bus, a crash - the event has its effect once, and the letter goes with it. A replay does not
/// wait for later events about the same object, which were handled long ago, nor do these wait for it: as between replicas, handlers must
/// not rely on order.
pub async fn replay(bus: &Bus, db: &Db, clock: &Clock, consumer: &Consumer, event_id: Uuid) -> Result<Replayed, DbError> {
    let outcome = outcome(bus, db, clock, consumer, event_id).await?;
    if let Some(name) = outcome.name() {
        LETTERS.with([consumer.name(), name]).increment(1);
    }
    if let Replayed::Failed(cause) = &outcome {
        warn!(consumer = consumer.name(), event = %event_id, %cause, "a replayed event failed again");
    }
    Ok(outcome)
}

/// Drops a dead letter: its event will have no effect. False when there is none.
pub async fn drop_letter(db: &Db, consumer: &str, event_id: Uuid) -> Result<bool, DbError> {
    let dropped = dead_letter::discard(db, consumer, event_id).await?;
    if dropped {
        LETTERS.with([consumer.to_owned(), "dropped".to_owned()]).increment(1);
    }
    Ok(dropped)
}

async fn outcome(bus: &Bus, db: &Db, clock: &Clock, consumer: &Consumer, event_id: Uuid) -> Result<Replayed, DbError> {
    for _ in 0..ATTEMPTS {
        let Some((letter, message)) = dead_letter::get(db, consumer.name(), event_id).await? else { return Ok(Replayed::Gone) };
        if letter.is_refused() {
            return Ok(Replayed::Refused("its publisher did not sign it, so nothing says that it happened"));
        }
        if !consumer.reads(&message.subject) {
            return Ok(Replayed::Refused("it is on a subject that this consumer does not read"));
        }
        let span = handling(bus, consumer.name(), &message);
        if let Some(outcome) = attempt(db, clock, consumer, &message).with_context(span.context()).await? {
            return Ok(outcome);
        }
    }
    Ok(Replayed::Failed(HandlerError::Retry("others keep handling the same letter".into())))
}

/// Returns `None` when another transaction removed the letter, which may still fail.
async fn attempt(db: &Db, clock: &Clock, consumer: &Consumer, message: &Message) -> Result<Option<Replayed>, DbError> {
    let name = consumer.name();
    let has_effect = consumer.has_effect(db, message).await?;
    let mut tx = db.begin_patient().await?;
    // First, so that of two replays the second waits here.
    if !dead_letter::remove(&mut tx, name, message.id).await? {
        tx.rollback().await?;
        return Ok(None);
    }
    if !has_effect {
        tx.commit().await?;
        return Ok(Some(Replayed::NoEffect));
    }
    if !inbox::first_time(&mut tx, name, message.id, clock.now()).await? {
        tx.commit().await?;
        return Ok(Some(Replayed::Duplicate));
    }
    let done = match consumer.handle(&mut tx, message).await {
        Ok(()) => tx.commit().await.map_err(HandlerError::from),
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    };
    let Err(error) = done else { return Ok(Some(Replayed::Done)) };
    if !matches!(error, HandlerError::Retry(_)) {
        dead_letter::explain(db, name, message.id, &error.to_string()).await?;
    }
    Ok(Some(Replayed::Failed(error)))
}
