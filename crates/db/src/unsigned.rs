//! Which events without a signature a consumer takes: those the bus had stored when publishers began to sign.

use nodkey_kernel::time::Timestamp;

use crate::{Db, DbError};

/// Until when they were stored. What was said first counts for ever; `otherwise` is said now if nothing was before.
pub async fn stored_before(db: &Db, consumer: &str, otherwise: Timestamp) -> Result<Timestamp, DbError> {
    db.execute("INSERT INTO unsigned_events (consumer, stored_before) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(consumer)
        .bind(otherwise)
        .execute()
        .await?;
    let row = db.query("SELECT stored_before FROM unsigned_events WHERE consumer = $1").bind(consumer).fetch_one().await?;
    row.get("stored_before")
}

/// Forgets what was said: publishers may not sign.
pub async fn forget(db: &Db, consumer: &str) -> Result<(), DbError> {
    db.execute("DELETE FROM unsigned_events WHERE consumer = $1").bind(consumer).execute().await?;
    Ok(())
}
