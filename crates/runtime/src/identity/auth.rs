//! Authentication. Every gRPC call passes through here, and no handler can be reached by a caller that its method does not allow.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use nodkey_kernel::{
    error::Kind,
    id::{CredentialId, OperatorSessionId, RelyingPartyId},
    jose::hs256,
    service_key::ServiceName,
    time::Clock,
};
use nodkey_proto::access::{Principal, allowed, is_personal, owner};
use secrecy::ExposeSecret as _;
use tonic::Status;

use super::{
    audit::Audit,
    caller::{Caller, Operator, bearer_token, not_authenticated},
    deployment::Deployment,
    fault::{self, Fault},
    metrics::SYMMETRIC_OPERATOR_KEY_CALLS,
    parties::Parties,
    peers::Peer,
    resolver::CredentialResolver,
    service_token::{Verifier, audience},
    token::{self, Claims, INTERNAL, OPERATOR, OPERATOR_SESSION, RELYING_PARTY_HEADER},
};
use crate::call::{status, trace::Arrival};

/// The dependencies of authentication.
#[derive(Clone, Debug)]
pub struct Authenticator {
    deployment: Arc<Deployment>,
    services: Verifier,
    resolver: CredentialResolver,
    parties: Parties,
    audit: Audit,
    clock: Clock,
}

impl Authenticator {
    /// Creates an authenticator.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>, registry: &Peer, clock: Clock) -> Self {
        let (services, resolver) = (Verifier::new(&deployment, &clock), CredentialResolver::new(registry.clone()));
        let (parties, audit) = (Parties::new(registry.clone()), Audit::new(registry.clone(), clock.clone()));
        Self { deployment, services, resolver, parties, audit, clock }
    }

    /// Authenticates the sender of these headers for a call of the method at `path`.
    async fn authenticate(&self, headers: &HeaderMap, path: &str) -> Result<Option<Caller>, Refused> {
        if !headers.contains_key(http::header::AUTHORIZATION) {
            return Ok(None);
        }
        let token = bearer_token(headers).ok_or(Fault::Malformed)?;
        let key_id = hs256::key_id(token).map_err(|_| Fault::Malformed)?.ok_or(Fault::NamesNoCredential)?;
        let caller = match key_id.as_str() {
            OPERATOR => {
                let keys = &self.deployment.symmetric_operator_keys;
                let mut proven = Err(Fault::UnknownCredential);
                for key in keys {
                    proven = proven.or_else(|_| self.verify(token, key.expose_secret()));
                }
                proven?;
                SYMMETRIC_OPERATOR_KEY_CALLS.increment(1);
                Caller::Operator { relying_party: tenant_header(headers)?, operator: Operator::of_the_key() }
            }
            id if self.deployment.operator_keys.knows(id) => {
                self.verify_operator(token, path)?;
                Caller::Operator { relying_party: tenant_header(headers)?, operator: Operator::of_the_key() }
            }
            INTERNAL => {
                let (name, relying_party) = self.services.verify_internal(token).ok_or(Fault::NoService)?;
                Caller::Service { name, relying_party }
            }
            id if self.services.knows(id) => {
                let proven = owner(path).and_then(|owner| self.services.verify(token, owner));
                let (name, relying_party) = proven.ok_or(Fault::NoService)?;
                Caller::Service { name, relying_party }
            }
            id if id.starts_with(OPERATOR_SESSION) => {
                let session: OperatorSessionId = id[OPERATOR_SESSION.len()..].parse().map_err(|_| Fault::UnknownSession)?;
                let session = self.resolver.resolve_session(session, token).await.map_err(status::status)?.ok_or(Fault::UnknownSession)?;
                Caller::Operator { relying_party: tenant_header(headers)?, operator: session.operator }
            }
            id => {
                let credential: CredentialId = id.parse().map_err(|_| Fault::NamesNoCredential)?;
                let found = self.resolver.backend(credential, token, &self.deployment.audience, self.clock.now()).await;
                let resolved = found.map_err(status::status)??;
                Caller::Backend { relying_party: resolved.relying_party, credential }
            }
        };
        Ok(Some(caller))
    }

    /// Verifies a token that a holder of the operator key signed for the service that serves `path`.
    fn verify_operator(&self, token: &str, path: &str) -> Result<(), Fault> {
        let claims: Claims = self.deployment.operator_keys.verify(token).map_err(Fault::from)?;
        let is = |name: ServiceName| claims.aud.includes(&audience(&self.deployment, name));
        // Methods that every process serves accept tokens for any service, because it is not known here which service is running.
        let good = owner(path).map_or_else(|| ServiceName::ALL.iter().any(|name| is(*name)), is);
        if good { token::in_time(claims.exp, self.clock.now()) } else { Err(Fault::WrongAudience) }
    }

    fn verify(&self, token: &str, secret: &str) -> Result<(), Fault> {
        token::check(token, secret, &self.deployment.audience, self.clock.now())
    }

    /// The response to an unauthenticated caller: always the same, with the reason only in development. The log always has the reason.
    fn refuse(&self, refused: Refused, headers: &HeaderMap) -> Status {
        let fault = match refused {
            Refused::Fault(fault) => fault,
            Refused::Otherwise(status) => return status,
        };
        fault::note("Bearer", fault.as_str(), named(headers).as_deref());
        not_authenticated(fault, self.deployment.explain_refusals)
    }

    fn may(&self, caller: &Caller, allow: &[Principal]) -> bool {
        caller.may(allow) || (self.deployment.internal_key.is_some() && is_gateway_of_before(caller, allow))
    }
}

