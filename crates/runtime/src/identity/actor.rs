//! Whom a service can call others for.

use std::sync::Arc;

use nodkey_kernel::{
    id::{CredentialId, OperatorSessionId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::registry::v1::{CredentialKind, RelyingPartyLimits, SignatureSettings};
use secrecy::{ExposeSecret as _, SecretString};

use super::token;

/// Whose calls a channel makes. Somebody else's are signed with that somebody's secret and have their rights: a service that was broken
/// into has the rights of those it serves, and none of its own.
#[derive(Clone, Debug)]
pub enum Actor {
    /// The service itself, for a relying party or for nobody.
    Service(Option<RelyingPartyId>),
    /// The backend that holds this credential.
    Backend(Arc<ResolvedCredential>),
    /// The operator of this session, for a tenant or for nobody.
    Operator(OperatorSession, Option<RelyingPartyId>),
}

impl From<RelyingPartyId> for Actor {
    fn from(relying_party: RelyingPartyId) -> Self {
        Self::Service(Some(relying_party))
    }
}

/// What an operator's browser holds.
#[derive(Clone, Debug)]
pub struct OperatorSession {
    /// Names it.
    pub id: OperatorSessionId,
    /// Signs.
    pub secret: SecretString,
}

impl OperatorSession {
    /// A token by this session.
    #[must_use]
    pub fn token(&self, audience: &str, now: Timestamp) -> String {
        token::sign(&format!("{}{}", token::OPERATOR_SESSION, self.id), self.secret.expose_secret(), audience, now)
    }
}

/// What verifying a signature needs.
#[derive(Debug)]
pub struct ResolvedCredential {
    /// Names it.
    pub id: CredentialId,
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
    /// What its relying party tolerates in signatures.
    pub signatures: SignatureSettings,
    /// How much its relying party may hold.
    pub limits: RelyingPartyLimits,
}
