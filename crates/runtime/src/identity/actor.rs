//! The actors that a service can call others for.

use std::sync::Arc;

use nodkey_kernel::{
    id::{CredentialId, OperatorSessionId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::registry::v1::{CredentialKind, RelyingPartyLimits, SignatureSettings};
use secrecy::{ExposeSecret as _, SecretString};

use super::token;

/// The caller on a channel. Calls for another actor are signed with that actor's secret and have that actor's permissions: a compromised
/// service has the permissions of the actors that it serves, and none of its own.
#[derive(Clone, Debug)]
pub enum Actor {
    /// The service itself, on behalf of a relying party or of none.
    Service(Option<RelyingPartyId>),
    /// The backend that holds this credential.
    Backend(Arc<ResolvedCredential>),
    /// The operator of this session, on behalf of a tenant or of none.
    Operator(OperatorSession, Option<RelyingPartyId>),
}

impl From<RelyingPartyId> for Actor {
    fn from(relying_party: RelyingPartyId) -> Self {
        Self::Service(Some(relying_party))
    }
}

/// The session in an operator's browser.
#[derive(Clone, Debug)]
pub struct OperatorSession {
    /// Identifier of the session.
    pub id: OperatorSessionId,
    /// Secret that signs its tokens.
    pub secret: SecretString,
}

impl OperatorSession {
    /// A token signed with this session's secret.
    #[must_use]
    pub fn token(&self, audience: &str, now: Timestamp) -> String {
        token::sign(&format!("{}{}", token::OPERATOR_SESSION, self.id), self.secret.expose_secret(), audience, now)
    }
}

/// What is needed to verify a signature.
#[derive(Debug)]
pub struct ResolvedCredential {
    /// Identifier of the credential.
    pub id: CredentialId,
    /// The relying party that owns it.
    pub relying_party: RelyingPartyId,
    /// For backends or for apps.
    pub kind: CredentialKind,
    /// Secret that signs.
    pub secret: SecretString,
    /// Whether it is no longer accepted.
    pub disabled: bool,
    /// SHA-256 of its token.
    pub token_sha256: Vec<u8>,
    /// What the relying party tolerates in signatures.
    pub signatures: SignatureSettings,
    /// The limits of the relying party.
    pub limits: RelyingPartyLimits,
}
