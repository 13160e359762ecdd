//! Stored responses: the same request id and content get the same response, and nothing happens twice.

use nodkey_kernel::{
    error::{Classify, Kind},
    id::RelyingPartyId,
    time::Timestamp,
};

use crate::{
    Db, DbError, Query, Tx,
    retention::{BATCH, delete_between},
};

/// Identifies a request.
#[derive(Clone, Debug)]
pub struct RequestKey<'a> {
    /// The relying party that made it.
    pub relying_party: RelyingPartyId,
    /// The operation it requests.
    pub operation: &'static str,
    /// The caller's identifier for it.
    pub request_id: &'a str,
    /// SHA-256 of its content.
    pub request_hash: [u8; 32],
}

/// A response to store with its effect.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The request that it answers.
    pub key: RequestKey<'a>,
    /// The response, sealed.
    pub response: Vec<u8>,
    /// When it was made.
    pub now: Timestamp,
}

impl Kept<'_> {
    /// Appends `INSERT INTO idempotency … SELECT …`, which a condition may follow, and then `ON CONFLICT DO NOTHING`.
    pub fn push_insert<'a>(&self, query: Query<'a>) -> Query<'a> {
        query
            .push("INSERT INTO idempotency (relying_party_id, operation, request_id, request_hash, response, created_at) SELECT ")
            .push_bind(self.key.relying_party.as_uuid())
            .and_bind(self.key.operation)
            .and_bind(self.key.request_id)
            .and_bind(&self.key.request_hash[..])
            .and_bind(&self.response[..])
            .and_bind(self.now)
    }
}

/// Whether a request was seen before.
#[derive(Debug)]
pub enum Lookup {
    /// Not yet.
    New,
    /// Seen; this was the response, sealed.
    Replay(Vec<u8>),
}

/// A request id cannot be looked up or used.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// It was used with different content.
    #[error("this request id was used with different content; use a new one")]
    Mismatch,
    /// It was answered, but the response is sealed under a master key that is gone.
    #[error("this request was already completed, but its response can no longer be read; check its effect, and use a new request id")]
    Lost,
    /// Concurrent requests for the same operation kept winning; a retry may succeed soon.
    #[error("the same request is being made repeatedly; try again soon")]
    Raced,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Classify for IdempotencyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Mismatch => Kind::Invalid,
            Self::Lost => Kind::Conflict,
            Self::Raced => Kind::Unavailable,
            Self::Db(e) => e.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Mismatch => "REQUEST_ID_REUSED",
            Self::Lost => "ANSWER_LOST",
            Self::Raced => "RACED",
            Self::Db(e) => e.reason(),
        }
    }
}

/// Looks a request up.
pub async fn lookup(db: &Db, key: &RequestKey<'_>) -> Result<Lookup, IdempotencyError> {
    let row = db
        .query("SELECT request_hash, response FROM idempotency WHERE relying_party_id = $1 AND operation = $2 AND request_id = $3")
        .bind(key.relying_party.as_uuid())
        .bind(key.operation)
        .bind(key.request_id)
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(Lookup::New) };
    let hash: Vec<u8> = row.get("request_hash")?;
    if hash != key.request_hash {
        return Err(IdempotencyError::Mismatch);
    }
    Ok(Lookup::Replay(row.get("response")?))
}

/// Stores a response with its effect. Returns false when a concurrent request was first: roll back and look it up.
pub async fn store(tx: &mut Tx, kept: &Kept<'_>) -> Result<bool, DbError> {
    // SQLite reads ON CONFLICT after a SELECT only behind a condition.
    Ok(kept.push_insert(tx.query("")).push(" WHERE TRUE ON CONFLICT DO NOTHING").execute().await? == 1)
}

/// Deletes some of the responses older than a time. Returns how many.
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(created_at) AS first, MAX(created_at) AS last FROM (SELECT created_at FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2) AS oldest",
    );
    let delete = "DELETE FROM idempotency WHERE created_at >= $1 AND created_at <= $2";
    delete_between(db, oldest.bind(before).bind(BATCH), delete).await
}
