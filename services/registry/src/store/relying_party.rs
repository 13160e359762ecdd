//! Rows of relying parties.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::id::RelyingPartyId;
use serde::Serialize;
use uuid::Uuid;

use super::Start;
use crate::{domain::relying_party::RelyingParty, error::Error};

/// Inserts; false when the id is taken.
pub async fn insert(tx: &mut Tx, party: &RelyingParty) -> Result<bool, Error> {
    let inserted = tx
        .query("INSERT INTO relying_party (id, name, trucodes, signatures, created_at, version) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(party.id.as_uuid())
        .bind(party.name.as_str())
        .bind(json(&party.trucodes)?)
        .bind(json(&party.signatures)?)
        .bind(party.created_at)
        .bind(party.version)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns one.
pub async fn get(db: &Db, id: RelyingPartyId) -> Result<Option<RelyingParty>, Error> {
    let row = db
        .query("SELECT id, name, trucodes, signatures, created_at, disabled_at, version FROM relying_party WHERE id = $1")
        .bind(id.as_uuid())
        .fetch_optional()
        .await?;
    row.as_ref().map(read).transpose()
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, party: &RelyingParty) -> Result<bool, Error> {
    let updated = tx
        .query("UPDATE relying_party SET name = $1, trucodes = $2, signatures = $3, disabled_at = $4, version = $5 WHERE id = $6 AND version = $5 - 1")
        .bind(party.name.as_str())
        .bind(json(&party.trucodes)?)
        .bind(json(&party.signatures)?)
        .bind(party.disabled_at)
        .bind(party.version)
        .bind(party.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Lists all tenants: for operators.
pub async fn list(db: &Db, start: &Start<Uuid>, limit: i64) -> Result<Vec<RelyingParty>, Error> {
    let rows = db
        .query(
            "SELECT id, name, trucodes, signatures, created_at, disabled_at, version FROM relying_party \
             WHERE (created_at, id) < ($1, $2) AND id <> $4 ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(limit)
        .bind(RelyingPartyId::CONSOLE.as_uuid())
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

fn json(settings: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|_| Error::Corrupt("settings"))
}

fn read(row: &Row) -> Result<RelyingParty, Error> {
    Ok(RelyingParty {
        id: RelyingPartyId::from_uuid(row.get("id")?),
        name: row.get("name")?,
        trucodes: serde_json::from_str(&row.get::<String>("trucodes")?).map_err(|_| Error::Corrupt("trucodes"))?,
        signatures: serde_json::from_str(&row.get::<String>("signatures")?).map_err(|_| Error::Corrupt("signatures"))?,
        created_at: row.get("created_at")?,
        disabled_at: row.get("disabled_at")?,
        version: row.get("version")?,
    })
}
