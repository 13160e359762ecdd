//! Device proofs that took effect, in the databases of services where a call may take effect only once.

use std::time::Duration;

use nodkey_kernel::{id::DeviceId, time::Timestamp};

use crate::{
    Db, DbError, Tx,
    retention::{BATCH, delete_between},
};

/// Minimum time for which a proof is kept: far longer than it is accepted.
pub const KEPT: Duration = Duration::from_mins(10);

/// Records that a proof takes effect; false when it was already used.
pub async fn insert(tx: &mut Tx, device: &DeviceId, jti: &str, now: Timestamp) -> Result<bool, DbError> {
    let id = format!("{device}.{jti}");
    let query = tx.query("INSERT INTO used_proof (id, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    Ok(query.bind(id.as_str()).bind(now).execute().await? == 1)
}

/// Deletes some of the proofs that were used before a time. Returns how many.
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(used_at) AS first, MAX(used_at) AS last FROM (SELECT used_at FROM used_proof WHERE used_at < $1 ORDER BY used_at LIMIT $2) AS oldest",
    );
    let delete = "DELETE FROM used_proof WHERE used_at >= $1 AND used_at <= $2";
    delete_between(db, oldest.bind(before).bind(BATCH), delete).await
}
