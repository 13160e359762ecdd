//! Idempotent requests: the same request id and content have one effect and one response.

use nodkey_db::{
    Db, DbError, Tx,
    idempotency::{self, IdempotencyError, Kept, Lookup, RequestKey},
};
use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    id::RelyingPartyId,
    random::Random,
    time::Clock,
    vault::Vault,
};
use prost::Message;

use crate::call::received::digest;

/// Maximum number of attempts when concurrent requests interfere.
const ATTEMPTS: usize = 8;
/// Maximum number of characters of a request id.
const MAX_ID: usize = 128;

/// A request that may be repeated.
#[derive(Clone, Debug)]
pub struct Request {
    relying_party: RelyingPartyId,
    operation: &'static str,
    id: String,
    hash: [u8; 32],
}

/// The store of responses. They may contain secrets, so they are sealed.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// The database that the effects are written to.
    pub db: &'a Db,
    /// Vault that seals responses.
    pub vault: &'a Vault,
    /// Randomness for sealing.
    pub random: &'a Random,
    /// Clock for the age of responses.
    pub clock: &'a Clock,
}

/// The request id is too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request id is too long")]
pub struct InvalidRequestId;

impl Classify for InvalidRequestId {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn reason(&self) -> &'static str {
        "VALIDATION_FAILED"
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        vec![FieldViolation::new("request_id", "must be at most 128 characters")]
    }
}

impl Request {
    /// Identifies a request by the id that `request_id` finds in it; `None` without one. Its content is what was received, including
    /// anything that this release does not know.
    pub fn read<M: Message>(
        relying_party: RelyingPartyId,
        operation: &'static str,
        request: &tonic::Request<M>,
        request_id: impl FnOnce(&M) -> &str,
    ) -> Result<Option<Self>, InvalidRequestId> {
        let id = request_id(request.get_ref());
        if id.chars().count() > MAX_ID {
            return Err(InvalidRequestId);
        }
        Ok((!id.is_empty()).then(|| Self { relying_party, operation, id: id.to_owned(), hash: digest(request) }))
    }

    fn key(&self) -> RequestKey<'_> {
        RequestKey { relying_party: self.relying_party, operation: self.operation, request_id: &self.id, request_hash: self.hash }
    }

    fn context(&self) -> String {
        format!("idempotency/{}/{}/{}", self.relying_party, self.operation, self.id)
    }

    /// The stored response, if there is one.
    async fn given<A: Message + Default>(&self, answers: &Answers<'_>) -> Result<Option<A>, IdempotencyError> {
        let Lookup::Replay(sealed) = idempotency::lookup(answers.db, &self.key()).await? else { return Ok(None) };
        let opened = answers.vault.open(&self.context(), &sealed).map_err(|_| IdempotencyError::Lost)?;
        A::decode(opened.as_slice()).map(Some).map_err(|_| IdempotencyError::Lost)
    }

    /// Seals the response, to be stored with its effect.
    #[must_use]
    pub fn seal(&self, answers: &Answers<'_>, answer: &impl Message) -> Kept<'_> {
        let response = answers.vault.seal(answers.random, &self.context(), &answer.encode_to_vec());
        Kept { key: self.key(), response, now: answers.clock.now() }
    }

    /// Stores the response with its effect; false when another request was first.
    async fn keep(&self, tx: &mut Tx, answers: &Answers<'_>, answer: &impl Message) -> Result<bool, DbError> {
        idempotency::store(tx, &self.seal(answers, answer)).await
    }
}

/// Performs a request once: if the same request is made again, or concurrently, it gets the same response. A request without an id is
/// performed each time.
///
/// `attempt` calls other services first, then makes the change in a transaction that it returns with the response. It returns `None` when
/// another request changed the same thing first, and the change must be made again. A response that can no longer be opened is
/// [`IdempotencyError::Lost`]: its effect was applied.
pub async fn once<A, E, F>(request: Option<&Request>, answers: &Answers<'_>, attempt: impl Fn() -> F + Send + Sync) -> Result<A, E>
where
    A: Message + Default,
    E: Classify + From<DbError> + From<IdempotencyError>,
    F: Future<Output = Result<Option<(Tx, A)>, E>> + Send,
{
    if let Some(request) = request
        && let Some(given) = request.given(answers).await?
    {
        return Ok(given);
    }
    for _ in 0..ATTEMPTS {
        let (mut tx, answer) = match attempt().await {
            Ok(Some(changed)) => changed,
            Ok(None) => continue,
            Err(refused) if refused.kind() == Kind::Unavailable => return Err(refused),
            Err(refused) => return first_answer(request, answers, refused).await,
        };
        let Some(request) = request else {
            tx.commit().await?;
            return Ok(answer);
        };
        if request.keep(&mut tx, answers, &answer).await? {
            tx.commit().await?;
            return Ok(answer);
        }
        tx.rollback().await?;
        if let Some(given) = request.given(answers).await? {
            return Ok(given);
        }
    }
    Err(IdempotencyError::Raced.into())
}

/// Performs a request once, as [`once`] does, by an `attempt` that also stores the response, with its effect and in the same statement
/// where that is possible. A request that was made before is noticed by its refusal, and so costs more than a new one.
///
/// `attempt` commits. It returns `None` when the change must be made again, and an error when it was refused or the response of the same
/// request was there already. Whatever the error, the stored response takes its place.
pub async fn once_stored<A, E, F>(request: Option<&Request>, answers: &Answers<'_>, attempt: impl Fn() -> F + Send + Sync) -> Result<A, E>
where
    A: Message + Default,
    E: Classify + From<IdempotencyError>,
    F: Future<Output = Result<Option<A>, E>> + Send,
{
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(refused) => return first_answer(request, answers, refused).await,
        }
    }
    Err(IdempotencyError::Raced.into())
}

/// The refusal may be caused by what the same request did a moment ago.
async fn first_answer<A, E>(request: Option<&Request>, answers: &Answers<'_>, refused: E) -> Result<A, E>
where
    A: Message + Default,
    E: From<IdempotencyError>,
{
    let Some(request) = request else { return Err(refused) };
    match request.given(answers).await {
        Ok(Some(given)) => Ok(given),
        Err(said @ (IdempotencyError::Mismatch | IdempotencyError::Lost)) => Err(said.into()),
        Ok(None) | Err(_) => Err(refused),
    }
}
