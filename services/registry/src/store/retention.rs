//! Rows of retention policies, and the deletions that retention requires.

use nodkey_db::{
    Db, DbError, Row,
    retention::{BATCH, Window, delete_found, in_list},
};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{page::Listed, rows::listed};
use uuid::Uuid;

use super::Start;
use crate::{
    domain::{device::Device, retention::RetentionPolicy},
    error::Error,
};

/// Inserts or replaces a policy.
pub async fn put(db: &Db, policy: &RetentionPolicy) -> Result<(), Error> {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    db.execute(
        "INSERT INTO retention_policy (relying_party_id, answered_days, unanswered_days, unbound_device_days) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (relying_party_id) DO UPDATE SET answered_days = excluded.answered_days, \
         unanswered_days = excluded.unanswered_days, unbound_device_days = excluded.unbound_device_days",
    )
    .bind(policy.relying_party.as_uuid())
    .bind(days(policy.answered))
    .bind(days(policy.unanswered))
    .bind(days(policy.unbound_device))
    .execute()
    .await?;
    Ok(())
}

/// Returns the policy of a relying party, if it has one.
pub async fn get(db: &Db, party: RelyingPartyId) -> Result<Option<RetentionPolicy>, Error> {
    let sql = "SELECT relying_party_id AS id, answered_days, unanswered_days, unbound_device_days FROM retention_policy \
               WHERE relying_party_id = $1";
    Ok(db.query(sql).bind(party.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Lists the policies of all relying parties, newest relying party first, including those without a policy.
pub async fn list(db: &Db, start: &Start<Uuid>, size: i64) -> Result<Listed<RetentionPolicy>, Error> {
    let query = db
        .query(
            "SELECT p.id, p.created_at, r.answered_days, r.unanswered_days, r.unbound_device_days FROM relying_party p \
             LEFT JOIN retention_policy r ON r.relying_party_id = p.id WHERE p.id <> ",
        )
        .push_bind(RelyingPartyId::CONSOLE.as_uuid())
        .push(" AND (p.created_at, p.id) < (")
        .push_bind(start.at)
        .push(", ")
        .push_bind(start.id)
        .push(") ORDER BY p.created_at DESC, p.id DESC LIMIT ")
        .push_bind(size + 1);
    Ok(listed(size, &query.fetch_all().await?, "created_at", read))
}

fn read(row: &Row) -> Result<RetentionPolicy, DbError> {
    let row = row.of("retention_policy", row.get::<Uuid>("id")?);
    let days = |column| row.convert(column, |days: Option<i32>| days.map(u32::try_from).transpose());
    Ok(RetentionPolicy {
        relying_party: RelyingPartyId::from_uuid(row.get("id")?),
        answered: days("answered_days")?,
        unanswered: days("unanswered_days")?,
        unbound_device: days("unbound_device_days")?,
    })
}

/// A position in a list of devices, oldest first: reading continues after it.
#[derive(Debug, Clone)]
pub struct Place {
    /// When the last device before it was registered.
    pub at: Timestamp,
    /// Distinguishes devices of the same time.
    pub id: String,
}

/// Returns devices that were registered in a window and not seen since, with their positions. Retired devices that were in use are
/// excluded: they are kept so that their keys can never be registered again.
pub async fn unseen(db: &Db, party: RelyingPartyId, window: Window, after: &Place) -> Result<Vec<(Place, DeviceId)>, Error> {
    let rows = db
        .query(
            "SELECT id, created_at FROM device WHERE relying_party_id = $1 AND (created_at, id) > ($2, $3) AND created_at >= $4 \
             AND created_at < $5 AND updated_at < $5 AND (last_seen_at IS NULL OR last_seen_at < $5) AND (retired_at IS NULL OR in_use = FALSE) \
             ORDER BY created_at, id LIMIT $6",
        )
        .bind(party.as_uuid())
        .bind(after.at)
        .bind(after.id.as_str())
        .bind(window.from)
        .bind(window.before)
        .bind(BATCH)
        .fetch_all()
        .await?;
    let read = |row: &Row| {
        let place = Place { at: row.get("created_at")?, id: row.get("id")? };
        let device = row.of("device", &place.id).convert("id", |id: String| DeviceId::parse(&id))?;
        Ok((place, device))
    };
    rows.iter().map(read).collect()
}

/// Records that a device was seen; false if it no longer exists. This is not a change of the device: its version stays, and no event is
/// published.
pub async fn note_seen(db: &Db, device: &Device, at: Timestamp) -> Result<bool, Error> {
    let query = db.execute("UPDATE device SET last_seen_at = $1 WHERE relying_party_id = $2 AND id = $3");
    Ok(query.bind(at).bind(device.relying_party.as_uuid()).bind(device.id.as_str()).execute().await? == 1)
}

/// Deletes those of these devices that have still not been seen. Returns how many.
pub async fn delete_unseen(db: &Db, party: RelyingPartyId, before: Timestamp, devices: &[DeviceId]) -> Result<u64, Error> {
    let ids: Vec<&str> = devices.iter().map(DeviceId::as_str).collect();
    let query = db.execute(
        "DELETE FROM device WHERE relying_party_id = $1 AND updated_at < $2 AND (last_seen_at IS NULL OR last_seen_at < $2) \
         AND (retired_at IS NULL OR in_use = FALSE) AND id IN",
    );
    Ok(in_list(query.bind(party.as_uuid()).bind(before), &ids).execute().await?)
}

/// Deletes a batch of sessions that ended before a given time. Returns how many.
pub async fn delete_sessions(db: &Db, before: Timestamp) -> Result<u64, Error> {
    let old = db.query("SELECT id FROM operator_session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2").bind(before).bind(BATCH);
    Ok(delete_found(db, old, "DELETE FROM operator_session WHERE id IN").await?)
}

/// Deletes a batch of confirmations that were requested before a given time. Returns how many.
pub async fn delete_confirmations(db: &Db, before: Timestamp) -> Result<u64, Error> {
    let old =
        db.query("SELECT id FROM operator_confirmation WHERE created_at < $1 ORDER BY created_at, id LIMIT $2").bind(before).bind(BATCH);
    Ok(delete_found(db, old, "DELETE FROM operator_confirmation WHERE id IN").await?)
}

/// Deletes a batch of audit entries that are in no chain and older than a given time. Returns how many.
pub async fn delete_unchained(db: &Db, before: Timestamp) -> Result<u64, Error> {
    let old = "SELECT id FROM audit_entry WHERE kind = 'unchained' AND at < $1 ORDER BY at, id LIMIT $2";
    Ok(delete_found(db, db.query(old).bind(before).bind(BATCH), "DELETE FROM audit_entry WHERE id IN").await?)
}

/// Deletes a batch of operators invited in a window who never accepted their invitation. Returns how many.
pub async fn delete_invitations(db: &Db, window: Window) -> Result<u64, Error> {
    let sql = "SELECT id FROM operator WHERE created_at >= $1 AND invitation_expires_at < $2 AND state = 'invited' AND device_id IS NULL \
               AND signed_in_at IS NULL ORDER BY created_at, id LIMIT $3";
    let old = db.query(sql).bind(window.from).bind(window.before).bind(BATCH);
    // An operator who accepts in the meantime is kept.
    let delete = "DELETE FROM operator WHERE state = 'invited' AND device_id IS NULL AND signed_in_at IS NULL \
                  AND NOT EXISTS (SELECT 1 FROM operator_session s WHERE s.operator_id = operator.id) \
                  AND NOT EXISTS (SELECT 1 FROM operator_confirmation c WHERE c.operator_id = operator.id) AND id IN";
    Ok(delete_found(db, old, delete).await?)
}
