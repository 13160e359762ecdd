//! Events that were given up, stored with the cause in the database of the consumer that gave them up.

use bytes::Bytes;
use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{
    Db, DbError, Message, Query, Row, Tx,
    retention::{BATCH, Window, delete_between},
};

/// Counting stops here: that there are many is known by then.
const MOST_COUNTED: i64 = 10_000;

/// How the cause of an event begins whose publisher had not signed it. Other causes never begin so.
const REFUSED: &str = "refused: ";

/// An event that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Name of the consumer that gave it up.
    pub consumer: String,
    /// Identifier of the event.
    pub event_id: Uuid,
    /// Subject of the event.
    pub subject: String,
    /// Why it was given up.
    pub cause: String,
    /// When it was given up.
    pub at: Timestamp,
}

impl DeadLetter {
    /// Whether the event was refused because its publisher had not signed it. Nothing else of it was kept.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.cause.starts_with(REFUSED)
    }
}

/// Which dead letters to list. Empty text and `None` do not restrict the list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Name of the consumer.
    pub consumer: String,
    /// A subject, or its first words.
    pub subject: String,
    /// Given up at this time or later.
    pub since: Option<Timestamp>,
    /// Given up before this time.
    pub until: Option<Timestamp>,
}

/// A position in the list: the last letter of the previous page.
#[derive(Clone, Debug)]
pub struct Position {
    /// When it was given up.
    pub at: Timestamp,
    /// Identifier of its event.
    pub event_id: Uuid,
    /// Name of its consumer.
    pub consumer: String,
}

/// Stores what is kept of an event that nobody is known to have published: it must never take effect.
pub async fn add_refused(db: &Db, consumer: &str, message: &Message, why: &str, now: Timestamp) -> Result<(), DbError> {
    insert(db, consumer, message, &format!("{REFUSED}{why}"), now).await
}

/// Stores an event that a consumer gives up, unless it has had its effect meanwhile. Idempotent.
pub async fn add(db: &Db, consumer: &str, message: &Message, cause: &str, now: Timestamp) -> Result<(), DbError> {
    let cause = trusted(cause);
    insert(db, consumer, message, &cause, now).await
}

