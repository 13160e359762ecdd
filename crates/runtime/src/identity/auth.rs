//! Who calls. Every gRPC call passes here; a handler cannot be reached by somebody its method does not name.

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
    jose::{JoseError, hs256},
    time::Clock,
};
use nodkey_proto::{
    access::{Principal, allowed, owner},
    registry::v1::CredentialKind,
};
use secrecy::ExposeSecret as _;
use tonic::Status;

use super::{
    audit::Audit,
    caller::{Caller, Operator, unauthenticated},
    deployment::Deployment,
    peers::Peer,
    resolver::CredentialResolver,
    service_token::Verifier,
    token::{Claims, INTERNAL, OPERATOR, OPERATOR_SESSION, RELYING_PARTY_HEADER, alive},
};
use crate::call::status;

/// What authentication needs to know.
#[derive(Clone, Debug)]
pub struct Authenticator {
    deployment: Arc<Deployment>,
    services: Verifier,
    resolver: CredentialResolver,
    audit: Audit,
    clock: Clock,
}

impl Authenticator {
    /// Makes one.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>, registry: &Peer, clock: Clock) -> Self {
        let (services, resolver) = (Verifier::new(&deployment, &clock), CredentialResolver::new(registry.clone()));
        Self { deployment, services, resolver, audit: Audit::new(registry.clone()), clock }
    }

    /// Finds out who sent these headers to call the method at `path`.
    async fn authenticate(&self, headers: &HeaderMap, path: &str) -> Result<Option<Caller>, Status> {
        let Some(value) = headers.get(http::header::AUTHORIZATION) else { return Ok(None) };
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or_else(unauthenticated)?;
        let key_id = hs256::key_id(token).ok().flatten().ok_or_else(unauthenticated)?;
        let caller = match key_id.as_str() {
            OPERATOR => {
                let keys = &self.deployment.operator_keys;
                keys.iter().find_map(|key| self.verify(token, key.expose_secret()).ok()).ok_or_else(unauthenticated)?;
                Caller::Operator { relying_party: tenant_header(headers)?, operator: Operator::of_the_key() }
            }
            INTERNAL => {
                let (name, relying_party) = self.services.verify_internal(token).ok_or_else(unauthenticated)?;
                Caller::Service { name, relying_party }
            }
            id if self.services.knows(id) => {
                let proven = owner(path).and_then(|owner| self.services.verify(token, owner));
                let (name, relying_party) = proven.ok_or_else(unauthenticated)?;
                Caller::Service { name, relying_party }
            }
            id if id.starts_with(OPERATOR_SESSION) => {
                let session: OperatorSessionId = id[OPERATOR_SESSION.len()..].parse().map_err(|_| unauthenticated())?;
                let session = self.resolver.resolve_session(session).await.map_err(status::status)?.ok_or_else(unauthenticated)?;
                self.verify(token, session.secret.expose_secret())?;
                Caller::Operator { relying_party: tenant_header(headers)?, operator: session.operator }
            }
            id => {
                let credential: CredentialId = id.parse().map_err(|_| unauthenticated())?;
                let resolved = self.resolver.resolve(credential).await.map_err(status::status)?.ok_or_else(unauthenticated)?;
                self.verify(token, resolved.secret.expose_secret())?;
                // Checked after the signature: only who holds the secret learns that it is disabled.
                if resolved.disabled || resolved.kind != CredentialKind::Server {
                    return Err(unauthenticated());
                }
                Caller::Backend { relying_party: resolved.relying_party, credential }
            }
        };
        Ok(Some(caller))
    }

    fn verify(&self, token: &str, secret: &str) -> Result<Claims, Status> {
        let claims: Claims = hs256::verify(token, secret.as_bytes()).map_err(|_: JoseError| unauthenticated())?;
        let good = claims.aud == self.deployment.audience && alive(claims.exp, self.clock.now());
        if good { Ok(claims) } else { Err(unauthenticated()) }
    }
}

/// Lets a call through when its method names its caller.
pub async fn middleware(State(authenticator): State<Authenticator>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = path.starts_with("/grpc.health.v1.") || path.starts_with("/grpc.reflection.");
    let allow = match allowed(path) {
        Some(allow) => allow,
        None if open => &[Principal::Public],
        None => return Status::unimplemented("no such method").into_http(),
    };
    match authenticator.authenticate(request.headers(), path).await {
        Err(_) | Ok(None) if allow.contains(&Principal::Public) => {}
        Err(status) => return status.into_http(),
        Ok(None) => return unauthenticated().into_http(),
        Ok(Some(caller)) if caller.may(allow) => {
            request.extensions_mut().insert(caller.clone());
            // What an auditor may call changes nothing; whatever else an operator calls is an action of theirs.
            if matches!(caller, Caller::Operator { .. }) && !Caller::reads(allow) {
                return authenticator.audit.run(&caller, request, next).await;
            }
        }
        Ok(Some(Caller::Operator { operator, .. })) => {
            let text = format!("the role {} may not call this method", operator.role);
            return status::new(Kind::Forbidden, "NOT_ALLOWED", text, &[]).into_http();
        }
        Ok(Some(_)) => {
            return status::new(Kind::Forbidden, "NOT_ALLOWED", "this credential may not call this method", &[]).into_http();
        }
    }
    next.run(request).await
}

/// The tenant an operator acts for. The console's relying party is none: who could bind a phone there could become an owner.
fn tenant_header(headers: &HeaderMap) -> Result<Option<RelyingPartyId>, Status> {
    let Some(value) = headers.get(RELYING_PARTY_HEADER) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|v| v.parse().ok());
    id.filter(|id| *id != RelyingPartyId::CONSOLE).map(Some).ok_or_else(|| {
        let text = format!("the {RELYING_PARTY_HEADER} header must be the UUID of a tenant");
        status::new(Kind::Invalid, "RELYING_PARTY_REQUIRED", text, &[])
    })
}
