//! Creates that may be repeated: the same request id and content get the same answer.

use nodkey_db::{
    Db, Tx,
    idempotency::{self, IdempotencyError, Lookup, RequestKey},
};
use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    id::RelyingPartyId,
    jose::sha256,
    random::Random,
    time::Timestamp,
    vault::Vault,
};
use prost::Message;

/// A request that may come again.
#[derive(Clone, Debug)]
pub struct Request {
    relying_party: RelyingPartyId,
    operation: &'static str,
    id: String,
    hash: [u8; 32],
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
    /// Names a request; `None` without a request id. Its content is the whole message.
    pub fn new(
        relying_party: RelyingPartyId,
        operation: &'static str,
        request_id: &str,
        message: &impl Message,
    ) -> Result<Option<Self>, InvalidRequestId> {
        if request_id.chars().count() > 128 {
            return Err(InvalidRequestId);
        }
        let hash = sha256(&message.encode_to_vec());
        Ok((!request_id.is_empty()).then(|| Self { relying_party, operation, id: request_id.to_owned(), hash }))
    }

    fn key(&self) -> RequestKey<'_> {
        RequestKey { relying_party: self.relying_party, operation: self.operation, request_id: &self.id, request_hash: self.hash }
    }

    fn context(&self) -> String {
        format!("idempotency/{}/{}/{}", self.relying_party, self.operation, self.id)
    }

    /// The answer given before, if there was one.
    pub async fn replay<T: Message + Default>(&self, db: &Db, vault: &Vault) -> Result<Option<T>, IdempotencyError> {
        match idempotency::lookup(db, &self.key()).await? {
            Lookup::New => Ok(None),
            // Sealed under a master key that is gone: as if it had never been.
            Lookup::Replay(sealed) => Ok(vault.open(&self.context(), &sealed).ok().and_then(|bytes| T::decode(bytes.as_slice()).ok())),
        }
    }

    /// Keeps the answer with its effect. Answers may hold secrets, so they are sealed. False when another was first.
    pub async fn keep(
        &self,
        tx: &mut Tx,
        vault: &Vault,
        random: &Random,
        answer: &impl Message,
        now: Timestamp,
    ) -> Result<bool, nodkey_db::DbError> {
        let sealed = vault.seal(random, &self.context(), &answer.encode_to_vec());
        idempotency::store(tx, &self.key(), &sealed, now).await
    }
}