/// Passes a call on when its method allows its caller.
pub async fn middleware(State(authenticator): State<Authenticator>, mut request: Request, next: Next) -> Response {
    let arrival = Arrival::noted(request.extensions());
    let path = request.uri().path();
    let open = path.starts_with("/grpc.health.v1.") || path.starts_with("/grpc.reflection.");
    let allow = match allowed(path) {
        Some(allow) => allow,
        None if open => &[Principal::Public],
        None => return Status::unimplemented("no such method").into_http(),
    };
    // The registry checks this itself.
    let is_elsewhere = owner(path).is_some_and(|owner| owner != ServiceName::Registry);
    match authenticator.authenticate(request.headers(), path).await {
        Err(_) | Ok(None) if allow.contains(&Principal::Public) => {}
        Err(refused) => return authenticator.refuse(refused, request.headers()).into_http(),
        Ok(None) => return authenticator.refuse(Fault::Missing.into(), request.headers()).into_http(),
        Ok(Some(caller)) if authenticator.may(&caller, allow) => {
            let answer = async move {
                if let Caller::Operator { relying_party: Some(party), .. } = caller
                    && is_elsewhere
                    && let Err(unknown) = authenticator.parties.ensure_known(party).await
                {
                    return unknown.into_http();
                }
                request.extensions_mut().insert(caller.clone());
                // What an auditor may call changes nothing; anything else that an operator calls is an action.
                if matches!(caller, Caller::Operator { .. }) && !Caller::reads(allow) {
                    return authenticator.audit.run(&caller, request, next).await;
                }
                if matches!(caller, Caller::Operator { .. }) && is_personal(request.uri().path()) {
                    return authenticator.audit.read(&caller, request, next).await;
                }
                next.run(request).await
            };
            return Arrival::go_on(arrival, true, answer).await;
        }
        Ok(Some(Caller::Operator { relying_party, operator })) => {
            let text = format!("the role {} may not call this method", operator.role);
            let refused = status::new(Kind::Forbidden, "NOT_ALLOWED", text, &[]);
            let caller = Caller::Operator { relying_party, operator };
            return authenticator.audit.refuse(&caller, request, refused).await;
        }
        Ok(Some(_)) => {
            return status::new(Kind::Forbidden, "NOT_ALLOWED", "this credential may not call this method", &[]).into_http();
        }
    }
    Arrival::go_on(arrival, false, next.run(request)).await
}

/// Gateways of the previous release use their own identity when calling for backends. This is allowed as long as there is the shared key
/// that makes all processes equal.
fn is_gateway_of_before(caller: &Caller, allow: &[Principal]) -> bool {
    matches!(caller, Caller::Service { name: ServiceName::Gateway, relying_party: Some(_) }) && allow.contains(&Principal::Backend)
}

/// Why a caller is refused.
enum Refused {
    /// The caller is not authenticated.
    Fault(Fault),
    /// The caller cannot be authenticated now, or something else is wrong.
    Otherwise(Status),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Otherwise(status)
    }
}

/// The credential, session or kind of key that a caller claims to sign with, if it has the format of one: anything else may be a secret.
fn named(headers: &HeaderMap) -> Option<String> {
    let key_id = hs256::key_id(bearer_token(headers)?).ok()??;
    let id = key_id.strip_prefix(OPERATOR_SESSION).unwrap_or(&key_id);
    let known = matches!(id, OPERATOR | INTERNAL) || id.parse::<CredentialId>().is_ok();
    known.then_some(key_id)
}

/// The tenant that an operator acts for. The console's relying party is excluded: anyone who could bind a phone there could become an
/// owner.
fn tenant_header(headers: &HeaderMap) -> Result<Option<RelyingPartyId>, Status> {
    let Some(value) = headers.get(RELYING_PARTY_HEADER) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|v| v.parse().ok());
    id.filter(|id| *id != RelyingPartyId::CONSOLE).map(Some).ok_or_else(|| {
        let text = format!("the {RELYING_PARTY_HEADER} header must be the UUID of a tenant");
        status::new(Kind::Invalid, "RELYING_PARTY_REQUIRED", text, &[])
    })
}
