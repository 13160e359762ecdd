//! Rows of proofs that had their effect.

use nodkey_db::Tx;
use nodkey_kernel::{id::DeviceId, time::Timestamp};

use crate::error::Error;

/// Inserts; false when it is there.
pub async fn insert(tx: &mut Tx, device: &DeviceId, jti: &str, now: Timestamp) -> Result<bool, Error> {
    let id = format!("{device}.{jti}");
    let query = tx.query("INSERT INTO used_proof (id, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    Ok(query.bind(id.as_str()).bind(now).execute().await? == 1)
}
