//! Rows of deliveries and their attempts.

use nodkey_db::{Db, DbError, Query, Record, Row, Tx};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    page::Listed,
    rows::{key, listed, readable},
};
use uuid::Uuid;

use crate::{
    domain::{Attempt, Delivery, EventType, State, Subject},
    invariants,
};

const TABLE: &str = "delivery";
/// The columns of a row except its body, which may be large and is only read for sending.
const COLUMNS: &str = "id, relying_party_id, trusonafication_id, subject, event_type, endpoint_id, lane, url, state, attempt_count, \
    attempts_before, next_attempt_at, occurred_at, created_at, version, traceparent";

/// Inserts a delivery.
pub async fn insert(tx: &mut Tx, delivery: &Delivery) -> Result<bool, Failure> {
    invariants::check_delivery(delivery)?;
    let (trusonafication, subject) = columns(&delivery.subject);
    let insert = tx.query("INSERT INTO delivery (").push(COLUMNS).push(", body)");
    let insert = insert
        .push(" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17")
        // Deliveries of earlier releases have other ids.
        .push(" WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE trusonafication_id = $3 AND event_type = $5")
        .push(" AND (endpoint_id = $6 OR (endpoint_id IS NULL AND $6 IS NULL))) ON CONFLICT DO NOTHING")
        .bind(delivery.id.as_uuid())
        .bind(delivery.relying_party.as_uuid())
        .bind(trusonafication.map(|id| id.as_uuid()))
        .bind(subject.as_deref())
        .bind(delivery.event_type.as_str())
        .bind(delivery.endpoint.map(|id| id.as_uuid()))
        .bind(delivery.queue.as_str())
        .bind(delivery.url.as_str())
        .bind(delivery.state.as_str())
        .bind(delivery.attempt_count)
        .bind(delivery.attempts_before)
        .bind(delivery.next_attempt_at)
        .bind(delivery.occurred_at)
        .bind(delivery.created_at)
        .bind(delivery.version)
        .bind(delivery.traceparent.as_deref())
        .bind(delivery.body.as_str());
    Ok(insert.execute().await? == 1)
}

/// Updates the previous version; false if a concurrent change was first.
///
/// Looks up by id alone: with a plan kept from when the table was empty, PostgreSQL would search among all deliveries of the relying party.
pub async fn update(tx: &mut Tx, delivery: &Delivery) -> Result<bool, Failure> {
    invariants::check_delivery(delivery)?;
    let query = tx.query("UPDATE delivery SET state = ").push_bind(delivery.state.as_str()).push(", attempt_count = ");
    let query = query.push_bind(delivery.attempt_count).push(", attempts_before = ").push_bind(delivery.attempts_before);
    let query = query.push(", next_attempt_at = ").push_bind(delivery.next_attempt_at).push(", version = ");
    let query = query.push_bind(delivery.version).push(" WHERE id = ").push_bind(delivery.id.as_uuid());
    Ok(query.push(" AND version = ").push_bind(delivery.version - 1).execute().await? == 1)
}

/// Returns a delivery, without its body.
pub async fn get(db: &Db, party: RelyingPartyId, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let query = db.query("SELECT ").push(COLUMNS).push(" FROM delivery WHERE id = ").push_bind(id.as_uuid());
    let query = query.push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE");
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Returns what is sent by one that [`get`] found.
pub async fn body(db: &Db, id: DeliveryId) -> Result<String, Failure> {
    let found = db.query("SELECT body FROM delivery WHERE id = $1").bind(id.as_uuid()).fetch_optional().await?;
    Ok(found.map(|row| row.of(TABLE, id).get("body")).transpose()?.unwrap_or_default())
}

/// Returns the receiver queues after `after` with due deliveries, in order. It jumps from queue to queue, so the cost is the number of
/// queues with pending deliveries, not the number of deliveries. With EXISTS, PostgreSQL would rather read everything that is due while
/// that is little.
pub async fn queues(db: &Db, after: &str, now: Timestamp, limit: i64) -> Result<Vec<String>, Failure> {
    let rows = db
        .query(
            "WITH RECURSIVE waiting (lane) AS ( \
               SELECT (SELECT lane FROM delivery WHERE state = 'pending' AND lane > $1 ORDER BY lane LIMIT 1) \
               UNION ALL \
               SELECT (SELECT d.lane FROM delivery d WHERE d.state = 'pending' AND d.lane > waiting.lane ORDER BY d.lane LIMIT 1) \
               FROM waiting WHERE waiting.lane IS NOT NULL \
             ) SELECT lane FROM waiting WHERE (SELECT d.lane FROM delivery d WHERE d.state = 'pending' AND d.lane = waiting.lane \
             AND d.next_attempt_at <= $2 LIMIT 1) IS NOT NULL LIMIT $3",
        )
        .bind(after)
        .bind(now)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.iter().map(|row| row.get("lane")).collect::<Result<_, _>>()?)
}

