//! Rows of app links.

use nodkey_db::{Db, DbError, Record, Row, Tx};
use nodkey_kernel::id::RelyingPartyId;
use nodkey_runtime::{Failure, rows::key};

use super::{json, relying_party};
use crate::{domain::app_links::AppLinks, error::Error};

/// Deletes the app links of a relying party.
pub async fn delete(tx: &mut Tx, party: RelyingPartyId) -> Result<(), Error> {
    tx.query("DELETE FROM app_link WHERE relying_party_id = $1").bind(party.as_uuid()).execute().await?;
    Ok(())
}

/// Inserts the app links of a relying party that has none; false if the host belongs to another.
pub async fn insert(tx: &mut Tx, party: RelyingPartyId, links: &AppLinks) -> Result<bool, Error> {
    let inserted = tx
        .query("INSERT INTO app_link (relying_party_id, host, settings) VALUES ($1, $2, $3) ON CONFLICT (host) DO NOTHING")
        .bind(party.as_uuid())
        .bind(links.host.as_str())
        .bind(serde_json::to_string(&links.apps).map_err(|_| Failure::Internal("settings serialize"))?)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns the app links of a relying party.
pub async fn get(db: &Db, party: RelyingPartyId) -> Result<Option<AppLinks>, Error> {
    let row = db
        .query("SELECT relying_party_id, host, settings FROM app_link WHERE relying_party_id = $1")
        .bind(party.as_uuid())
        .fetch_optional()
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Returns the app links of a host with the id and name of their relying party. Unscoped; disabled relying parties are excluded.
pub async fn resolve(db: &Db, host: &str) -> Result<Option<(RelyingPartyId, String, AppLinks)>, Error> {
    let row = db
        .query(
            // As a join, PostgreSQL would scan the relying parties while there are few, and keep that plan.
            "SELECT l.relying_party_id, l.host, l.settings, \
             (SELECT p.name FROM relying_party p WHERE p.id = l.relying_party_id AND p.disabled_at IS NULL) AS name \
             FROM app_link l WHERE l.host = $1",
        )
        .bind(host)
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let name: Option<String> = record(&row).get("name")?;
    name.map(|name| Ok((relying_party(&record(&row))?, name, read(&row)?))).transpose()
}

fn record(row: &Row) -> Record<'_> {
    row.of("app_link", key(row, "relying_party_id"))
}

fn read(row: &Row) -> Result<AppLinks, DbError> {
    Ok(AppLinks { host: record(row).get("host")?, apps: json(&record(row), "settings")? })
}
