//! Events given up, kept beside the state of the consumer that gave them up, with the cause.

use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{
    Db, DbError, Message,
    retention::{BATCH, Window, delete_between},
};

/// An event that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Who gave it up.
    pub consumer: String,
    /// The event.
    pub event_id: Uuid,
    /// Its subject.
    pub subject: String,
    /// Why.
    pub cause: String,
    /// When.
    pub at: Timestamp,
}

/// Keeps an event that a consumer gives up. Idempotent.
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

/// Lists the latest, newest first.
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

/// Deletes some of those given up in a window. Returns how many.
pub async fn prune(db: &Db, window: Window) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(at) AS first, MAX(at) AS last FROM \
         (SELECT at FROM dead_letter WHERE at >= $1 AND at < $2 ORDER BY at LIMIT $3) AS oldest",
    );
    let delete = "DELETE FROM dead_letter WHERE at >= $1 AND at <= $2";
    delete_between(db, oldest.bind(window.from).bind(window.before).bind(BATCH), delete).await
}
