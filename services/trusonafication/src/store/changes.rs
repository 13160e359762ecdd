//! Changes since a given time, of all relying parties, for subscribers that may have missed a wake.

use nodkey_db::{Db, DbError, Row};
use nodkey_kernel::id::{DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId};
use nodkey_runtime::{
    page::{Cursor, Listed},
    rows::{key, listed},
};
use uuid::Uuid;

use super::row::TABLE;
use crate::domain::Status;

/// A trusonafication that was created, assigned to a device, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Identifier of the trusonafication.
    pub id: TrusonaficationId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// Whether its status is terminal.
    pub ended: bool,
    /// The devices to wake.
    pub devices: Vec<DeviceId>,
}

/// Returns the changes after a position, oldest first.
pub async fn changes(db: &Db, after: &Cursor, size: i64) -> Result<Listed<Changed>, DbError> {
    let query = db.query("SELECT id, relying_party_id, status, told, updated_at FROM trusonafication WHERE (updated_at, id) > (");
    let query = query.push_bind(after.at).push(", ").push_bind(after.id.parse::<Uuid>().unwrap_or_default());
    let rows = query.push(") ORDER BY updated_at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    Ok(listed(size, &rows, "updated_at", read))
}

fn read(row: &Row) -> Result<Changed, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let status = record.convert("status", |name: String| Status::try_from(name.as_str()))?;
    Ok(Changed {
        id: TrusonaficationId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        ended: status != Status::InProgress,
        devices: record.convert("told", |told: String| serde_json::from_str(&told))?,
    })
}

/// Returns the codes that were paired or ended by wrong numbers after a position, oldest first. `paired_at` is the time of either.
pub async fn settled_trucodes(db: &Db, after: &Cursor, size: i64) -> Result<Listed<TruCodeId>, DbError> {
    // The first condition matches the partial index.
    let query = db.query("SELECT id, paired_at FROM trucode WHERE paired_at IS NOT NULL AND (paired_at, id) > (");
    let query = query.push_bind(after.at).push(", ").push_bind(after.id.parse::<Uuid>().unwrap_or_default());
    let rows = query.push(") ORDER BY paired_at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    Ok(listed(size, &rows, "paired_at", |row| Ok(TruCodeId::from_uuid(row.of("trucode", key(row, "id")).get("id")?))))
}
