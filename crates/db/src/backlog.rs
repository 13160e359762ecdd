//! Events that a consumer in the same process could not take. The service that publishes them keeps a copy for each such consumer, so that
//! neither its outbox nor another consumer waits for one that is stuck.

use nodkey_kernel::time::Timestamp;

use crate::{
    Db, DbError, Outgoing, Tx,
    outbox::{Unreadable, outgoing, sorted, within},
    retention::MAX_LIST,
};

/// Copies events of the outbox for a consumer, unless it has them already. Returns how many.
pub async fn add(tx: &mut Tx, consumer: &str, seqs: &[i64]) -> Result<u64, DbError> {
    let mut added = 0;
    for chunk in sorted(seqs).chunks(MAX_LIST) {
        let copy = tx
            .query("INSERT INTO backlog (consumer, seq, id, subject, payload, headers, created_at, key) SELECT ")
            .push_bind(consumer)
            .push(", seq, id, subject, payload, headers, created_at, key FROM outbox WHERE ");
        added += within(copy, chunk).push(" ON CONFLICT DO NOTHING").execute().await?;
    }
    Ok(added)
}

/// Removes events that a consumer has handled. Returns how many.
pub async fn remove(tx: &mut Tx, consumer: &str, seqs: &[i64]) -> Result<u64, DbError> {
    let mut removed = 0;
    for chunk in sorted(seqs).chunks(MAX_LIST) {
        let delete = tx.query("DELETE FROM backlog WHERE consumer = $1 AND ").bind(consumer);
        removed += within(delete, chunk).execute().await?;
    }
    Ok(removed)
}

/// Returns the consumers for which events are kept, and how many.
pub async fn consumers(db: &Db) -> Result<Vec<(String, i64)>, DbError> {
    let rows = db.query("SELECT consumer, COUNT(*) AS events FROM backlog GROUP BY consumer ORDER BY consumer").fetch_all().await?;
    rows.iter().map(|row| Ok((row.get("consumer")?, row.get("events")?))).collect()
}

/// Returns the oldest events of a consumer behind a sequence number, at most `limit`.
pub async fn batch_after(db: &Db, consumer: &str, after: i64, limit: i64) -> Result<Vec<Result<Outgoing, Unreadable>>, DbError> {
    let sql = "SELECT seq, id, subject, payload, headers, created_at FROM backlog WHERE consumer = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let rows = db.query(sql).bind(consumer).bind(after).bind(limit).fetch_all().await?;
    rows.iter()
        .map(|row| {
            let seq = row.get("seq")?;
            Ok(outgoing(seq, row).map_err(|cause| Unreadable { seq, cause }))
        })
        .collect()
}

/// Returns since when the oldest event waits for a consumer.
pub async fn oldest(db: &Db, consumer: &str) -> Result<Option<Timestamp>, DbError> {
    let row = db.query("SELECT created_at FROM backlog WHERE consumer = $1 ORDER BY seq LIMIT 1").bind(consumer).fetch_optional().await?;
    row.map(|row| row.get("created_at")).transpose()
}

/// Puts all events back into the outbox, in order: the consumers are no longer in this process. Returns how many.
pub async fn put_back(db: &Db) -> Result<u64, DbError> {
    // Usually there are none, and nothing is written.
    if db.query("SELECT seq FROM backlog LIMIT 1").fetch_optional().await?.is_none() {
        return Ok(0);
    }
    let mut tx = db.begin_large().await?;
    let put = "INSERT INTO outbox (id, subject, payload, headers, created_at, key) \
               SELECT id, subject, payload, headers, created_at, key FROM backlog WHERE TRUE ORDER BY seq ON CONFLICT DO NOTHING";
    let put = tx.query(put).execute().await?;
    tx.query("DELETE FROM backlog").execute().await?;
    tx.commit().await?;
    Ok(put)
}
