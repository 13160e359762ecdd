//! Outgoing events: written with the state change they describe, deleted once the bus has them.

use std::collections::BTreeMap;

use bytes::Bytes;
use nodkey_kernel::{
    error::chain,
    id::{EventId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::Event;
use nodkey_trace::traceparent;
use uuid::Uuid;

use crate::{
    Db, DbError, Message, Query, Row, Tx,
    fresh::{FreshEvent, Outgoing},
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

/// What a statement that inserts an entry returns: its sequence number, and those of the last older entry about the same thing and of the
/// last one that names nothing that it is about.
pub const RETURNING: &str = " RETURNING seq, \
    (SELECT MAX(older.seq) FROM outbox AS older WHERE older.key = outbox.key AND older.seq < outbox.seq) AS older, \
    (SELECT MAX(older.seq) FROM outbox AS older WHERE older.key = '' AND older.seq < outbox.seq) AS unnamed";

/// An event as the outbox stores it. Build it before a transaction that must be short.
#[derive(Clone, Debug)]
pub struct Entry {
    message: Message,
    created_at: Timestamp,
}

impl Entry {
    /// Builds an entry, which belongs to the current trace.
    #[must_use]
    pub fn new<E: Event>(event: &E, context: &EventContext) -> Self {
        let mut headers = BTreeMap::from([
            ("ce-type".to_owned(), E::SUBJECT.trim_start_matches("evt.").to_owned()),
            ("ce-time".to_owned(), context.now.to_string()),
            ("ce-version".to_owned(), context.version.to_string()),
        ]);
        if let Some(traceparent) = traceparent() {
            headers.insert("traceparent".to_owned(), traceparent);
        }
        let subject = format!("{}.{}.{}", E::SUBJECT, context.relying_party, event.key());
        let id = EventId::derive(context.now, &subject, context.version).as_uuid();
        let message = Message { id, subject, payload: event.encode_to_vec().into(), headers };
        Self { message, created_at: context.now }
    }

    /// Appends `INSERT INTO outbox … SELECT …`, which a condition may follow, and then [`RETURNING`]. Once it is executed, [`inserted`] has
    /// to be called.
    pub fn push_insert<'a>(&self, query: Query<'a>) -> Query<'a> {
        let Self { message, created_at } = self;
        query
            .push("INSERT INTO outbox (id, subject, payload, headers, created_at, key) SELECT ")
            .push_bind(message.id)
            .and_bind(message.subject.as_str())
            .and_bind(&message.payload[..])
            .and_bind(serde_json::to_string(&message.headers).unwrap_or_default())
            .and_bind(*created_at)
            .and_bind(message.key())
    }
}

/// Writes an event, to be sent once the transaction is committed.
pub async fn add<E: Event>(tx: &mut Tx, event: &E, context: &EventContext) -> Result<(), DbError> {
    insert(tx, &Entry::new(event, context)).await
}

/// Writes an entry that was built before.
pub async fn insert(tx: &mut Tx, entry: &Entry) -> Result<(), DbError> {
    let row = entry.push_insert(tx.query("")).push(RETURNING).fetch_one().await?;
    inserted(tx, entry, &row)
}

/// Lets the relay of this process publish an entry without reading it. `row` is what [`RETURNING`] returned.
pub fn inserted(tx: &mut Tx, entry: &Entry, row: &Row) -> Result<(), DbError> {
    let outgoing = Outgoing { seq: row.get("seq")?, created_at: entry.created_at, message: entry.message.clone() };
    tx.publish(FreshEvent { outgoing, after: [row.get("older")?, row.get("unnamed")?] });
    Ok(())
}

/// Writes an entry again that was written before; false when the bus does not have it yet.
pub async fn insert_again(tx: &mut Tx, entry: &Entry) -> Result<bool, DbError> {
    // SQLite reads ON CONFLICT after a SELECT only behind a condition.
    let query = entry.push_insert(tx.query("")).push(" WHERE TRUE ON CONFLICT DO NOTHING").push(RETURNING);
    let Some(row) = query.fetch_optional().await? else { return Ok(false) };
    inserted(tx, entry, &row)?;
    Ok(true)
}

/// Returns the oldest events, at most `limit`.
pub async fn batch(db: &Db, limit: i64) -> Result<Vec<Outgoing>, DbError> {
    Ok(batch_after(db, 0, limit).await?.into_iter().filter_map(Result::ok).collect())
}

/// A row that is no event.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its sequence number in the outbox.
    pub seq: i64,
    /// What is wrong with it.
    pub cause: String,
}