async fn insert(db: &Db, consumer: &str, message: &Message, cause: &str, now: Timestamp) -> Result<(), DbError> {
    db.execute(
        "INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, cause, at) \
         SELECT $1, $2, $3, $4, $5, $6, $7 \
         WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE consumer = $1 AND event_id = $2) ON CONFLICT DO NOTHING",
    )
    .bind(consumer)
    .bind(message.id)
    .bind(message.subject.as_str())
    .bind(&message.payload[..])
    .bind(serde_json::to_string(&message.headers).unwrap_or_default())
    .bind(cause)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Lists the most recent dead letters, newest first.
pub async fn list(db: &Db, limit: i64) -> Result<Vec<DeadLetter>, DbError> {
    let rows = db
        .query("SELECT consumer, event_id, subject, cause, at FROM dead_letter ORDER BY at DESC, event_id LIMIT $1")
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

/// Lists at most `limit` dead letters after a position, newest first.
pub async fn page(db: &Db, filter: &Filter, after: Option<&Position>, limit: i64) -> Result<Vec<DeadLetter>, DbError> {
    let Filter { consumer, subject, since, until } = filter;
    let mut query = db.query("SELECT consumer, event_id, subject, cause, at FROM dead_letter WHERE TRUE");
    if let Some(Position { at, event_id, consumer }) = after {
        query = query.push(" AND (at, event_id, consumer) < (").push_bind(*at).push(", ").push_bind(*event_id);
        query = query.push(", ").push_bind(consumer.as_str()).push(")");
    }
    if !consumer.is_empty() {
        query = query.push(" AND consumer = ").push_bind(consumer.as_str());
    }
    if !subject.is_empty() {
        // Whole words only; what follows them may be anything.
        let words = format!("{}.", subject.trim_end_matches('.'));
        let length = i64::try_from(words.chars().count()).unwrap_or(i64::MAX);
        query = query.push(" AND substr(subject || '.', 1, CAST(").push_bind(length).push(" AS INTEGER)) = ").push_bind(words);
    }
    query = bounded(bounded(query, " AND at >= ", *since), " AND at < ", *until);
    let rows = query.push(" ORDER BY at DESC, event_id DESC, consumer DESC LIMIT ").push_bind(limit).fetch_all().await?;
    rows.iter().map(read).collect()
}

fn bounded<'a>(query: Query<'a>, condition: &'static str, at: Option<Timestamp>) -> Query<'a> {
    match at {
        Some(at) => query.push(condition).push_bind(at),
        None => query,
    }
}

/// Returns a dead letter with its event.
pub async fn get(db: &Db, consumer: &str, event_id: Uuid) -> Result<Option<(DeadLetter, Message)>, DbError> {
    let query =
        db.query("SELECT consumer, event_id, subject, cause, at, payload, headers FROM dead_letter WHERE consumer = $1 AND event_id = $2");
    let Some(row) = query.bind(consumer).bind(event_id).fetch_optional().await? else { return Ok(None) };
    let letter = read(&row)?;
    let (payload, headers): (Vec<u8>, String) = (row.get("payload")?, row.get("headers")?);
    let message = Message {
        id: letter.event_id,
        subject: letter.subject.clone(),
        payload: Bytes::from(payload),
        headers: serde_json::from_str(&headers).unwrap_or_default(),
    };
    Ok(Some((letter, message)))
}

/// Removes a dead letter, in the transaction of its event's effect; false when there is none. Of two transactions that remove the same
/// letter, the second waits for the first.
pub async fn remove(tx: &mut Tx, consumer: &str, event_id: Uuid) -> Result<bool, DbError> {
    let delete = tx.query("DELETE FROM dead_letter WHERE consumer = $1 AND event_id = $2");
    Ok(delete.bind(consumer).bind(event_id).execute().await? == 1)
}

/// Deletes a dead letter without an effect; false when there is none.
pub async fn discard(db: &Db, consumer: &str, event_id: Uuid) -> Result<bool, DbError> {
    let delete = db.execute("DELETE FROM dead_letter WHERE consumer = $1 AND event_id = $2");
    Ok(delete.bind(consumer).bind(event_id).execute().await? == 1)
}

/// Replaces the cause of a dead letter: a replay was refused for another reason.
pub async fn explain(db: &Db, consumer: &str, event_id: Uuid, cause: &str) -> Result<(), DbError> {
    let cause = trusted(cause);
    let update = db.execute("UPDATE dead_letter SET cause = $3 WHERE consumer = $1 AND event_id = $2");
    update.bind(consumer).bind(event_id).bind(cause.as_str()).execute().await?;
    Ok(())
}

/// The cause for an event that was not refused, whatever its text.
fn trusted(cause: &str) -> String {
    if cause.starts_with(REFUSED) { format!("given up: {cause}") } else { cause.to_owned() }
}

fn read(row: &Row) -> Result<DeadLetter, DbError> {
    Ok(DeadLetter {
        consumer: row.get("consumer")?,
        event_id: row.get("event_id")?,
        subject: row.get("subject")?,
        cause: row.get("cause")?,
        at: row.get("at")?,
    })
}

/// Counts the dead letters, up to [`MOST_COUNTED`].
pub async fn count(db: &Db) -> Result<u32, DbError> {
    let counted = db.query("SELECT COUNT(*) AS letters FROM (SELECT event_id FROM dead_letter LIMIT $1) AS kept").bind(MOST_COUNTED);
    let row = counted.fetch_optional().await?;
    let letters: i64 = row.map_or(Ok(0), |row| row.get("letters"))?;
    Ok(u32::try_from(letters).unwrap_or(u32::MAX))
}

/// Deletes the dead letters whose events had their effect after all, marked before a time: the mark is about to go, and without it a replay
/// would repeat the effect.
pub(crate) async fn settle_before(db: &Db, before: Timestamp) -> Result<(), DbError> {
    let delete = db.execute(
        "DELETE FROM dead_letter WHERE EXISTS (SELECT 1 FROM inbox WHERE inbox.consumer = dead_letter.consumer \
         AND inbox.event_id = dead_letter.event_id AND inbox.seen_at < $1)",
    );
    delete.bind(before).execute().await?;
    Ok(())
}

/// Deletes some of the dead letters in a window. Returns how many.
pub async fn prune(db: &Db, window: Window) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(at) AS first, MAX(at) AS last FROM \
         (SELECT at FROM dead_letter WHERE at >= $1 AND at < $2 ORDER BY at LIMIT $3) AS oldest",
    );
    let delete = "DELETE FROM dead_letter WHERE at >= $1 AND at <= $2";
    delete_between(db, oldest.bind(window.from).bind(window.before).bind(BATCH), delete).await
}
