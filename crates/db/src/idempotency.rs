//! Stored responses: the same request id and content get the same response, and nothing happens twice.

use nodkey_kernel::{
    error::{Classify, Kind},
    id::RelyingPartyId,
    time::Timestamp,
};

use crate::{
    Db, DbError, Tx,
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

/// Stores the sealed response with its effect. Returns false when a concurrent request was first: roll back and look it up.
pub async fn store(tx: &mut Tx, key: &RequestKey<'_>, response: &[u8], now: Timestamp) -> Result<bool, DbError> {
    let inserted = tx
        .query(
            "INSERT INTO idempotency (relying_party_id, operation, request_id, request_hash, response, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(key.relying_party.as_uuid())
        .bind(key.operation)
        .bind(key.request_id)
        .bind(&key.request_hash[..])
        .bind(response)
        .bind(now)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Deletes some of the responses older than a time. Returns how many.
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    let oldest = db.query(
        "SELECT MIN(created_at) AS first, MAX(created_at) AS last FROM (SELECT created_at FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2) AS oldest",
    );
    let delete = "DELETE FROM idempotency WHERE created_at >= $1 AND created_at <= $2";
    delete_between(db, oldest.bind(before).bind(BATCH), delete).await
}