/// Returns the oldest events behind a sequence number, at most `limit`.
pub async fn batch_after(db: &Db, after: i64, limit: i64) -> Result<Vec<Result<Outgoing, Unreadable>>, DbError> {
    let rows = db
        .query("SELECT seq, id, subject, payload, headers, created_at FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter()
        .map(|row| {
            let seq = row.get("seq")?;
            Ok(outgoing(seq, row).map_err(|cause| Unreadable { seq, cause }))
        })
        .collect()
}

pub(crate) fn outgoing(seq: i64, row: &Row) -> Result<Outgoing, String> {
    let read = |e: DbError| chain(&e);
    let headers: String = row.get("headers").map_err(read)?;
    let payload: Vec<u8> = row.get("payload").map_err(read)?;
    let message = Message {
        id: row.get("id").map_err(read)?,
        subject: row.get("subject").map_err(read)?,
        payload: Bytes::from(payload),
        headers: serde_json::from_str(&headers).map_err(|e| format!("its headers cannot be read: {e}"))?,
    };
    Ok(Outgoing { seq, created_at: row.get("created_at").map_err(read)?, message })
}

/// Returns the events behind a sequence number, at most `limit`, each with what has to be published before it. Rows that are no event are
/// left out, and the second value says whether there were any, or there may be more.
pub async fn fresh_after(db: &Db, after: i64, limit: i64) -> Result<(Vec<FreshEvent>, bool), DbError> {
    let sql = "SELECT seq, id, subject, payload, headers, created_at, \
               (SELECT MAX(older.seq) FROM outbox AS older WHERE older.key = outbox.key AND older.seq < outbox.seq) AS older, \
               (SELECT MAX(older.seq) FROM outbox AS older WHERE older.key = '' AND older.seq < outbox.seq) AS unnamed \
               FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = db.query(sql).bind(after).bind(limit).fetch_all().await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Ok(outgoing) = outgoing(row.get("seq")?, row) {
            events.push(FreshEvent { outgoing, after: [row.get("older")?, row.get("unnamed")?] });
        }
    }
    let missed = events.len() < rows.len() || i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    Ok((events, missed))
}

/// Moves an event that can never be published to the dead letters, as one with this id that `service` gave up.
pub async fn give_up(db: &Db, service: &str, seq: i64, id: Uuid, cause: &str, now: Timestamp) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.query(
        "INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, cause, at) \
         SELECT $1, $2, subject, payload, headers, $3, $4 FROM outbox WHERE seq = $5 ON CONFLICT DO NOTHING",
    )
    .bind(format!("{service}_relay"))
    .bind(id)
    .bind(cause)
    .bind(now)
    .bind(seq)
    .execute()
    .await?;
    tx.query("DELETE FROM outbox WHERE seq = $1").bind(seq).execute().await?;
    tx.commit().await
}

/// Removes events the bus has.
pub async fn delete(db: &Db, seqs: &[i64]) -> Result<(), DbError> {
    for chunk in sorted(seqs).chunks(MAX_LIST) {
        within(db.execute(DELETE), chunk).execute().await?;
    }
    Ok(())
}

/// The same in a transaction.
pub async fn delete_in(tx: &mut Tx, seqs: &[i64]) -> Result<(), DbError> {
    for chunk in sorted(seqs).chunks(MAX_LIST) {
        within(tx.query(DELETE), chunk).execute().await?;
    }
    Ok(())
}

const DELETE: &str = "DELETE FROM outbox WHERE ";

pub(crate) fn sorted(seqs: &[i64]) -> Vec<i64> {
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    seqs
}

/// Appends the condition that the sequence number is one of these, which are sorted. A list alone would be looked for in the whole table by
/// a plan that was made while it was nearly empty, as it usually is.
pub(crate) fn within<'a>(query: Query<'a>, seqs: &[i64]) -> Query<'a> {
    let (first, last) = (seqs.first().copied().unwrap_or(0), seqs.last().copied().unwrap_or(0));
    in_list(query.push("seq >= ").push_bind(first).push(" AND seq <= ").push_bind(last).push(" AND seq IN"), seqs)
}

/// Returns roughly how many events wait, and since when the first does. It compares both ends, so gaps in between are counted too.
pub async fn depth(db: &Db) -> Result<(i64, Option<Timestamp>), DbError> {
    depth_after(db, 0).await
}

/// The same, of the events behind a sequence number.
pub async fn depth_after(db: &Db, after: i64) -> Result<(i64, Option<Timestamp>), DbError> {
    let sql = "SELECT seq, created_at, (SELECT seq FROM outbox ORDER BY seq DESC LIMIT 1) AS last FROM outbox WHERE seq > $1 \
               ORDER BY seq LIMIT 1";
    let Some(row) = db.query(sql).bind(after).fetch_optional().await? else { return Ok((0, None)) };
    let (first, last): (i64, i64) = (row.get("seq")?, row.get("last")?);
    Ok((last - first + 1, Some(row.get("created_at")?)))
}
