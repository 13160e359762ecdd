//! Rows of webhook endpoints.

use nodkey_db::{Db, DbError, Query, Record, Row, Tx};
use nodkey_kernel::{
    id::{EndpointId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    page::Listed,
    rows::{key, listed, readable},
};
use uuid::Uuid;

use crate::{
    domain::{DisabledReason, Endpoint, EventType},
    invariants,
};

const SELECT: &str = "SELECT id, relying_party_id, url, event_types, sealed_keys, sealed_previous_keys, previous_keys_until, sealed_older_keys, \
    enabled, disabled_reason, disabled_at, failing_since, created_at, version FROM endpoint WHERE ";

/// Inserts an endpoint.
pub async fn insert(tx: &mut Tx, endpoint: &Endpoint) -> Result<(), Failure> {
    invariants::check_endpoint(endpoint)?;
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

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, endpoint: &Endpoint) -> Result<bool, Failure> {
    invariants::check_endpoint(endpoint)?;
    let query = tx
        .query("UPDATE endpoint SET url = ")
        .push_bind(endpoint.url.as_str())
        .push(", event_types = ")
        .push_bind(event_types(endpoint)?)
        .push(", sealed_keys = ")
        .push_bind(endpoint.sealed_keys.as_slice())
        .push(", sealed_previous_keys = ")
        .push_bind(endpoint.previous_keys.as_ref().map(|(sealed, _)| sealed.as_slice()))
        .push(", previous_keys_until = ")
        .push_bind(endpoint.previous_keys.as_ref().map(|(_, until)| *until))
        .push(", sealed_older_keys = ")
        .push_bind(endpoint.older_keys.as_deref())
        .push(", enabled = ")
        .push_bind(endpoint.disabled.is_none())
        .push(", disabled_reason = ")
        .push_bind(endpoint.disabled.map_or("", |(reason, _)| reason.as_str()))
        .push(", disabled_at = ")
        .push_bind(endpoint.disabled.map(|(_, at)| at))
        .push(", failing_since = ")
        .push_bind(endpoint.failing_since)
        .push(", version = ")
        .push_bind(endpoint.version)
        .push(" WHERE ");
    let query = by_id(query, endpoint.relying_party, endpoint.id);
    Ok(query.push(" AND version = ").push_bind(endpoint.version - 1).execute().await? == 1)
}

/// Looks up by id, and then checks the relying party. `IS TRUE` keeps PostgreSQL from a plan that it would make while the table is empty
/// and then keep: scanning everything of the relying party.
fn by_id(query: Query<'_>, party: RelyingPartyId, id: EndpointId) -> Query<'_> {
    query.push("id = ").push_bind(id.as_uuid()).push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// Returns an endpoint.
pub async fn get(db: &Db, party: RelyingPartyId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    one(by_id(db.query(SELECT), party, id)).await
}

/// Returns an endpoint inside a transaction.
pub async fn get_in(tx: &mut Tx, party: RelyingPartyId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    one(by_id(tx.query(SELECT), party, id)).await
}

/// Returns all endpoints of a relying party: there are few.
pub async fn all(tx: &mut Tx, party: RelyingPartyId) -> Result<Vec<Endpoint>, Failure> {
    let query = tx.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" ORDER BY created_at, id");
    Ok(query.fetch_all().await?.iter().filter_map(|row| readable(read(row))).collect())
}

/// Whether a relying party has an endpoint.
pub async fn any(db: &Db, party: RelyingPartyId) -> Result<bool, DbError> {
    let query = db.query("SELECT 1 AS found FROM endpoint WHERE relying_party_id = ").push_bind(party.as_uuid());
    // Ordered, since otherwise the table is scanned as long as other relying parties have many.
    Ok(query.push(" ORDER BY created_at, id LIMIT 1").fetch_optional().await?.is_some())
}

/// Lists endpoints, newest first, after the position of `at` and `id`.
pub async fn list(db: &Db, party: RelyingPartyId, at: Timestamp, id: Uuid, size: i64) -> Result<Listed<Endpoint>, Failure> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND (created_at, id) < (").push_bind(at);
    let query = query.push(", ").push_bind(id).push(") ORDER BY created_at DESC, id DESC LIMIT ").push_bind(size + 1);
    Ok(listed(size, &query.fetch_all().await?, "created_at", read))
}

/// Deletes an endpoint.
pub async fn delete(db: &Db, party: RelyingPartyId, id: EndpointId) -> Result<(), Failure> {
    by_id(db.execute("DELETE FROM endpoint WHERE "), party, id).execute().await?;
    Ok(())
}

async fn one(query: Query<'_>) -> Result<Option<Endpoint>, Failure> {
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

fn event_types(endpoint: &Endpoint) -> Result<String, Failure> {
    let names: Vec<_> = endpoint.event_types.iter().map(|t| t.as_str()).collect();
    serde_json::to_string(&names).map_err(|_| Failure::Internal("names serialize"))
}

fn read(row: &Row) -> Result<Endpoint, DbError> {
    let record = row.of("endpoint", key(row, "id"));
    let endpoint = Endpoint {
        id: EndpointId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        url: record.get("url")?,
        event_types: named(&record)?,
        sealed_keys: record.get("sealed_keys")?,
        previous_keys: both(&record, "previous_keys_until", record.get("sealed_previous_keys")?, record.get("previous_keys_until")?)?,
        older_keys: record.get("sealed_older_keys")?,
        disabled: disabled(&record)?,
        failing_since: record.get("failing_since")?,
        created_at: record.get("created_at")?,
        version: record.get("version")?,
    };
    invariants::check_endpoint(&endpoint)?;
    Ok(endpoint)
}

fn named(record: &Record<'_>) -> Result<Vec<EventType>, DbError> {
    let names: Vec<String> = record.convert("event_types", |names: String| serde_json::from_str(&names))?;
    names.iter().map(|name| record.convert("event_types", |_: String| EventType::try_from(name.as_str()))).collect()
}

/// Why it is disabled, if it is. An enabled endpoint has no reason.
fn disabled(record: &Record<'_>) -> Result<Option<(DisabledReason, Timestamp)>, DbError> {
    let reason = record.convert("disabled_reason", |name: String| {
        Some(name.as_str()).filter(|name| !name.is_empty()).map(DisabledReason::try_from).transpose()
    })?;
    let disabled = both(record, "disabled_at", reason, record.get("disabled_at")?)?;
    if disabled.is_some() == record.get::<bool>("enabled")? {
        return Err(record.inconsistent("enabled", "must be true if and only if there is no reason"));
    }
    Ok(disabled)
}

/// Two columns that must both be set or both be NULL.
fn both<T, U>(record: &Record<'_>, column: &'static str, one: Option<T>, other: Option<U>) -> Result<Option<(T, U)>, DbError> {
    match (one, other) {
        (None, None) => Ok(None),
        (Some(one), Some(other)) => Ok(Some((one, other))),
        _ => Err(record.inconsistent(column, "is set without the column that belongs to it")),
    }
}
