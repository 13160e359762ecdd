//! Rows of devices.

use nodkey_db::{Db, DbError, Query, Record, Row, Tx};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{Failure, page::Listed, rows::listed};

use super::{Start, by_id, json, jwk, key, named, optional_key, page, relying_party};
use crate::{
    domain::{
        capability::Capabilities,
        device::{Device, PresenceKeys, Profile},
        key_statement::{KeyStatement, Vouching},
        standing::{Standing, Standings},
    },
    error::Error,
    invariants,
};

/// Inserts a device; false if the key is already registered.
pub async fn insert(tx: &mut Tx, device: &Device) -> Result<bool, Error> {
    invariants::check_device(device)?;
    let inserted = tx
        .query(
            "INSERT INTO device (id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, \
             key_statement, key_signatures, key_statement_seq, challenged_at, created_at, updated_at, in_use, version, biometric_counts, \
             biometric_since, credential_counts, credential_since, capabilities) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT DO NOTHING",
        )
        .bind(device.id.as_str())
        .bind(device.relying_party.as_uuid())
        .bind(jwk(&device.key))
        .bind(device.profile.presence.biometric.as_ref().map(jwk))
        .bind(device.profile.presence.credential.as_ref().map(jwk))
        .bind(device.profile.name.as_str())
        .bind(device.profile.platform.as_str())
        .bind(device.profile.app_version.as_str())
        .bind(statement(device))
        .bind(signatures(device)?)
        .bind(seq(device)?)
        .bind(device.vouching.challenged_at)
        .bind(device.created_at)
        .bind(device.updated_at)
        .bind(device.in_use)
        .bind(device.version)
        .bind(device.standings.biometric.counts)
        .bind(device.standings.biometric.since)
        .bind(device.standings.credential.counts)
        .bind(device.standings.credential.since)
        .bind(capabilities(device)?)
        .execute()
        .await?;
    Ok(inserted == 1)
}

const SELECT: &str = "SELECT id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, key_statement, \
     key_signatures, key_statement_seq, challenged_at, created_at, updated_at, last_seen_at, retired_at, in_use, version, biometric_counts, \
     biometric_since, credential_counts, credential_since, capabilities FROM device WHERE ";

/// Returns a device.
pub async fn get(db: &Db, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(by_id(db.query(SELECT), party, id.as_str())).await
}

/// Returns a device inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(by_id(tx.query(SELECT), party, id.as_str())).await
}

/// Finds a device of any relying party. Unscoped, since the caller does not know the relying party yet.
pub async fn resolve(db: &Db, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(db.query(SELECT).push("id = ").push_bind(id.as_str())).await
}

/// When something became of a device.
#[derive(Debug)]
pub struct Moments {
    /// Its identifier.
    pub id: String,
    /// Its relying party.
    pub relying_party: RelyingPartyId,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

/// Returns the devices of all relying parties behind an identifier, in the order of identifiers.
pub async fn moments_after(db: &Db, after: &str, size: i64) -> Result<Vec<Moments>, DbError> {
    let query = db.query("SELECT id, relying_party_id, created_at, retired_at FROM device WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = query.bind(after).bind(size).fetch_all().await?;
    rows.iter()
        .map(|row| {
            Ok(Moments {
                id: row.get("id")?,
                relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
                created_at: row.get("created_at")?,
                retired_at: row.get("retired_at")?,
            })
        })
        .collect()
}

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, device: &Device) -> Result<bool, Error> {
    invariants::check_device(device)?;
    let query = tx
        .query("UPDATE device SET biometric_key = ")
        .push_bind(device.profile.presence.biometric.as_ref().map(jwk))
        .push(", credential_key = ")
        .push_bind(device.profile.presence.credential.as_ref().map(jwk))
        .push(", name = ")
        .push_bind(device.profile.name.as_str())
        .push(", platform = ")
        .push_bind(device.profile.platform.as_str())
        .push(", app_version = ")
        .push_bind(device.profile.app_version.as_str())
        .push(", key_statement = ")
        .push_bind(statement(device))
        .push(", key_signatures = ")
        .push_bind(signatures(device)?)
        .push(", key_statement_seq = ")
        .push_bind(seq(device)?)
        .push(", challenged_at = ")
        .push_bind(device.vouching.challenged_at)
        .push(", biometric_counts = ")
        .push_bind(device.standings.biometric.counts)
        .push(", biometric_since = ")
        .push_bind(device.standings.biometric.since)
        .push(", credential_counts = ")
        .push_bind(device.standings.credential.counts)
        .push(", credential_since = ")
        .push_bind(device.standings.credential.since)
        .push(", capabilities = ")
        .push_bind(capabilities(device)?)
        .push(", updated_at = ")
        .push_bind(device.updated_at)
        .push(", retired_at = ")
        .push_bind(device.retired_at)
        .push(", version = ")
        .push_bind(device.version)
        .push(" WHERE ");
    let query = by_id(query, device.relying_party, device.id.as_str());
    Ok(query.push(" AND version = ").push_bind(device.version - 1).execute().await? == 1)
}

/// Records that a binding is about to be created, which also counts as being seen; false if the device was deleted in between.
pub async fn note_in_use(db: &Db, device: &Device, now: Timestamp) -> Result<bool, Error> {
    let query = db.execute("UPDATE device SET in_use = TRUE, last_seen_at = $1 WHERE relying_party_id = $2 AND id = $3");
    Ok(query.bind(now).bind(device.relying_party.as_uuid()).bind(device.id.as_str()).execute().await? == 1)
}

/// Counts the devices of a relying party that were never bound, up to `limit`.
pub async fn count_unbound(db: &Db, party: RelyingPartyId, limit: u32) -> Result<i64, Error> {
    let query = db.query("SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM device WHERE relying_party_id = ").push_bind(party.as_uuid());
    let row = query.push(" AND in_use = FALSE LIMIT ").push_bind(i64::from(limit)).push(") AS unbound").fetch_one().await?;
    Ok(row.get("n")?)
}

/// Lists the devices of a relying party.
pub async fn list(db: &Db, party: RelyingPartyId, start: &Start<String>, size: i64) -> Result<Listed<Device>, Error> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND ");
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read))
}

