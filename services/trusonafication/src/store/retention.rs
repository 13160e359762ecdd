//! Deletion of old rows.

use nodkey_db::{
    Db,
    retention::{BATCH, Window, delete_found},
};
use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use nodkey_runtime::Failure;

/// The statuses of answered trusonafications.
pub const ANSWERED: [&str; 4] = ["accepted", "accepted_at_higher_level", "accepted_at_lower_level", "rejected"];
/// The statuses of unanswered trusonafications.
pub const UNANSWERED: [&str; 2] = ["expired", "canceled"];

/// Deletes a batch of trusonafications of a status that were created in a window, with their evidence. Returns how many.
pub async fn delete(db: &Db, party: RelyingPartyId, status: &'static str, window: Window) -> Result<u64, Failure> {
    let sql = "SELECT id FROM trusonafication WHERE relying_party_id = $1 AND status = $2 \
               AND created_at >= $3 AND created_at < $4 ORDER BY created_at, id LIMIT $5";
    let old = db.query(sql).bind(party.as_uuid()).bind(status).bind(window.from).bind(window.before).bind(BATCH);
    // Ended trusonafications no longer change.
    Ok(delete_found(db, old, "DELETE FROM trusonafication WHERE id IN").await?)
}

/// Deletes a batch of codes that expired before a given time. Returns how many.
pub async fn delete_trucodes(db: &Db, before: Timestamp) -> Result<u64, Failure> {
    let old = db.query("SELECT id FROM trucode WHERE expires_at < $1 ORDER BY expires_at LIMIT $2").bind(before).bind(BATCH);
    Ok(delete_found(db, old, "DELETE FROM trucode WHERE id IN").await?)
}
