//! Rows of webhook endpoints.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::{
    id::{EndpointId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

/// Where a relying party wants to be told.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Names it.
    pub id: EndpointId,
    /// Where.
    pub url: String,
    /// What; empty: everything.
    pub event_types: Vec<String>,
    /// When it came.
    pub created_at: Timestamp,
}

/// Inserts.
pub async fn insert(tx: &mut Tx, party: RelyingPartyId, endpoint: &Endpoint, sealed_secret: &[u8]) -> Result<(), Failure> {
    let event_types = serde_json::to_string(&endpoint.event_types).map_err(|_| Failure::Internal("names serialize"))?;
    tx.query("INSERT INTO endpoint (id, relying_party_id, url, event_types, sealed_secret, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(endpoint.id.as_uuid())
        .bind(party.as_uuid())
        .bind(endpoint.url.as_str())
        .bind(event_types)
        .bind(sealed_secret)
        .bind(endpoint.created_at)
        .execute()
        .await?;
    Ok(())
}

/// Returns every one of a relying party: there are few.
pub async fn all(tx: &mut Tx, party: RelyingPartyId) -> Result<Vec<Endpoint>, Failure> {
    let sql = "SELECT id, url, event_types, created_at FROM endpoint WHERE relying_party_id = $1 ORDER BY created_at, id";
    tx.query(sql).bind(party.as_uuid()).fetch_all().await?.iter().map(read).collect()
}

/// Lists, newest first, what comes after `at` and `id`.
pub async fn list(db: &Db, party: RelyingPartyId, at: Timestamp, id: Uuid, limit: i64) -> Result<Vec<Endpoint>, Failure> {
    let rows = db
        .query(
            "SELECT id, url, event_types, created_at FROM endpoint WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) \
             ORDER BY created_at DESC, id DESC LIMIT $4",
        )
        .bind(party.as_uuid())
        .bind(at)
        .bind(id)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

/// Returns the sealed secret of one, unless it is gone.
pub async fn secret(db: &Db, party: RelyingPartyId, id: EndpointId) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "SELECT sealed_secret FROM endpoint WHERE relying_party_id = $1 AND id = $2";
    let row = db.query(sql).bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.map(|row| row.get("sealed_secret")).transpose()?)
}

/// Deletes; false when there is none.
pub async fn delete(tx: &mut Tx, party: RelyingPartyId, id: EndpointId) -> Result<bool, Failure> {
    let sql = "DELETE FROM endpoint WHERE relying_party_id = $1 AND id = $2";
    Ok(tx.query(sql).bind(party.as_uuid()).bind(id.as_uuid()).execute().await? == 1)
}

fn read(row: &Row) -> Result<Endpoint, Failure> {
    let event_types: String = row.get("event_types")?;
    Ok(Endpoint {
        id: EndpointId::from_uuid(row.get("id")?),
        url: row.get("url")?,
        event_types: serde_json::from_str(&event_types).map_err(|_| Failure::Internal("stored names are JSON"))?,
        created_at: row.get("created_at")?,
    })
}
