//! Rows of devices.

use nodkey_db::{Db, Query, Row, Tx};
use nodkey_kernel::id::{DeviceId, RelyingPartyId};

use super::{Start, jwk, key, named, optional_key, relying_party};
use crate::{
    domain::device::{Device, PresenceKeys, Profile},
    error::Error,
};

/// Inserts; false when the key is registered already.
pub async fn insert(tx: &mut Tx, device: &Device) -> Result<bool, Error> {
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

const GET: &str = "SELECT id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, created_at, \
     updated_at, last_seen_at, retired_at, version FROM device WHERE relying_party_id = $1 AND id = $2";

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(db.query(GET).bind(party.as_uuid()).bind(id.as_str())).await
}

/// Returns one inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, id: &DeviceId) -> Result<Option<Device>, Error> {
    one(tx.query(GET).bind(party.as_uuid()).bind(id.as_str())).await
}

/// Finds out whose a device is: unscoped, because that is the question.
pub async fn resolve(db: &Db, id: &DeviceId) -> Result<Option<Device>, Error> {
    let sql = "SELECT id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, created_at, \
         updated_at, last_seen_at, retired_at, version FROM device WHERE id = $1";
    one(db.query(sql).bind(id.as_str())).await
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, device: &Device) -> Result<bool, Error> {
    let updated = tx
        .query(
            "UPDATE device SET biometric_key = $1, credential_key = $2, name = $3, platform = $4, app_version = $5, updated_at = $6, \
             retired_at = $7, version = $8 WHERE relying_party_id = $9 AND id = $10 AND version = $8 - 1",
        )
        .bind(device.profile.presence.biometric.as_ref().map(jwk))
        .bind(device.profile.presence.credential.as_ref().map(jwk))
        .bind(device.profile.name.as_str())
        .bind(device.profile.platform.as_str())
        .bind(device.profile.app_version.as_str())
        .bind(device.updated_at)
        .bind(device.retired_at)
        .bind(device.version)
        .bind(device.relying_party.as_uuid())
        .bind(device.id.as_str())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Lists those of a relying party.
pub async fn list(db: &Db, party: RelyingPartyId, start: &Start<String>, limit: i64) -> Result<Vec<Device>, Error> {
    let rows = db
        .query(
            "SELECT id, relying_party_id, device_key, biometric_key, credential_key, name, platform, app_version, created_at, \
             updated_at, last_seen_at, retired_at, version FROM device \
             WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4",
        )
        .bind(party.as_uuid())
        .bind(start.at)
        .bind(start.id.as_str())
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

async fn one(query: Query<'_>) -> Result<Option<Device>, Error> {
    query.fetch_optional().await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Device, Error> {
    let presence = PresenceKeys { biometric: optional_key(row, "biometric_key")?, credential: optional_key(row, "credential_key")? };
    Ok(Device {
        id: named(row, "id")?,
        relying_party: relying_party(row)?,
        key: key(row, "device_key")?,
        profile: Profile { presence, name: row.get("name")?, platform: named(row, "platform")?, app_version: row.get("app_version")? },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        last_seen_at: row.get("last_seen_at")?,
        retired_at: row.get("retired_at")?,
        version: row.get("version")?,
    })
}
