//! Credentials, which the registry gives to the service that their holder calls. They are cached for half a minute.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{CredentialId, OperatorSessionId},
    time::Timestamp,
};
pub use nodkey_proto::registry::v1::resolve_credential_request::Proof;
use nodkey_proto::{
    convert::{from_timestamp, role},
    registry::v1::{
        CredentialKind, ResolveCredentialRequest, ResolveOperatorSessionRequest, credential_service_client::CredentialServiceClient,
        operator_session_service_client::OperatorSessionServiceClient,
    },
};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tonic::Status;

use super::{actor::ResolvedCredential, caller::Operator, fault::Fault, peers::Peer, token};
use crate::call::{admission::Overloaded, refusal::Refusal, refusals::refused, status::PeerError};

/// How long a disabled credential may still be accepted.
const TTL: Duration = Duration::from_secs(30);
/// Maximum number of concurrent requests to the registry: anyone can name credentials that do not exist.
const ASKED: usize = 32;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// Maximum number of cached credentials.
const CAPACITY: u64 = 10_000;

/// An active session of an operator.
#[derive(Debug)]
pub struct ResolvedSession {
    /// The operator.
    pub operator: Operator,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Requests credentials from the registry and caches them.
#[derive(Clone, Debug)]
pub struct CredentialResolver {
    registry: Peer,
    cache: Cache<CredentialId, Arc<ResolvedCredential>>,
    asked: Arc<Semaphore>,
}

impl CredentialResolver {
    /// Creates a resolver.
    #[must_use]
    pub fn new(registry: Peer) -> Self {
        let cache = Cache::builder().max_capacity(CAPACITY).time_to_live(TTL).build();
        Self { registry, cache, asked: Arc::new(Semaphore::new(ASKED)) }
    }

    /// Returns a credential that some caller proved a moment ago. The caller that names it now has proven nothing.
    pub async fn remembered(&self, id: CredentialId) -> Option<Arc<ResolvedCredential>> {
        self.cache.get(&id).await
    }

    /// Returns the credential of the backend that signed a token for `audience`, or what is wrong with the token.
    pub async fn backend(
        &self,
        id: CredentialId,
        token: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Result<Arc<ResolvedCredential>, Fault>, PeerError> {
        let found = match self.resolve(id, || Proof::BearerToken(token.to_owned())).await? {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        // Checked for each token: the registry may have verified a different one. Only the holder of the secret learns the rest.
        let checked = token::check(token, found.secret.expose_secret(), audience, now).and_then(|()| match found.kind {
            _ if found.disabled => Err(Fault::Disabled),
            CredentialKind::Server => Ok(()),
            _ => Err(Fault::WrongKind),
        });
        Ok(checked.map(|()| found))
    }

    /// Returns a credential, or why not: it does not exist, or the proof is wrong. The credential was proven by this call or by an earlier
    /// one, so each caller's own signature must still be verified. Faults and failures are not cached, so a wrong proof locks nobody out.
    pub async fn resolve(
        &self,
        id: CredentialId,
        proof: impl FnOnce() -> Proof,
    ) -> Result<Result<Arc<ResolvedCredential>, Fault>, PeerError> {
        if let Some(known) = self.cache.get(&id).await {
            return Ok(Ok(known));
        }
        let (proof, mut asked) = (proof(), false);
        let ask = async {
            asked = true;
            self.ask(id, proof.clone()).await
        };
        let found = self.cache.try_get_with(id, ask).await;
        let found = match found {
            // Another call was first, and its proof says nothing about this one.
            Err(error) if !asked && error.kind() == Kind::NotFound => self.ask(id, proof).await,
            found => found.map_err(|error| (*error).clone()),
        };
        match found {
            Ok(found) => Ok(Ok(found)),
            Err(error) if error.kind() == Kind::NotFound => Ok(Err(Fault::try_from(error.reason()).unwrap_or(Fault::UnknownCredential))),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, id: CredentialId, proof: Proof) -> Result<Arc<ResolvedCredential>, PeerError> {
        let _turn = self.turn().await?;
        let mut client = CredentialServiceClient::new(self.registry.unscoped());
        let request = ResolveCredentialRequest { credential_id: id.to_string(), proof: Some(proof) };
        let answer = client.resolve_credential(request).await?.into_inner();
        let kind = answer.kind();
        let relying_party = answer.relying_party_id.parse().map_err(|_| tonic::Status::internal("a relying party without an id"))?;
        Ok(Arc::new(ResolvedCredential {
            id,
            relying_party,
            kind,
            secret: answer.secret.into(),
            disabled: answer.disabled,
            token_sha256: answer.token_sha256.to_vec(),
            signatures: answer.signatures.unwrap_or_default(),
            limits: answer.limits.unwrap_or_default(),
        }))
    }

    /// Waits, but not for long, until another request to the registry is allowed.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, PeerError> {
        // Never closed.
        if let Ok(Ok(turn)) = timeout(PATIENCE, self.asked.acquire()).await {
            return Ok(turn);
        }
        refused(Refusal::Credential);
        Err(Status::from(Overloaded).into())
    }

    /// Returns the operator session that signed a token; `None` when no active session did. Never cached: operators are few, and one who is
    /// disabled loses access immediately.
    pub async fn resolve_session(&self, id: OperatorSessionId, token: &str) -> Result<Option<ResolvedSession>, PeerError> {
        let _turn = self.turn().await?;
        let mut client = OperatorSessionServiceClient::new(self.registry.unscoped());
        let request = ResolveOperatorSessionRequest { id: id.to_string(), bearer_token: token.to_owned() };
        let session = match client.resolve_operator_session(request).await.map_err(PeerError::from) {
            Ok(answer) => answer.into_inner(),
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let verified = || token::verify(token, &session.secret, &self.registry.deployment().audience, self.registry.now());
        if !session.proven && !verified() {
            return Ok(None);
        }
        let expires_at = session.expires_at.as_ref().and_then(from_timestamp);
        let Some(operator) = session.operator else { return Ok(None) };
        let (session, id, role) = (session.id.parse().ok(), operator.id.parse().ok(), role(operator.role()));
        let (Some(id), Some(role), Some(expires_at)) = (id, role, expires_at) else { return Ok(None) };
        let operator = Operator { id: Some(id), name: operator.name, role, session };
        Ok(Some(ResolvedSession { operator, expires_at }))
    }
}
