//! Events seen: effect and mark commit together, so that a redelivered event has no further effect.

use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{
    Db, DbError, Tx, dead_letter,
    retention::{BATCH, delete_between},
};

/// Marks an event as seen by a consumer; false when it was already.
pub async fn first_time(tx: &mut Tx, consumer: &str, event_id: Uuid, now: Timestamp) -> Result<bool, DbError> {
    let inserted = tx
        .query("INSERT INTO inbox (consumer, event_id, seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(consumer)
        .bind(event_id)
        .bind(now)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Deletes some of the marks that are older than the bus keeps events, and the dead letters of the same events. Returns how many marks.
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    dead_letter::settle_before(db, before).await?;
    let oldest = db.query(
        "SELECT MIN(seen_at) AS first, MAX(seen_at) AS last FROM (SELECT seen_at FROM inbox WHERE seen_at < $1 ORDER BY seen_at LIMIT $2) AS oldest",
    );
    let delete = "DELETE FROM inbox WHERE seen_at >= $1 AND seen_at <= $2";
    delete_between(db, oldest.bind(before).bind(BATCH), delete).await
}
