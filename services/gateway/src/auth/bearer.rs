//! Backends over gRPC: who signed the token of a call.

use std::sync::Arc;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use nodkey_kernel::{id::CredentialId, jose::hs256};
use nodkey_runtime::{
    ResolvedCredential,
    fault::{self, Fault},
    status, unauthenticated, unauthenticated_because,
};
use tonic::Status;

use crate::{edge::Edge, operators::bearer_token};

/// Who may be behind a call. Services hear from one another, never through here: a token of theirs is nobody's.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// A backend that has proven itself, by this credential.
    Backend(Arc<ResolvedCredential>),
    /// Somebody who says to be an operator, where these are served. The service finds out.
    Operator,
    /// Nobody.
    Nobody,
}

impl Bearer {
    /// Whether the registry has to be asked to find out: a credential is named that nobody has proven a moment ago.
    pub async fn is_to_be_asked_for(edge: &Edge, headers: &HeaderMap) -> bool {
        match bearer_token(headers).and_then(|token| hs256::key_id(token).ok()??.parse().ok()) {
            Some(id) => edge.resolver.remembered(id).await.is_none(),
            None => false,
        }
    }

    /// Finds out.
    pub async fn of(edge: &Edge, headers: &HeaderMap) -> Result<Self, Status> {
        if !headers.contains_key(AUTHORIZATION) {
            return Ok(Self::Nobody);
        }
        let token = bearer_token(headers).ok_or_else(|| refused(edge, Fault::Malformed, None))?;
        let kid = hs256::key_id(token).map_err(|_| refused(edge, Fault::Malformed, None))?;
        let kid = kid.ok_or_else(|| refused(edge, Fault::NamesNoCredential, None))?;
        if edge.operators.sign(&kid, token) {
            return Ok(Self::Operator);
        }
        let Ok(id) = kid.parse::<CredentialId>() else { return Ok(Self::Nobody) };
        let refused = |fault| refused(edge, fault, Some(id));
        let found = edge.resolver.backend(id, token, &edge.deployment.audience, edge.clock.now()).await.map_err(status::status)?;
        found.map(Self::Backend).map_err(refused)
    }
}

/// One answer for whatever is wrong; the log has it, and in development the answer, too.
fn refused(edge: &Edge, fault: Fault, named: Option<CredentialId>) -> Status {
    fault::note("Bearer", fault.as_str(), named.map(|id| id.to_string()).as_deref());
    if edge.deployment.explain_refusals { unauthenticated_because(fault.why()) } else { unauthenticated() }
}
