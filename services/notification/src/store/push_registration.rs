//! Rows of push registrations.

use nodkey_db::{Db, DbError, Tx};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;

use crate::push::Provider;

/// A push registration as stored.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The push provider.
    pub provider: Provider,
    /// The sealed address that the provider gave to the app.
    pub sealed_details: Vec<u8>,
    /// When it was registered.
    pub updated_at: Timestamp,
}

/// Sets the only registration of a device.
pub async fn put(
    db: &Db,
    party: RelyingPartyId,
    device: &DeviceId,
    provider: &'static str,
    receiver: &str,
    sealed_details: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    db.execute(
        "INSERT INTO push_registration (relying_party_id, device_id, provider, receiver, sealed_details, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (relying_party_id, device_id) DO UPDATE SET provider = excluded.provider, \
         receiver = excluded.receiver, sealed_details = excluded.sealed_details, updated_at = excluded.updated_at",
    )
    .bind(party.as_uuid())
    .bind(device.as_str())
    .bind(provider)
    .bind(receiver)
    .bind(sealed_details)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Returns the receiver of a device's pushes, if it has a registration.
pub async fn receiver(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<Option<String>, Failure> {
    let sql = "SELECT receiver FROM push_registration WHERE relying_party_id = $1 AND device_id = $2";
    let row = tx.query(sql).bind(party.as_uuid()).bind(device.as_str()).fetch_optional().await?;
    Ok(row.map(|row| row.get("receiver")).transpose()?)
}

/// Whether a device has a push registration.
pub async fn is_there(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<bool, DbError> {
    let sql = "SELECT 1 AS found FROM push_registration WHERE relying_party_id = $1 AND device_id = $2";
    Ok(db.query(sql).bind(party.as_uuid()).bind(device.as_str()).fetch_optional().await?.is_some())
}

/// Returns the push registration of a device.
pub async fn get(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Kept>, Failure> {
    let sql = "SELECT provider, sealed_details, updated_at FROM push_registration WHERE relying_party_id = $1 AND device_id = $2";
    let Some(row) = db.query(sql).bind(party.as_uuid()).bind(device.as_str()).fetch_optional().await? else { return Ok(None) };
    let record = row.of("push_registration", format_args!("{device} of {party}"));
    Ok(Some(Kept {
        provider: record.convert("provider", |name: String| Provider::try_from(name.as_str()))?,
        sealed_details: record.get("sealed_details")?,
        updated_at: record.get("updated_at")?,
    }))
}

/// Deletes the push registration of a device.
pub async fn delete(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<(), Failure> {
    let sql = "DELETE FROM push_registration WHERE relying_party_id = $1 AND device_id = $2";
    tx.query(sql).bind(party.as_uuid()).bind(device.as_str()).execute().await?;
    Ok(())
}

/// Deletes the push registration, unless the phone has registered again since.
pub async fn delete_of(db: &Db, party: RelyingPartyId, device: &DeviceId, updated_at: Timestamp) -> Result<(), Failure> {
    let sql = "DELETE FROM push_registration WHERE relying_party_id = $1 AND device_id = $2 AND updated_at = $3";
    db.execute(sql).bind(party.as_uuid()).bind(device.as_str()).bind(updated_at).execute().await?;
    Ok(())
}
