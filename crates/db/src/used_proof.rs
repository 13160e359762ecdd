//! Proofs of devices that had their effect, in the databases of services where a call may have it only once.

use std::time::Duration;

use nodkey_kernel::{id::DeviceId, time::Timestamp};

use crate::{
    Db, DbError, Tx,
    retention::{BATCH, delete_between},
};

/// How long one is kept, at least: far longer than a proof is accepted.
pub const KEPT: Duration = Duration::from_mins(10);

/// Notes that a proof has its effect; false when it had it before.
pub async fn insert(tx: &mut Tx, device: &DeviceId, jti: &str, now: Timestamp) -> Result<bool, DbError> {
    let id = format!("{device}.{jti}");
    let query = tx.query("INSERT INTO used_proof (id, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    Ok(query.bind(id.as_str()).bind(now).execute().await? == 1)
}

/// Deletes some of those that were used before a moment. Returns how many.
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(used_at) AS first, MAX(used_at) AS last FROM (SELECT used_at FROM used_proof WHERE used_at < $1 ORDER BY used_at LIMIT $2) AS oldest",
    );
    let delete = "DELETE FROM used_proof WHERE used_at >= $1 AND used_at <= $2";
    delete_between(db, oldest.bind(before).bind(BATCH), delete).await
}