/// Reserves due deliveries of a receiver queue until `until`, longest due first. Concurrent replicas get different ones. An unreadable
/// delivery is reserved too, and so does not block others.
pub async fn claim(db: &Db, queue: &str, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Delivery>, Failure> {
    let query = db.execute("UPDATE delivery SET next_attempt_at = ").push_bind(until);
    // By version: of two replicas that find the same rows, the second finds them changed.
    let query = query.push(", version = version + 1 WHERE (id, version) IN (SELECT id, version FROM delivery ");
    let query = query.push("WHERE state = 'pending' AND lane = ").push_bind(queue).push(" AND next_attempt_at <= ").push_bind(now);
    let query = query.push(" ORDER BY next_attempt_at LIMIT ").push_bind(limit).push(") RETURNING body, ").push(COLUMNS);
    Ok(query.fetch_all().await?.iter().filter_map(|row| readable(read_whole(row))).collect())
}

/// Renews a reservation; false if it expired and another process took the delivery.
pub async fn renew(db: &Db, delivery: &Delivery, until: Timestamp) -> Result<bool, Failure> {
    let query = db.execute("UPDATE delivery SET next_attempt_at = $1 WHERE id = $2 AND version = $3").bind(until);
    Ok(query.bind(delivery.id.as_uuid()).bind(delivery.version).execute().await? == 1)
}

/// A range of deliveries to redeliver.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Start of the range, inclusive.
    pub since: Timestamp,
    /// End of the range, exclusive.
    pub until: Timestamp,
    /// Only deliveries to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Also those that succeeded.
    pub include_succeeded: bool,
}

