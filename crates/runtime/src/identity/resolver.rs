//! Credentials, as the registry knows them, kept for half a minute.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{CredentialId, OperatorSessionId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::{
    convert::{from_timestamp, role},
    registry::v1::{
        CredentialKind, ResolveCredentialRequest, ResolveOperatorSessionRequest, SignatureSettings,
        credential_service_client::CredentialServiceClient, operator_session_service_client::OperatorSessionServiceClient,
    },
};
use secrecy::SecretString;

use super::{caller::Operator, peers::Peer};
use crate::call::status::PeerError;

/// How long a disabled credential may still be taken.
const TTL: Duration = Duration::from_secs(30);
/// How many are kept, unknown ones included.
const CAPACITY: u64 = 10_000;

/// What verifying a signature needs.
#[derive(Debug)]
pub struct ResolvedCredential {
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// For backends or for apps.
    pub kind: CredentialKind,
    /// What signs.
    pub secret: SecretString,
    /// No longer to be taken.
    pub disabled: bool,
    /// SHA-256 of its token.
    pub token_sha256: Vec<u8>,
    /// What its relying party puts up with in signatures.
    pub signatures: SignatureSettings,
}

/// A session of an operator's that is alive.
#[derive(Debug)]
pub struct ResolvedSession {
    /// Whose it is.
    pub operator: Operator,
    /// What signs.
    pub secret: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Asks the registry, and remembers.
#[derive(Clone, Debug)]
pub struct CredentialResolver {
    registry: Peer,
    cache: Cache<CredentialId, Option<Arc<ResolvedCredential>>>,
}

impl CredentialResolver {
    /// Makes one.
    #[must_use]
    pub fn new(registry: Peer) -> Self {
        Self { registry, cache: Cache::builder().max_capacity(CAPACITY).time_to_live(TTL).build() }
    }

    /// Returns a credential; `None` when there is none. Failures are not remembered.
    pub async fn resolve(&self, id: CredentialId) -> Result<Option<Arc<ResolvedCredential>>, PeerError> {
        let ask = async {
            let mut client = CredentialServiceClient::new(self.registry.unscoped());
            match client.resolve_credential(ResolveCredentialRequest { credential_id: id.to_string() }).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    let kind = answer.kind();
                    let Ok(relying_party) = answer.relying_party_id.parse() else { return Ok(None) };
                    Ok(Some(Arc::new(ResolvedCredential {
                        relying_party,
                        kind,
                        secret: answer.secret.into(),
                        disabled: answer.disabled,
                        token_sha256: answer.token_sha256.to_vec(),
                        signatures: answer.signatures.unwrap_or_default(),
                    })))
                }
                Err(status) => match PeerError::from(status) {
                    error if error.kind() == Kind::NotFound => Ok(None),
                    error => Err(error),
                },
            }
        };
        self.cache.try_get_with(id, ask).await.map_err(|error| (*error).clone())
    }

    /// Returns a session of an operator's; `None` when there is none that is alive. Never remembered: operators are few, and one who
    /// is disabled is out at once.
    pub async fn resolve_session(&self, id: OperatorSessionId) -> Result<Option<ResolvedSession>, PeerError> {
        let mut client = OperatorSessionServiceClient::new(self.registry.unscoped());
        let answer = client.resolve_operator_session(ResolveOperatorSessionRequest { id: id.to_string() }).await.map_err(PeerError::from);
        let session = match answer {
            Ok(answer) => answer.into_inner(),
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(operator) = session.operator else { return Ok(None) };
        let (id, role) = (operator.id.parse().ok(), role(operator.role()));
        let expires_at = session.expires_at.as_ref().and_then(from_timestamp);
        let (Some(id), Some(role), Some(expires_at)) = (id, role, expires_at) else { return Ok(None) };
        let operator = Operator { id: Some(id), name: operator.name, role };
        Ok(Some(ResolvedSession { operator, secret: session.secret.into(), expires_at }))
    }
}
