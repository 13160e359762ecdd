//! Rows of relying parties.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::id::RelyingPartyId;
use nodkey_runtime::{
    Failure,
    page::Listed,
    rows::{key, listed},
};
use serde::Serialize;
use uuid::Uuid;

use super::{Start, json, page};
use crate::{
    domain::relying_party::{BindingSettings, PromptSettings, RelyingParty},
    error::Error,
    invariants,
};

/// Inserts a relying party; false if the id is already in use.
pub async fn insert(tx: &mut Tx, party: &RelyingParty) -> Result<bool, Error> {
    invariants::check_relying_party(party)?;
    let inserted = tx
        .query(
            "INSERT INTO relying_party (id, name, trucodes, signatures, limits, tolerant_prompts, allow_unprompted, require_six_digits, \
             inactive_hours, phones, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
        )
        .bind(party.id.as_uuid())
        .bind(party.name.as_str())
        .bind(to_json(&party.trucodes)?)
        .bind(to_json(&party.signatures)?)
        .bind(to_json(&party.limits)?)
        .bind(party.prompts.tolerant)
        .bind(party.prompts.allow_unprompted)
        .bind(party.prompts.require_six_digits)
        .bind(i64::from(party.bindings.inactive_hours))
        .bind(to_json(&party.phones)?)
        .bind(party.created_at)
        .bind(party.version)
        .execute()
        .await?;
    Ok(inserted == 1)
}

const SELECT: &str = "SELECT id, name, trucodes, signatures, limits, tolerant_prompts, allow_unprompted, require_six_digits, inactive_hours, \
    phones, created_at, disabled_at, version FROM relying_party WHERE ";

/// Returns a relying party.
pub async fn get(db: &Db, id: RelyingPartyId) -> Result<Option<RelyingParty>, Error> {
    let row = db.query(SELECT).push("id = ").push_bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, party: &RelyingParty) -> Result<bool, Error> {
    invariants::check_relying_party(party)?;
    let query = tx.query("UPDATE relying_party SET name = ").push_bind(party.name.as_str());
    let query = query.push(", trucodes = ").push_bind(to_json(&party.trucodes)?).push(", signatures = ");
    let query = query.push_bind(to_json(&party.signatures)?).push(", limits = ").push_bind(to_json(&party.limits)?);
    let query = query.push(", tolerant_prompts = ").push_bind(party.prompts.tolerant).push(", allow_unprompted = ");
    let query = query.push_bind(party.prompts.allow_unprompted).push(", require_six_digits = ");
    let query = query.push_bind(party.prompts.require_six_digits).push(", inactive_hours = ");
    let query = query.push_bind(i64::from(party.bindings.inactive_hours)).push(", phones = ").push_bind(to_json(&party.phones)?);
    let query = query.push(", disabled_at = ").push_bind(party.disabled_at);
    let query = query.push(", version = ").push_bind(party.version).push(" WHERE id = ").push_bind(party.id.as_uuid());
    Ok(query.push(" AND version = ").push_bind(party.version - 1).execute().await? == 1)
}

/// Lists all relying parties, for operators.
pub async fn list(db: &Db, start: &Start<Uuid>, size: i64) -> Result<Listed<RelyingParty>, Error> {
    let query = db.query(SELECT).push("id <> ").push_bind(RelyingPartyId::CONSOLE.as_uuid()).push(" AND ");
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read))
}

fn to_json(settings: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(settings).map_err(|_| Failure::Internal("settings serialize"))
}

fn read(row: &Row) -> Result<RelyingParty, DbError> {
    let record = row.of("relying_party", key(row, "id"));
    let party = RelyingParty {
        id: RelyingPartyId::from_uuid(record.get("id")?),
        name: record.get("name")?,
        trucodes: json(&record, "trucodes")?,
        signatures: json(&record, "signatures")?,
        limits: json(&record, "limits")?,
        prompts: PromptSettings {
            tolerant: record.get("tolerant_prompts")?,
            allow_unprompted: record.get("allow_unprompted")?,
            require_six_digits: record.get("require_six_digits")?,
        },
        bindings: BindingSettings { inactive_hours: record.convert("inactive_hours", |hours: i64| i32::try_from(hours))? },
        phones: json(&record, "phones")?,
        created_at: record.get("created_at")?,
        disabled_at: record.get("disabled_at")?,
        version: record.get("version")?,
    };
    invariants::check_relying_party(&party)?;
    Ok(party)
}
