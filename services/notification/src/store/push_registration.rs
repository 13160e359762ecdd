//! Rows of push registrations.

use nodkey_db::Db;
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;

/// Sets the one registration of a device.
pub async fn put(
    db: &Db,
    party: RelyingPartyId,
    device: &DeviceId,
    provider: &'static str,
    sealed_details: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    db.execute(
        "INSERT INTO push_registration (relying_party_id, device_id, provider, sealed_details, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (relying_party_id, device_id) DO UPDATE SET provider = excluded.provider, \
         sealed_details = excluded.sealed_details, updated_at = excluded.updated_at",
    )
    .bind(party.as_uuid())
    .bind(device.as_str())
    .bind(provider)
    .bind(sealed_details)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Forgets it.
pub async fn delete(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<(), Failure> {
    let sql = "DELETE FROM push_registration WHERE relying_party_id = $1 AND device_id = $2";
    db.execute(sql).bind(party.as_uuid()).bind(device.as_str()).execute().await?;
    Ok(())
}
