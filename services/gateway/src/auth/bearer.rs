//! Authenticates backends by bearer token (RFC 6750), over gRPC and HTTP.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts as _, Request},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::{id::CredentialId, jose::hs256};
use nodkey_runtime::{
    ResolvedCredential,
    admission::{Class, Overloaded},
    bearer_token,
    fault::{self, Fault},
    not_authenticated, status,
    trace::Arrival,
};
use tonic::{Code, Status};

use super::backend::Backend;
use crate::{
    body::{self, Sender, discard_unread},
    class,
    layers::body_under,
    limits::network::Source,
    problem::{Problem, Refused},
    state::AppState,
    strict::Strict,
    tail,
};

/// The caller that a bearer token identifies. Services never call each other through the gateway, so their tokens identify nobody.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// A backend, authenticated by this credential.
    Backend(Arc<ResolvedCredential>),
    /// A caller that claims to be an operator, where operators are served. The service verifies the claim.
    Operator,
    /// No caller is identified.
    Nobody,
}

/// Why no caller could be identified.
#[derive(Debug)]
pub enum Unidentified {
    /// The gateway has no capacity to find out.
    Overloaded(Overloaded),
    /// The rate limit of the address or of the credential is exceeded.
    Rate(Problem),
    /// The token is wrong.
    Credentials(Status),
    /// The service that could identify the caller does not answer.
    Service(Status),
}

impl From<Unidentified> for Problem {
    fn from(why: Unidentified) -> Self {
        match why {
            Unidentified::Overloaded(overloaded) => overloaded.into(),
            Unidentified::Rate(problem) => problem,
            Unidentified::Credentials(status) => Self::token(status.message()),
            Unidentified::Service(status) => status.into(),
        }
    }
}

/// Admits a backend that signed a token. Unlike a caller of the TRUSONA scheme, it is authenticated before its body is read, and its
/// response is not signed.
pub async fn pass(state: &AppState, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let identified = async {
        let source = Source::from_request_parts(&mut parts, state).await?;
        match Bearer::identify(state, &parts.headers, &source).await? {
            Bearer::Backend(credential) => Ok(credential),
            Bearer::Operator => Err(Problem::token(refused(state, Fault::WrongKind, None).message())),
            Bearer::Nobody => Err(Problem::token(refused(state, Fault::NamesNoCredential, None).message())),
        }
    };
    let credential = match identified.await {
        Ok(credential) => credential,
        Err(problem) => {
            discard_unread(body).await;
            return problem.into_response();
        }
    };
    let route = class::route(&parts);
    let (class, limit) = (class::of(&parts.method, route), body::limit(&parts.method, route));
    let entered = async {
        let permit = state.admission.enter(class)?;
        body_under(state, permit, body, limit, Sender::Known(credential.relying_party)).await
    };
    let (permit, body) = match entered.await {
        Ok(entered) => entered,
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(Backend::from(credential));
    parts.extensions.insert(Strict);
    // A call that waits holds no permit for working calls.
    let permit = Some(permit).filter(|_| !class::waits(&parts));
    let arrival = Arrival::noted(&parts.extensions);
    let response = Arrival::go_on(arrival, true, next.run(Request::from_parts(parts, Body::from(body)))).await;
    // The refused caller is the backend: its credential was disabled since the gateway resolved it.
    if response.extensions().get::<Refused>().is_some() {
        return Problem::token("the credential is not accepted any more").into_response();
    }
    match permit {
        Some(permit) => permit.hold(response),
        None => response,
    }
}

impl Bearer {
    /// Identifies the caller. A caller that has to be looked up counts against the limit of its address, unless it turns out to be
    /// authenticated.
    pub async fn identify(state: &AppState, headers: &HeaderMap, source: &Source) -> Result<Self, Unidentified> {
        let asking = if Self::is_to_be_asked_for(state, headers).await {
            let working = state.admission.enter(Class::Anonymous).map_err(Unidentified::Overloaded)?;
            Some((working, state.strangers.charge(source).map_err(Unidentified::Rate)?))
        } else {
            None
        };
        let found = Self::of(state, headers).await;
        // Other failures do not say that the caller is unproven.
        let unproven = found.as_ref().is_err_and(|status| status.code() == Code::Unauthenticated);
        if let Some((_, charge)) = asking
            && !unproven
        {
            charge.refund();
        }
        let bearer = found.map_err(if unproven { Unidentified::Credentials } else { Unidentified::Service })?;
        if let Self::Backend(credential) = &bearer {
            tail::proven(credential);
            state.credential_rates.check(&credential.id.to_string()).map_err(Unidentified::Rate)?;
        }
        Ok(bearer)
    }

    /// Whether the registry has to be called to identify the caller: it names a credential that was not proven recently.
    async fn is_to_be_asked_for(state: &AppState, headers: &HeaderMap) -> bool {
        match bearer_token(headers).and_then(|token| hs256::key_id(token).ok()??.parse().ok()) {
            Some(id) => state.resolver.remembered(id).await.is_none(),
            None => false,
        }
    }

    async fn of(state: &AppState, headers: &HeaderMap) -> Result<Self, Status> {
        if !headers.contains_key(AUTHORIZATION) {
            return Ok(Self::Nobody);
        }
        let token = bearer_token(headers).ok_or_else(|| refused(state, Fault::Malformed, None))?;
        let kid = hs256::key_id(token).map_err(|_| refused(state, Fault::Malformed, None))?;
        let kid = kid.ok_or_else(|| refused(state, Fault::NamesNoCredential, None))?;
        if state.operators.sign(&kid, token) {
            return Ok(Self::Operator);
        }
        let Ok(id) = kid.parse::<CredentialId>() else { return Ok(Self::Nobody) };
        let refused = |fault| refused(state, fault, Some(id));
        let found = state.resolver.backend(id, token, &state.deployment.audience, state.clock.now()).await.map_err(status::status)?;
        found.map(Self::Backend).map_err(refused)
    }
}

/// The same error whatever is wrong. The log has the cause, and in development the response has it, too.
fn refused(state: &AppState, fault: Fault, named: Option<CredentialId>) -> Status {
    tail::refused(fault);
    fault::note("Bearer", fault.as_str(), named.map(|id| id.to_string()).as_deref());
    not_authenticated(fault, state.deployment.explain_refusals)
}
