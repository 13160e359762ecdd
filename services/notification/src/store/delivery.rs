//! Rows of deliveries and their attempts.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use crate::domain::{Attempt, Delivery, State};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, relying_party_id, trusonafication_id, event_type, endpoint_id, url, body, state, attempt_count, \
             next_attempt_at, created_at, version FROM delivery ",
            $rest
        )
    };
}

/// Inserts.
pub async fn insert(tx: &mut Tx, delivery: &Delivery) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO delivery (id, relying_party_id, trusonafication_id, event_type, endpoint_id, url, body, state, attempt_count, \
         next_attempt_at, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(delivery.id.as_uuid())
    .bind(delivery.relying_party.as_uuid())
    .bind(delivery.trusonafication.as_uuid())
    .bind(delivery.event_type.as_str())
    .bind(delivery.endpoint.map(|id| id.as_uuid()))
    .bind(delivery.url.as_str())
    .bind(delivery.body.as_str())
    .bind(name(delivery.state))
    .bind(delivery.attempt_count)
    .bind(delivery.next_attempt_at)
    .bind(delivery.created_at)
    .bind(delivery.version)
    .execute()
    .await?;
    Ok(())
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, delivery: &Delivery) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE delivery SET state = $1, attempt_count = $2, next_attempt_at = $3, version = $4 \
             WHERE relying_party_id = $5 AND id = $6 AND version = $4 - 1",
        )
        .bind(name(delivery.state))
        .bind(delivery.attempt_count)
        .bind(delivery.next_attempt_at)
        .bind(delivery.version)
        .bind(delivery.relying_party.as_uuid())
        .bind(delivery.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let query = db.query(select!("WHERE relying_party_id = $1 AND id = $2"));
    query.bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()
}

/// Returns what is due, whosever it is, longest due first.
pub async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Delivery>, Failure> {
    all(db.query(select!("WHERE state = 'pending' AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2")).bind(now).bind(limit))
        .await
}

/// Gives up whatever is still to be sent to an endpoint that is gone.
pub async fn give_up(tx: &mut Tx, party: RelyingPartyId, endpoint: EndpointId) -> Result<(), Failure> {
    tx.query(
        "UPDATE delivery SET state = 'exhausted', version = version + 1 \
         WHERE relying_party_id = $1 AND endpoint_id = $2 AND state = 'pending'",
    )
    .bind(party.as_uuid())
    .bind(endpoint.as_uuid())
    .execute()
    .await?;
    Ok(())
}

/// Which to list: newest first, what comes after `at` and `id`.
#[derive(Debug)]
pub struct Listing {
    /// In this state; `None`: any.
    pub state: Option<State>,
    /// About this one; `None`: any.
    pub trusonafication: Option<TrusonaficationId>,
    /// Before this moment.
    pub at: Timestamp,
    /// Or at it and below this id.
    pub id: Uuid,
    /// At most so many.
    pub limit: i64,
}

/// Lists.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing) -> Result<Vec<Delivery>, Failure> {
    all(db
        .query(select!(
            "WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) AND ($4 = '' OR state = $4) \
             AND ($5 IS NULL OR trusonafication_id = $5) ORDER BY created_at DESC, id DESC LIMIT $6"
        ))
        .bind(party.as_uuid())
        .bind(listing.at)
        .bind(listing.id)
        .bind(listing.state.map_or("", name))
        .bind(listing.trusonafication.map(|id| id.as_uuid()))
        .bind(listing.limit))
    .await
}

/// Inserts an attempt.
pub async fn insert_attempt(tx: &mut Tx, delivery: DeliveryId, attempt: &Attempt) -> Result<(), Failure> {
    tx.query("INSERT INTO attempt (delivery_id, number, started_at, duration_ms, status_code, error) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(delivery.as_uuid())
        .bind(attempt.number)
        .bind(attempt.started_at)
        .bind(attempt.duration_ms)
        .bind(attempt.status_code)
        .bind(attempt.error.as_str())
        .execute()
        .await?;
    Ok(())
}

/// Returns the attempts of one, oldest first.
pub async fn attempts(db: &Db, delivery: DeliveryId) -> Result<Vec<Attempt>, Failure> {
    let sql = "SELECT number, started_at, duration_ms, status_code, error FROM attempt WHERE delivery_id = $1 ORDER BY number";
    let rows = db.query(sql).bind(delivery.as_uuid()).fetch_all().await?;
    let read = |row: &Row| -> Result<Attempt, DbError> {
        Ok(Attempt {
            number: row.get("number")?,
            started_at: row.get("started_at")?,
            duration_ms: row.get("duration_ms")?,
            status_code: row.get("status_code")?,
            error: row.get("error")?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

async fn all(query: Query<'_>) -> Result<Vec<Delivery>, Failure> {
    query.fetch_all().await?.iter().map(read).collect()
}

const fn name(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Succeeded => "succeeded",
        State::Exhausted => "exhausted",
    }
}

fn read(row: &Row) -> Result<Delivery, Failure> {
    let state = match row.get::<String>("state")?.as_str() {
        "pending" => State::Pending,
        "succeeded" => State::Succeeded,
        "exhausted" => State::Exhausted,
        _ => return Err(Failure::Internal("a delivery's row holds a state nobody writes")),
    };
    Ok(Delivery {
        id: DeliveryId::from_uuid(row.get("id")?),
        relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
        trusonafication: TrusonaficationId::from_uuid(row.get("trusonafication_id")?),
        event_type: row.get("event_type")?,
        endpoint: row.get::<Option<Uuid>>("endpoint_id")?.map(EndpointId::from_uuid),
        url: row.get("url")?,
        body: row.get("body")?,
        state,
        attempt_count: row.get("attempt_count")?,
        next_attempt_at: row.get("next_attempt_at")?,
        created_at: row.get("created_at")?,
        version: row.get("version")?,
    })
}