/// NULL if there are none, as in rows that predate the column.
fn capabilities(device: &Device) -> Result<Option<String>, Error> {
    let known = Some(device.profile.capabilities).filter(|known| *known != Capabilities::default());
    known.map(|known| serde_json::to_string(&known)).transpose().map_err(|_| Failure::Internal("names serialize").into())
}

fn statement(device: &Device) -> Option<&str> {
    device.vouching.statement.as_ref().map(|statement| statement.jws.as_str())
}

fn signatures(device: &Device) -> Result<Option<String>, Error> {
    let json = |statement: &KeyStatement| serde_json::to_string(&statement.signatures);
    device.vouching.statement.as_ref().map(json).transpose().map_err(|_| Failure::Internal("strings serialize").into())
}

fn seq(device: &Device) -> Result<i64, Error> {
    i64::try_from(device.vouching.seq).map_err(|_| Failure::Internal("a seq is at most 2^53 - 1").into())
}

async fn one(query: Query<'_>) -> Result<Option<Device>, Error> {
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<Device, DbError> {
    let id: Result<String, _> = row.get("id");
    let record = row.of("device", id.as_deref().unwrap_or("with unreadable id"));
    let presence =
        PresenceKeys { biometric: optional_key(&record, "biometric_key")?, credential: optional_key(&record, "credential_key")? };
    let device = Device {
        id: record.convert("id", |id: String| DeviceId::parse(&id))?,
        relying_party: relying_party(&record)?,
        key: key(&record, "device_key")?,
        profile: Profile {
            presence,
            name: record.get("name")?,
            platform: named(&record, "platform")?,
            app_version: record.get("app_version")?,
            capabilities: record
                .convert("capabilities", |names: Option<String>| names.as_deref().map(serde_json::from_str).transpose())?
                .unwrap_or_default(),
        },
        vouching: vouching(&record)?,
        standings: Standings {
            biometric: Standing { counts: record.get("biometric_counts")?, since: record.get("biometric_since")? },
            credential: Standing { counts: record.get("credential_counts")?, since: record.get("credential_since")? },
        },
        created_at: record.get("created_at")?,
        updated_at: record.get("updated_at")?,
        last_seen_at: record.get("last_seen_at")?,
        retired_at: record.get("retired_at")?,
        in_use: record.get("in_use")?,
        version: record.get("version")?,
    };
    invariants::check_device(&device)?;
    Ok(device)
}

fn vouching(record: &Record<'_>) -> Result<Vouching, DbError> {
    let statement = match record.get::<Option<String>>("key_statement")? {
        Some(jws) => Some(KeyStatement { jws, signatures: json(record, "key_signatures")? }),
        None => None,
    };
    let seq = record.convert("key_statement_seq", |seq: i64| u64::try_from(seq))?;
    Ok(Vouching { statement, seq, challenged_at: record.get("challenged_at")? })
}