/// Returns the positions of finished deliveries in a range, oldest first, after a position.
pub async fn finished(
    db: &Db,
    party: RelyingPartyId,
    range: &Range,
    after: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<(Timestamp, DeliveryId)>, Failure> {
    let query = db.query("SELECT id, created_at FROM delivery WHERE relying_party_id = ").push_bind(party.as_uuid());
    let query = query.push(" AND (created_at, id) > (").push_bind(after.0).push(", ").push_bind(after.1).push(")");
    let mut query = query.push(" AND created_at < ").push_bind(range.until);
    if let Some(endpoint) = range.endpoint {
        query = query.push(" AND endpoint_id = ").push_bind(endpoint.as_uuid());
    }
    let query = query.push(if range.include_succeeded { " AND state <> 'pending'" } else { " AND state = 'exhausted'" });
    let rows = query.push(" ORDER BY created_at, id LIMIT ").push_bind(limit).fetch_all().await?;
    let read = |row: &Row| -> Result<(Timestamp, DeliveryId), DbError> {
        let record = row.of(TABLE, key(row, "id"));
        Ok((record.get("created_at")?, DeliveryId::from_uuid(record.get("id")?)))
    };
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// Redelivers a delivery that [`finished`] returned; false if it is no longer finished.
pub async fn again(tx: &mut Tx, id: DeliveryId, now: Timestamp) -> Result<bool, Failure> {
    let sql = "UPDATE delivery SET state = 'pending', next_attempt_at = $1, attempts_before = attempt_count, version = version + 1 \
               WHERE id = $2 AND state <> 'pending'";
    Ok(tx.query(sql).bind(now).bind(id.as_uuid()).execute().await? == 1)
}

/// Gives up the pending deliveries of a relying party, in all of its queues: `0` comes right after `/`.
pub async fn withdraw(tx: &mut Tx, party: RelyingPartyId, now: Timestamp) -> Result<(), Failure> {
    let query = tx.query("UPDATE delivery SET state = 'exhausted', next_attempt_at = ").push_bind(now);
    let query = query.push(", version = version + 1 WHERE state = 'pending' AND lane > ").push_bind(format!("{party}/"));
    query.push(" AND lane < ").push_bind(format!("{party}0")).execute().await?;
    Ok(())
}

/// Returns the number of pending deliveries of all relying parties, and since when the oldest is pending.
pub async fn waiting(db: &Db) -> Result<(i64, Option<Timestamp>), Failure> {
    let row = db.query("SELECT count(*) AS waiting, min(created_at) AS oldest FROM delivery WHERE state = 'pending'").fetch_one().await?;
    Ok((row.get("waiting")?, row.get("oldest")?))
}

/// What to list: what follows the position of `at` and `id` in the requested order.
#[derive(Debug)]
pub struct Listing {
    /// Only in this state; `None`: any.
    pub state: Option<State>,
    /// Only about this subject; `None`: any.
    pub subject: Option<Subject>,
    /// Only to this endpoint; `None`: any.
    pub endpoint: Option<EndpointId>,
    /// Created at this time or later.
    pub from: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
    /// Created before this time; with `oldest_first`, after it,
    pub at: Timestamp,
    /// or at this time with a smaller id; with `oldest_first`, a greater one.
    pub id: Uuid,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// Maximum number of deliveries.
    pub size: i64,
}

impl Listing {
    /// Those of any kind that were created before `at`, newest first.
    pub fn newest(at: Timestamp, size: i64) -> Self {
        let (state, subject, endpoint, from, until) = (None, None, None, None, None);
        Self { state, subject, endpoint, from, until, at, id: Uuid::max(), oldest_first: false, size }
    }
}

/// Lists deliveries, without bodies.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing) -> Result<Listed<Delivery>, Failure> {
    let query = db.query("SELECT ").push(COLUMNS).push(" FROM delivery WHERE ");
    let query = match listing.subject.as_ref().map(columns) {
        Some((Some(trusonafication), _)) => of(query.push("trusonafication_id = ").push_bind(trusonafication.as_uuid()), party),
        Some((None, subject)) => of(query.push("subject = ").push_bind(subject.as_deref()), party),
        None => query.push("relying_party_id = ").push_bind(party.as_uuid()),
    };
    let query = query.push(if listing.oldest_first { " AND (created_at, id) > (" } else { " AND (created_at, id) < (" });
    let mut query = query.push_bind(listing.at).push(", ").push_bind(listing.id).push(")");
    if let Some(state) = listing.state {
        query = query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(endpoint) = listing.endpoint {
        query = query.push(" AND endpoint_id = ").push_bind(endpoint.as_uuid());
    }
    if let Some(from) = listing.from {
        query = query.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(until) = listing.until {
        query = query.push(" AND created_at < ").push_bind(until);
    }
    let order = if listing.oldest_first { " ORDER BY created_at, id LIMIT " } else { " ORDER BY created_at DESC, id DESC LIMIT " };
    let query = query.push(order).push_bind(listing.size + 1);
    Ok(listed(listing.size, &query.fetch_all().await?, "created_at", read))
}

/// Inserts an attempt.
pub async fn insert_attempt(tx: &mut Tx, delivery: DeliveryId, attempt: &Attempt) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO attempt (delivery_id, number, started_at, duration_ms, status_code, error, response) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(delivery.as_uuid())
    .bind(attempt.number)
    .bind(attempt.started_at)
    .bind(attempt.duration_ms)
    .bind(attempt.status_code)
    .bind(attempt.error.as_str())
    .bind(attempt.response.as_str())
    .execute()
    .await?;
    Ok(())
}

/// Returns the attempts of a delivery, oldest first.
pub async fn attempts(db: &Db, delivery: DeliveryId) -> Result<Vec<Attempt>, Failure> {
    let sql = "SELECT number, started_at, duration_ms, status_code, error, response FROM attempt WHERE delivery_id = $1 ORDER BY number";
    let rows = db.query(sql).bind(delivery.as_uuid()).fetch_all().await?;
    let read = |row: &Row| -> Result<Attempt, DbError> {
        let record = row.of("attempt", format_args!("of delivery {delivery}"));
        Ok(Attempt {
            number: record.get("number")?,
            started_at: record.get("started_at")?,
            duration_ms: record.get("duration_ms")?,
            status_code: record.get("status_code")?,
            error: record.get("error")?,
            response: record.get("response")?,
        })
    };
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// Reads a row with its body.
fn read_whole(row: &Row) -> Result<Delivery, DbError> {
    let delivery = read(row)?;
    Ok(Delivery { body: row.of(TABLE, delivery.id).get("body")?, ..delivery })
}

fn read(row: &Row) -> Result<Delivery, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let delivery = Delivery {
        id: DeliveryId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        subject: subject(&record)?,
        event_type: record.convert("event_type", |name: String| EventType::try_from(name.as_str()))?,
        endpoint: record.get::<Option<Uuid>>("endpoint_id")?.map(EndpointId::from_uuid),
        queue: record.get("lane")?,
        url: record.get("url")?,
        body: String::new(),
        state: record.convert("state", |name: String| State::try_from(name.as_str()))?,
        attempt_count: record.get("attempt_count")?,
        attempts_before: record.get("attempts_before")?,
        next_attempt_at: record.get("next_attempt_at")?,
        occurred_at: record.get("occurred_at")?,
        created_at: record.get("created_at")?,
        version: record.get("version")?,
        traceparent: record.get("traceparent")?,
    };
    invariants::check_delivery(&delivery)?;
    Ok(delivery)
}

/// Restricts the result to the relying party.
fn of(query: Query<'_>, party: RelyingPartyId) -> Query<'_> {
    query.push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// The subject as columns: a trusonafication by its id, anything else by its kind and id.
fn columns(subject: &Subject) -> (Option<TrusonaficationId>, Option<String>) {
    match subject {
        Subject::Trusonafication(id) => (Some(*id), None),
        other => (None, Some(other.to_string())),
    }
}

fn subject(record: &Record<'_>) -> Result<Subject, DbError> {
    match record.get::<Option<Uuid>>("trusonafication_id")? {
        Some(id) => Ok(Subject::Trusonafication(TrusonaficationId::from_uuid(id))),
        None => record.convert("subject", |text: String| text.parse()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use nodkey_db::DbConfig;
    use nodkey_kernel::random::Random;
    use nodkey_runtime::Service as _;
    use nodkey_testkit::TestDatabase;

    use super::*;
    use crate::{Notification, queues::queue};

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const LEASE: Duration = Duration::from_secs(10);

    async fn database(database: &TestDatabase) -> Db {
        let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&Notification::migrations().unwrap()).await.unwrap();
        db
    }

    /// Inserts the given number of deliveries for each receiver, due at `NOW` and later, a second apart.
    async fn fill(db: &Db, queues: &[(&str, u64)]) -> RelyingPartyId {
        let random = Random::seeded(1);
        let party = RelyingPartyId::generate(NOW, &random);
        let mut tx = db.begin().await.unwrap();
        for (receiver, count) in queues {
            for number in 0..*count {
                let delivery = Delivery {
                    id: DeliveryId::generate(NOW, &random),
                    relying_party: party,
                    subject: Subject::Trusonafication(TrusonaficationId::generate(NOW, &random)),
                    event_type: EventType::Accepted,
                    endpoint: None,
                    queue: queue(party, receiver),
                    url: "https://example.com".into(),
                    body: "{}".into(),
                    state: State::Pending,
                    attempt_count: 0,
                    attempts_before: 0,
                    next_attempt_at: NOW + Duration::from_secs(number),
                    occurred_at: NOW,
                    created_at: NOW,
                    version: 1,
                    traceparent: None,
                };
                insert(&mut tx, &delivery).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        party
    }

    async fn replicas_that_reserve_at_once_get_each_delivery_once(db: Db) {
        let (count, later) = (200, NOW + Duration::from_hours(1));
        let queue = queue(fill(&db, &[("x", count)]).await, "x");
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (db, queue) = (db.clone(), queue.clone());
            replicas.spawn(async move {
                let mut mine = Vec::new();
                // A replica that lost the same few rows gets none of them: only an empty queue is the end.
                while waiting_in(&db, &queue, later).await {
                    mine.extend(claim(&db, &queue, later, later + LEASE, 7).await.unwrap().into_iter().map(|d| d.id));
                }
                mine
            });
        }
        let claimed: Vec<_> = replicas.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len() as u64, count);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len() as u64, count);
        // An expired reservation is free for anyone.
        assert_eq!(claim(&db, &queue, later + LEASE, later + 2 * LEASE, 7).await.unwrap().len(), 7);
    }

    async fn waiting_in(db: &Db, queue: &str, now: Timestamp) -> bool {
        queues(db, "", now, 10).await.unwrap().iter().any(|l| l == queue)
    }

    async fn lanes_are_those_in_which_something_is_due_from_any_on(db: Db) {
        let party = fill(&db, &[("a", 1), ("b", 3), ("c", 1)]).await;
        let [a, b, c] = ["a", "b", "c"].map(|receiver| queue(party, receiver));
        assert_eq!(queues(&db, "", NOW, 10).await.unwrap(), [a.clone(), b.clone(), c.clone()]);
        assert_eq!(queues(&db, "", NOW, 2).await.unwrap(), [a.clone(), b.clone()]);
        assert_eq!(queues(&db, &a, NOW, 10).await.unwrap(), [b.clone(), c.clone()]);
        let first = claim(&db, &b, NOW, NOW + LEASE, 10).await.unwrap();
        assert_eq!(first.len(), 1, "the others are due later");
        assert_eq!(queues(&db, "", NOW, 10).await.unwrap(), [a, c]);
        assert!(waiting_in(&db, &b, NOW + Duration::from_secs(1)).await);
        assert!(renew(&db, &first[0], NOW + 2 * LEASE).await.unwrap());
        let again = claim(&db, &b, NOW + 3 * LEASE, NOW + 4 * LEASE, 10).await.unwrap();
        assert_eq!(again.len(), 3);
        assert!(!renew(&db, &first[0], NOW + 4 * LEASE).await.unwrap(), "it ran out, and another took it");
    }

    nodkey_testkit::on_both_engines! {
    database =>
        replicas_that_reserve_at_once_get_each_delivery_once,
        lanes_are_those_in_which_something_is_due_from_any_on,
    }
}
