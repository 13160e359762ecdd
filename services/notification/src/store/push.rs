//! Rows of pushes.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    rows::{key, readable},
};
use nodkey_trace::traceparent;

use crate::{domain::push_cause::Cause, push::Push};

/// Schedules a push until `expires_at`. If one is already pending for the phone, both become one push for all causes, until the later
/// expiry.
pub async fn put(
    tx: &mut Tx,
    (party, device): (RelyingPartyId, &DeviceId),
    queue: &str,
    cause: Cause,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO push (relying_party_id, device_id, lane, attempt_count, next_attempt_at, expires_at, version, causes_version, traceparent) \
         VALUES ($1, $2, $3, 0, $4, $5, 1, 1, $6) ON CONFLICT (relying_party_id, device_id) DO UPDATE SET lane = excluded.lane, \
         attempt_count = 0, next_attempt_at = excluded.next_attempt_at, \
         causes_version = CASE WHEN push.causes_version = push.version THEN push.version + 1 ELSE push.causes_version END, \
         version = push.version + 1, traceparent = excluded.traceparent, \
         expires_at = CASE WHEN push.expires_at > excluded.expires_at THEN push.expires_at ELSE excluded.expires_at END",
    )
    .bind(party.as_uuid())
    .bind(device.as_str())
    .bind(queue)
    .bind(now)
    .bind(expires_at)
    .bind(traceparent())
    .execute()
    .await?;
    let insert = tx.query("INSERT INTO push_cause (relying_party_id, device_id, cause) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
    insert.bind(party.as_uuid()).bind(device.as_str()).bind(cause.as_text()).execute().await?;
    Ok(())
}

/// Whether a relying party has an endpoint, or a push is pending for this cause. One statement, since it runs for the end of every
/// trusonafication.
pub async fn is_anybody_concerned(db: &Db, party: RelyingPartyId, cause: Cause) -> Result<bool, DbError> {
    // Ordered, since otherwise the tables are scanned as long as other relying parties have many.
    let query = db.query("SELECT found FROM (SELECT 1 AS found FROM endpoint WHERE relying_party_id = ").push_bind(party.as_uuid());
    let query = query.push(
        " ORDER BY created_at, id LIMIT 1) AS endpoints UNION ALL SELECT found FROM (SELECT 1 AS found FROM push_cause WHERE cause = ",
    );
    Ok(query.push_bind(cause.as_text()).push(" ORDER BY relying_party_id, device_id LIMIT 1) AS pushes").fetch_optional().await?.is_some())
}

/// Ends a cause for all phones. A push without another cause is found to be [over](Push::over) when it becomes due.
pub async fn end(tx: &mut Tx, cause: Cause) -> Result<(), Failure> {
    tx.query("DELETE FROM push_cause WHERE cause = ").push_bind(cause.as_text()).execute().await?;
    Ok(())
}

/// Returns the receiver queues after `after` with due pushes, in order, by jumping from queue to queue.
pub async fn queues(db: &Db, after: &str, now: Timestamp, limit: i64) -> Result<Vec<String>, Failure> {
    let rows = db
        .query(
            "WITH RECURSIVE waiting (lane) AS ( \
               SELECT (SELECT lane FROM push WHERE lane > $1 ORDER BY lane LIMIT 1) \
               UNION ALL \
               SELECT (SELECT p.lane FROM push p WHERE p.lane > waiting.lane ORDER BY p.lane LIMIT 1) \
               FROM waiting WHERE waiting.lane IS NOT NULL \
             ) SELECT lane FROM waiting WHERE (SELECT p.lane FROM push p WHERE p.lane = waiting.lane AND p.next_attempt_at <= $2 LIMIT 1) \
             IS NOT NULL LIMIT $3",
        )
        .bind(after)
        .bind(now)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.iter().map(|row| row.get("lane")).collect::<Result<_, _>>()?)
}

/// Reserves due pushes of a receiver queue until `until`, longest due first. Concurrent replicas get different ones.
pub async fn claim(db: &Db, queue: &str, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Push>, Failure> {
    let rows = db
        .execute(
            "UPDATE push SET next_attempt_at = $1, attempt_count = attempt_count + 1, \
             causes_version = CASE WHEN causes_version = version THEN version + 1 ELSE causes_version END, version = version + 1 \
             WHERE (relying_party_id, device_id, version) IN (SELECT relying_party_id, device_id, version FROM push \
             WHERE lane = $2 AND next_attempt_at <= $3 ORDER BY next_attempt_at LIMIT $4) \
             RETURNING relying_party_id, device_id, attempt_count, expires_at, version, traceparent, \
             COALESCE(causes_version = version AND NOT EXISTS (SELECT 1 FROM push_cause c \
             WHERE c.relying_party_id = push.relying_party_id AND c.device_id = push.device_id), FALSE) AS is_over",
        )
        .bind(until)
        .bind(queue)
        .bind(now)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// Postpones a push, unless it was requested again in the meantime.
pub async fn postpone(db: &Db, push: &Push, at: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE push SET next_attempt_at = $1 WHERE relying_party_id = $2 AND device_id = $3 AND version = $4";
    let query = db.execute(sql).bind(at).bind(push.relying_party.as_uuid());
    query.bind(push.device.as_str()).bind(push.version).execute().await?;
    Ok(())
}

/// Deletes a push, unless it was requested again in the meantime.
pub async fn delete(db: &Db, push: &Push) -> Result<(), Failure> {
    let sql = "DELETE FROM push WHERE relying_party_id = $1 AND device_id = $2 AND version = $3";
    let query = db.execute(sql).bind(push.relying_party.as_uuid()).bind(push.device.as_str());
    query.bind(push.version).execute().await?;
    Ok(())
}

/// Deletes the pushes of all phones of a relying party.
pub async fn delete_all(tx: &mut Tx, party: RelyingPartyId) -> Result<(), Failure> {
    tx.query("DELETE FROM push WHERE relying_party_id = ").push_bind(party.as_uuid()).execute().await?;
    Ok(())
}

/// Returns the number of pending pushes.
pub async fn waiting(db: &Db) -> Result<i64, Failure> {
    Ok(db.query("SELECT count(*) AS waiting FROM push").fetch_one().await?.get("waiting")?)
}

fn read(row: &Row) -> Result<Push, DbError> {
    let device: Result<String, _> = row.get("device_id");
    let record =
        row.of("push", format_args!("{} of {}", device.as_deref().unwrap_or("an unreadable device"), key(row, "relying_party_id")));
    Ok(Push {
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        device: record.convert("device_id", |id: String| DeviceId::parse(&id))?,
        attempt_count: record.get("attempt_count")?,
        expires_at: record.get("expires_at")?,
        over: record.get("is_over")?,
        version: record.get("version")?,
        traceparent: record.get("traceparent")?,
    })
}
