//! Events that were given up, stored with the cause in the database of the consumer that gave them up.

use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{
    Db, DbError, Message,
    retention::{BATCH, Window, delete_between},
};

/// Counting stops here: that there are many is known by then.
const MOST_COUNTED: i64 = 10_000;

/// An event that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Name of the consumer that gave it up.
    pub consumer: String,
    /// Identifier of the event.
    pub event_id: Uuid,
    /// Subject of the event.
    pub subject: String,
    /// Why it was given up.
    pub cause: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// Stores an event that a consumer gives up. Idempotent.
pub async fn add(db: &Db, consumer: &str, message: &Message, cause: &str, now: Timestamp) -> Result<(), DbError> {
    db.execute(
        "INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, cause, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(consumer)
    .bind(message.id)
    .bind(message.subject.as_str())
    .bind(&message.payload[..])
    .bind(serde_json::to_string(&message.headers).unwrap_or_default())
    .bind(cause)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Lists the most recent dead letters, newest first.
pub async fn list(db: &Db, limit: i64) -> Result<Vec<DeadLetter>, DbError> {
    let rows = db
        .query("SELECT consumer, event_id, subject, cause, at FROM dead_letter ORDER BY at DESC, event_id LIMIT $1")
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DeadLetter {
                consumer: row.get("consumer")?,
                event_id: row.get("event_id")?,
                subject: row.get("subject")?,
                cause: row.get("cause")?,
                at: row.get("at")?,
            })
        })
        .collect()
}

/// Counts the dead letters, up to [`MOST_COUNTED`].
pub async fn count(db: &Db) -> Result<u32, DbError> {
    let counted = db.query("SELECT COUNT(*) AS letters FROM (SELECT event_id FROM dead_letter LIMIT $1) AS kept").bind(MOST_COUNTED);
    let row = counted.fetch_optional().await?;
    let letters: i64 = row.map_or(Ok(0), |row| row.get("letters"))?;
    Ok(u32::try_from(letters).unwrap_or(u32::MAX))
}

/// Deletes some of the dead letters in a window. Returns how many.
pub async fn prune(db: &Db, window: Window) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(at) AS first, MAX(at) AS last FROM \
         (SELECT at FROM dead_letter WHERE at >= $1 AND at < $2 ORDER BY at LIMIT $3) AS oldest",
    );
    let delete = "DELETE FROM dead_letter WHERE at >= $1 AND at <= $2";
    delete_between(db, oldest.bind(window.from).bind(window.before).bind(BATCH), delete).await
}
