//! Rows of devices.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::id::{DeviceId, RelyingPartyId};
use nodkey_runtime::{page::Listed, rows::listed};

use super::{Start, by_id, jwk, key, named, optional_key, page, relying_party};
use crate::{
    domain::device::{Device, PresenceKeys, Profile},
    error::Error,
    invariants,
};

/// Inserts; false when the key is registered already.
pub async fn insert(tx: &mut Tx, device: &Device) -> Result<bool, Error> {
    invariants::check_device(device)?;
    let inserted = tx
        .query(
            "INSERT INTO device (id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, \
             created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(device.id.as_str())
        .bind(device.relying_party.as_uuid())
        .bind(jwk(&device.key))
        .bind(device.profile.presence.biometric.as_ref().map(jwk))
        .bind(device.profile.presence.credential.as_ref().map(jwk))
        .bind(device.profile.name.as_str())
        .bind(device.profile.platform.as_str())
        .bind(device.profile.app_version.as_str())
        .bind(device.created_at)
        .bind(device.updated_at)
        .bind(device.version)
        .execute()
        .await?;
    Ok(inserted == 1)
}

const SELECT: &str = "SELECT id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, created_at, \
     updated_at, last_seen_at, retired_at, version FROM device WHERE ";

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(by_id(db.query(SELECT), party, id.as_str())).await
}

/// Returns one inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(by_id(tx.query(SELECT), party, id.as_str())).await
}

/// Finds out whose a device is: unscoped, because that is the question.
pub async fn resolve(db: &Db, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(db.query(SELECT).push("id = ").push_bind(id.as_str())).await
}

/// Writes a change of the version before; false when another was first.
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

/// Lists those of a relying party.
pub async fn list(db: &Db, party: RelyingPartyId, start: &Start<String>, size: i64) -> Result<Listed<Device>, Error> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND ");
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read))
}

async fn one(query: Query<'_>) -> Result<Option<Device>, Error> {
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<Device, DbError> {
    let id: Result<String, _> = row.get("id");
    let record = row.of("device", id.as_deref().unwrap_or("of unreadable id"));
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
        },
        created_at: record.get("created_at")?,
        updated_at: record.get("updated_at")?,
        last_seen_at: record.get("last_seen_at")?,
        retired_at: record.get("retired_at")?,
        version: record.get("version")?,
    };
    invariants::check_device(&device)?;
    Ok(device)
}
