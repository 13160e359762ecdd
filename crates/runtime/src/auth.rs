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
    id::{CredentialId, OperatorId, OperatorSessionId, RelyingPartyId},
    jose::{JoseError, hs256},
    role::Role,
    time::Clock,
};
use nodkey_proto::{
    access::{Principal, allowed},
    registry::v1::CredentialKind,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::{audit::Audit, peers::Peer, resolver::CredentialResolver, service::Deployment, status};

/// `kid` of what holders of the operator key sign.
pub const OPERATOR: &str = "operator";
/// `kid` of what operators sign, before the id of their session.
pub const OPERATOR_SESSION: &str = "operator/";
/// `kid` of what services sign.
pub const INTERNAL: &str = "internal";
/// The relying party an operator acts for.
pub const RELYING_PARTY_HEADER: &str = "x-nodkey-relying-party";
/// How far ahead a token may expire, in seconds: a stolen one is of little use.
const MAX_LIFETIME: i64 = 60;
/// How far clocks may differ, in seconds.
const SKEW: i64 = 5;

/// A caller that has proven who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A relying party's backend.
    Backend {
        /// Whose.
        relying_party: RelyingPartyId,
        /// Signed with which.
        credential: CredentialId,
    },
    /// Another service of this deployment.
    Service {
        /// Which.
        name: String,
        /// Whom it acts for.
        relying_party: Option<RelyingPartyId>,
    },
    /// One of the people who run this deployment.
    Operator {
        /// Whom they act for.
        relying_party: Option<RelyingPartyId>,
        /// Who.
        operator: Operator,
    },
}

/// One of the people who run the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `None` for whoever holds the operator key.
    pub id: Option<OperatorId>,
    /// For people.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Operator {
    /// Whoever holds the operator key of the deployment.
    fn of_the_key() -> Self {
        Self { id: None, name: "operator key".into(), role: Role::Owner }
    }
}

impl Caller {
    /// Whose things the call is about: the first argument of every query.
    pub fn relying_party(&self) -> Result<RelyingPartyId, Status> {
        let named = match self {
            Self::Backend { relying_party, .. } => Some(*relying_party),
            Self::Service { relying_party, .. } | Self::Operator { relying_party, .. } => *relying_party,
        };
        named.ok_or_else(|| {
            let text = format!("this call needs a relying party: set the {RELYING_PARTY_HEADER} header");
            status::new(Kind::Invalid, "RELYING_PARTY_REQUIRED", text, &[])
        })
    }

    /// Tells whether a method is one that changes nothing, by the principals it names.
    fn reads(allow: &[Principal]) -> bool {
        allow.iter().any(|principal| matches!(principal, Principal::Auditor | Principal::Public))
    }

    /// Tells whether a method is for this caller, by the principals it names.
    fn may(&self, allow: &[Principal]) -> bool {
        allow.iter().any(|principal| match (principal, self) {
            (Principal::Public, _) => true,
            (Principal::Backend, caller) => matches!(caller, Self::Backend { .. }),
            (Principal::Service, caller) => matches!(caller, Self::Service { .. }),
            (Principal::Auditor, Self::Operator { operator, .. }) => operator.role >= Role::Auditor,
            (Principal::Operator, Self::Operator { operator, .. }) => operator.role >= Role::Operator,
            (Principal::Owner, Self::Operator { operator, .. }) => operator.role >= Role::Owner,
            (Principal::Auditor | Principal::Operator | Principal::Owner, Self::Backend { .. } | Self::Service { .. }) => false,
        })
    }
}

/// Returns who calls. Public methods alone may have no caller.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(unauthenticated)
}

/// Claims of a bearer token that its sender signed itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The deployment.
    pub aud: String,
    /// Seconds.
    pub exp: i64,
    /// The calling service, of internal tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom the calling service acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp: Option<RelyingPartyId>,
}

/// What authentication needs to know.
#[derive(Clone, Debug)]
pub struct Authenticator {
    deployment: Arc<Deployment>,
    resolver: CredentialResolver,
    audit: Audit,
    clock: Clock,
}

impl Authenticator {
    /// Makes one.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>, registry: &Peer, clock: Clock) -> Self {
        Self { deployment, resolver: CredentialResolver::new(registry.clone()), audit: Audit::new(registry.clone()), clock }
    }

    /// Finds out who sent these headers.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>, Status> {
        let Some(value) = headers.get(http::header::AUTHORIZATION) else { return Ok(None) };
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or_else(unauthenticated)?;
        let key_id = hs256::key_id(token).ok().flatten().ok_or_else(unauthenticated)?;
        let caller = match key_id.as_str() {
            OPERATOR => {
                self.verify(token, self.deployment.operator_key.expose_secret())?;
                Caller::Operator { relying_party: tenant_header(headers)?, operator: Operator::of_the_key() }
            }
            INTERNAL => {
                let claims = self.verify(token, self.deployment.internal_key.expose_secret())?;
                Caller::Service { name: claims.iss.unwrap_or_default(), relying_party: claims.rp }
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
        let now = self.clock.now().as_seconds();
        let alive = claims.exp > now - SKEW && claims.exp <= now + MAX_LIFETIME + SKEW;
        if claims.aud == self.deployment.audience && alive { Ok(claims) } else { Err(unauthenticated()) }
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
    match authenticator.authenticate(request.headers()).await {
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

/// One answer for whatever is wrong with a token.
fn unauthenticated() -> Status {
    let text = "a bearer token is needed: HS256, kid = credential id, aud = this deployment, exp at most 60 s ahead";
    status::new(Kind::Unauthenticated, "UNAUTHENTICATED", text, &[])
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
