//! Outgoing events: written with the state change they describe, deleted once the bus has them.

use std::collections::BTreeMap;

use bytes::Bytes;
use nodkey_kernel::{
    id::{EventId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::Event;
use nodkey_trace::traceparent;
use uuid::Uuid;

use crate::{
    Db, DbError, Message, Query, Tx,
    retention::{MAX_LIST, in_list},
};

/// Metadata of an event.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// When it happened, as the row of the aggregate says: whoever makes the event again from that row makes it with the same id.
    pub now: Timestamp,
    /// Version of the aggregate after the event.
    pub version: i64,
    /// The relying party that the event belongs to.
    pub relying_party: RelyingPartyId,
}

/// An event in the outbox.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Sequence number in the outbox.
    pub seq: i64,
    /// When it happened.
    pub created_at: Timestamp,
    /// The event.
    pub message: Message,
}

/// An event as the outbox stores it. Build it before a transaction that must be short.
#[derive(Clone, Debug)]
pub struct Entry {
    id: Uuid,
    subject: String,
    payload: Vec<u8>,
    headers: String,
    created_at: Timestamp,
}

impl Entry {
    /// Builds an entry, which belongs to the current trace.
    #[must_use]
    pub fn new<E: Event>(event: &E, context: &EventContext) -> Self {
        let mut headers = BTreeMap::from([
            ("ce-type", E::SUBJECT.trim_start_matches("evt.").to_owned()),
            ("ce-time", context.now.to_string()),
            ("ce-version", context.version.to_string()),
        ]);
        if let Some(traceparent) = traceparent() {
            headers.insert("traceparent", traceparent);
        }
        let subject = format!("{}.{}.{}", E::SUBJECT, context.relying_party, event.key());
        Self {
            id: EventId::derive(context.now, &subject, context.version).as_uuid(),
            subject,
            payload: event.encode_to_vec(),
            headers: serde_json::to_string(&headers).unwrap_or_default(),
            created_at: context.now,
        }
    }

    /// Appends `INSERT INTO outbox … SELECT …`, which a condition may follow. Once it is executed, [`inserted`] has to be called.
    #[must_use]
    pub fn push_insert<'a>(&self, query: Query<'a>) -> Query<'a> {
        query
            .push("INSERT INTO outbox (id, subject, payload, headers, created_at) SELECT ")
            .push_bind(self.id)
            .and_bind(self.subject.as_str())
            .and_bind(self.payload.clone())
            .and_bind(self.headers.as_str())
            .and_bind(self.created_at)
    }
}

/// Writes an event, to be sent once the transaction is committed.
pub async fn add<E: Event>(tx: &mut Tx, event: &E, context: &EventContext) -> Result<(), DbError> {
    insert(tx, &Entry::new(event, context)).await
}

/// Writes an entry that was built before.
pub async fn insert(tx: &mut Tx, entry: &Entry) -> Result<(), DbError> {
    entry.push_insert(tx.query("")).execute().await?;
    inserted(tx);
    Ok(())
}

/// Sends an entry that a statement of the caller wrote, once the transaction is committed.
pub fn inserted(tx: &mut Tx) {
    tx.mark_published();
}

/// Writes an entry again that was written before; false when the bus does not have it yet.
pub async fn insert_again(tx: &mut Tx, entry: &Entry) -> Result<bool, DbError> {
    // SQLite reads ON CONFLICT after a SELECT only behind a condition.
    let inserted = entry.push_insert(tx.query("")).push(" WHERE TRUE ON CONFLICT DO NOTHING").execute().await?;
    tx.mark_published();
    Ok(inserted == 1)
}

/// Returns the oldest events, at most `limit`.
pub async fn batch(db: &Db, limit: i64) -> Result<Vec<Outgoing>, DbError> {
    let rows =
        db.query("SELECT seq, id, subject, payload, headers, created_at FROM outbox ORDER BY seq LIMIT $1").bind(limit).fetch_all().await?;
    rows.iter()
        .map(|row| {
            let headers: String = row.get("headers")?;
            let payload: Vec<u8> = row.get("payload")?;
            Ok(Outgoing {
                seq: row.get("seq")?,
                created_at: row.get("created_at")?,
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

/// Removes events the bus has.
pub async fn delete(db: &Db, seqs: &[i64]) -> Result<(), DbError> {
    for chunk in seqs.chunks(MAX_LIST) {
        in_list(db.execute("DELETE FROM outbox WHERE seq IN"), chunk).execute().await?;
    }
    Ok(())
}

/// Returns roughly how many events wait, and since when the first does. It compares both ends, so gaps in between are counted too.
pub async fn depth(db: &Db) -> Result<(i64, Option<Timestamp>), DbError> {
    let sql = "SELECT seq, created_at, (SELECT seq FROM outbox ORDER BY seq DESC LIMIT 1) AS last FROM outbox ORDER BY seq LIMIT 1";
    let Some(row) = db.query(sql).fetch_optional().await? else { return Ok((0, None)) };
    let (first, last): (i64, i64) = (row.get("seq")?, row.get("last")?);
    Ok((last - first + 1, Some(row.get("created_at")?)))
}
