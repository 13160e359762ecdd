//! Which unsigned events a consumer accepts: those the bus had stored when publishers began to sign.

use nodkey_kernel::time::Timestamp;

use crate::{Db, DbError};

/// Returns the time before which they must have been stored. The first value recorded is kept forever; `otherwise` is recorded if there is
/// none.
pub async fn stored_before(db: &Db, consumer: &str, otherwise: Timestamp) -> Result<Timestamp, DbError> {
    db.execute("INSERT INTO unsigned_events (consumer, stored_before) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(consumer)
        .bind(otherwise)
        .execute()
        .await?;
    let row = db.query("SELECT stored_before FROM unsigned_events WHERE consumer = $1").bind(consumer).fetch_one().await?;
    row.get("stored_before")
}

/// Deletes the recorded time: publishers need not sign.
pub async fn forget(db: &Db, consumer: &str) -> Result<(), DbError> {
    db.execute("DELETE FROM unsigned_events WHERE consumer = $1").bind(consumer).execute().await?;
    Ok(())
}
