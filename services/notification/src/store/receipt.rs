//! Since when there are receipts.

use nodkey_db::{Db, DbError};
use nodkey_kernel::time::Timestamp;

/// What ended before may have none.
pub async fn required_since(db: &Db) -> Result<Timestamp, DbError> {
    db.query("SELECT since FROM receipts_required").fetch_one().await?.get("since")
}
