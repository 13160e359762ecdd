//! Events on their way out: written with the state they are about, gone once the bus has them.

use std::collections::BTreeMap;

use bytes::Bytes;
use nodkey_kernel::{
    id::{EventId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::Event;

use crate::{Db, DbError, Message, Tx};

/// The facts about an event that are not in its message.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// Unique.
    pub id: EventId,
    /// When it happened.
    pub now: Timestamp,
    /// Version of the aggregate after it.
    pub version: i64,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// The request that caused it.
    pub traceparent: Option<String>,
}

/// An event in the outbox.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its place in line.
    pub seq: i64,
    /// The event.
    pub message: Message,
}

/// Writes an event, to be sent once the transaction is committed.
pub async fn add<E: Event>(tx: &mut Tx, event: &E, context: &EventContext) -> Result<(), DbError> {
    let subject = format!("{}.{}.{}", E::SUBJECT, context.relying_party, event.key());
    let mut headers = BTreeMap::from([
        ("ce-type", E::SUBJECT.trim_start_matches("evt.").to_owned()),
        ("ce-time", context.now.to_string()),
        ("ce-version", context.version.to_string()),
    ]);
    if let Some(traceparent) = &context.traceparent {
        headers.insert("traceparent", traceparent.clone());
    }
    tx.query("INSERT INTO outbox (id, subject, payload, headers, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(context.id.as_uuid())
        .bind(subject)
        .bind(event.encode_to_vec())
        .bind(serde_json::to_string(&headers).unwrap_or_default())
        .bind(context.now)
        .execute()
        .await?;
    tx.mark_published();
    Ok(())
}

/// Returns the events that are first in line, at most `limit`.
pub async fn batch(db: &Db, limit: i64) -> Result<Vec<Outgoing>, DbError> {
    let rows = db.query("SELECT seq, id, subject, payload, headers FROM outbox ORDER BY seq LIMIT $1").bind(limit).fetch_all().await?;
    rows.iter()
        .map(|row| {
            let headers: String = row.get("headers")?;
            let payload: Vec<u8> = row.get("payload")?;
            Ok(Outgoing {
                seq: row.get("seq")?,
                message: Message {
                    id: row.get("id")?,
                    subject: row.get("subject")?,
                    payload: Bytes::from(payload),
                    headers: serde_json::from_str(&headers).unwrap_or_default(),
                },
            })
        })
        .collect()
}

/// Removes events the bus has, in one transaction.
pub async fn delete(db: &Db, seqs: &[i64]) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for seq in seqs {
        tx.query("DELETE FROM outbox WHERE seq = $1").bind(*seq).execute().await?;
    }
    tx.commit().await
}

/// Returns how many events wait, and since when the first does.
pub async fn depth(db: &Db) -> Result<(i64, Option<Timestamp>), DbError> {
    let row = db.query("SELECT COUNT(*) AS depth, MIN(created_at) AS oldest FROM outbox").fetch_one().await?;
    Ok((row.get("depth")?, row.get("oldest")?))
}
