//! Rows of webhook endpoints.

use nodkey_db::{Db, Query, Row, Tx};
use nodkey_kernel::{
    id::{EndpointId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use crate::domain::{DisabledReason, Endpoint};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, relying_party_id, url, event_types, sealed_keys, sealed_previous_keys, previous_keys_until, enabled, \
             disabled_reason, disabled_at, failing_since, created_at, version FROM endpoint ",
            $rest
        )
    };
}

/// Inserts.
pub async fn insert(tx: &mut Tx, endpoint: &Endpoint) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO endpoint (id, relying_party_id, url, event_types, sealed_keys, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(endpoint.id.as_uuid())
    .bind(endpoint.relying_party.as_uuid())
    .bind(endpoint.url.as_str())
    .bind(event_types(endpoint)?)
    .bind(endpoint.sealed_keys.as_slice())
    .bind(endpoint.created_at)
    .bind(endpoint.version)
    .execute()
    .await?;
    Ok(())
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, endpoint: &Endpoint) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE endpoint SET url = $1, event_types = $2, sealed_keys = $3, sealed_previous_keys = $4, previous_keys_until = $5, \
             enabled = $6, disabled_reason = $7, disabled_at = $8, failing_since = $9, version = $10 \
             WHERE relying_party_id = $11 AND id = $12 AND version = $10 - 1",
        )
        .bind(endpoint.url.as_str())
        .bind(event_types(endpoint)?)
        .bind(endpoint.sealed_keys.as_slice())
        .bind(endpoint.previous_keys.as_ref().map(|(sealed, _)| sealed.as_slice()))
        .bind(endpoint.previous_keys.as_ref().map(|(_, until)| *until))
        .bind(endpoint.disabled.is_none())
        .bind(endpoint.disabled.map_or("", |(reason, _)| reason.name()))
        .bind(endpoint.disabled.map(|(_, at)| at))
        .bind(endpoint.failing_since)
        .bind(endpoint.version)
        .bind(endpoint.relying_party.as_uuid())
        .bind(endpoint.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    one(db.query(select!("WHERE relying_party_id = $1 AND id = $2")), party, id).await
}

/// Returns one as the transaction sees it.
pub async fn get_in(tx: &mut Tx, party: RelyingPartyId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    one(tx.query(select!("WHERE relying_party_id = $1 AND id = $2")), party, id).await
}

/// Returns every one of a relying party: there are few.
pub async fn all(tx: &mut Tx, party: RelyingPartyId) -> Result<Vec<Endpoint>, Failure> {
    let query = tx.query(select!("WHERE relying_party_id = $1 ORDER BY created_at, id"));
    query.bind(party.as_uuid()).fetch_all().await?.iter().map(read).collect()
}

/// Lists, newest first, what comes after `at` and `id`.
pub async fn list(db: &Db, party: RelyingPartyId, at: Timestamp, id: Uuid, limit: i64) -> Result<Vec<Endpoint>, Failure> {
    let query = db.query(select!("WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"));
    query.bind(party.as_uuid()).bind(at).bind(id).bind(limit).fetch_all().await?.iter().map(read).collect()
}

/// Deletes.
pub async fn delete(db: &Db, party: RelyingPartyId, id: EndpointId) -> Result<(), Failure> {
    let sql = "DELETE FROM endpoint WHERE relying_party_id = $1 AND id = $2";
    db.execute(sql).bind(party.as_uuid()).bind(id.as_uuid()).execute().await?;
    Ok(())
}

async fn one(query: Query<'_>, party: RelyingPartyId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    query.bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()
}

fn event_types(endpoint: &Endpoint) -> Result<String, Failure> {
    serde_json::to_string(&endpoint.event_types).map_err(|_| Failure::Internal("names serialize"))
}

fn read(row: &Row) -> Result<Endpoint, Failure> {
    let (event_types, reason): (String, String) = (row.get("event_types")?, row.get("disabled_reason")?);
    let enabled: bool = row.get("enabled")?;
    let disabled_at: Option<Timestamp> = row.get("disabled_at")?;
    let (previous, until): (Option<Vec<u8>>, Option<Timestamp>) = (row.get("sealed_previous_keys")?, row.get("previous_keys_until")?);
    Ok(Endpoint {
        id: EndpointId::from_uuid(row.get("id")?),
        relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
        url: row.get("url")?,
        event_types: serde_json::from_str(&event_types).map_err(|_| Failure::Internal("stored names are JSON"))?,
        sealed_keys: row.get("sealed_keys")?,
        previous_keys: previous.zip(until),
        disabled: if enabled { None } else { DisabledReason::parse(&reason).zip(disabled_at) },
        failing_since: row.get("failing_since")?,
        created_at: row.get("created_at")?,
        version: row.get("version")?,
    })
}
