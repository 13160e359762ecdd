//! The time from which receipts exist.

use nodkey_db::{Db, DbError};
use nodkey_kernel::time::Timestamp;

/// Trusonafications that ended before this time may have no receipt.
pub async fn required_since(db: &Db) -> Result<Timestamp, DbError> {
    db.query("SELECT since FROM receipts_required").fetch_one().await?.get("since")
}
