//! The kinds of callers, and what each may call.

use http::{
    HeaderMap,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use nodkey_kernel::{
    auth_scheme::credentials,
    error::Kind,
    id::{CredentialId, OperatorId, OperatorSessionId, RelyingPartyId},
    role::Role,
    service_key::ServiceName,
};
use nodkey_proto::access::Principal;
use tonic::{Status, metadata::MetadataValue};

use super::{fault::Fault, token::RELYING_PARTY_HEADER};
use crate::call::status;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A relying party's backend.
    Backend {
        /// The relying party.
        relying_party: RelyingPartyId,
        /// The credential that signed the call.
        credential: CredentialId,
    },
    /// Another service of this deployment.
    Service {
        /// The service.
        name: ServiceName,
        /// The relying party it acts for.
        relying_party: Option<RelyingPartyId>,
    },
    /// An operator of this deployment.
    Operator {
        /// The relying party they act for.
        relying_party: Option<RelyingPartyId>,
        /// The operator.
        operator: Operator,
    },
}

/// An operator of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `None` for a holder of the operator key.
    pub id: Option<OperatorId>,
    /// Name, for display.
    pub name: String,
    /// Role.
    pub role: Role,
    /// The session that signed the call; `None` for a holder of the operator key.
    pub session: Option<OperatorSessionId>,
}

impl Operator {
    /// A holder of the deployment's operator key.
    pub(crate) fn of_the_key() -> Self {
        Self { id: None, name: "operator key".into(), role: Role::Owner, session: None }
    }
}

impl Caller {
    /// The relying party that the call is about: the first argument of every query.
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

    /// Whether a method only reads, according to the principals that it allows.
    pub(crate) fn reads(allow: &[Principal]) -> bool {
        allow.iter().any(|principal| matches!(principal, Principal::Auditor | Principal::Public))
    }

    /// Whether this caller may call a method that allows these principals.
    #[must_use]
    pub fn may(&self, allow: &[Principal]) -> bool {
        allow.iter().any(|principal| match (principal, self) {
            (Principal::Public, _) => true,
            (Principal::Backend, caller) => matches!(caller, Self::Backend { .. }),
            (Principal::Service(named), Self::Service { name, .. }) => named == name,
            (Principal::ForConsole(named), Self::Service { name, relying_party }) => {
                named == name && *relying_party == Some(RelyingPartyId::CONSOLE)
            }
            (Principal::Auditor | Principal::Oneself, Self::Operator { operator, .. }) => operator.role >= Role::Auditor,
            (Principal::Operator, Self::Operator { operator, .. }) => operator.role >= Role::Operator,
            (Principal::Owner, Self::Operator { operator, .. }) => operator.role >= Role::Owner,
            (
                Principal::Service(_)
                | Principal::ForConsole(_)
                | Principal::Auditor
                | Principal::Oneself
                | Principal::Operator
                | Principal::Owner,
                _,
            ) => false,
        })
    }
}

/// Returns the caller. Only public methods may have none.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(unauthenticated)
}

/// The bearer token of a call (RFC 6750 section 2.1).
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    credentials(headers.get(AUTHORIZATION)?.to_str().ok()?, "Bearer")
}

/// Requirements for every caller.
const NEEDED: &str = "a bearer token is needed: HS256, kid = credential id, aud = this deployment, exp at most 60 s ahead";

/// The response to a call without a token.
#[must_use]
pub fn unauthenticated() -> Status {
    not_authenticated(Fault::Missing, false)
}

/// The same response for any problem with a token; in development it includes the reason. It has the headers that a 401 of HTTP requires
/// (RFC 6750 section 3), for libraries and proxies that read them.
#[must_use]
pub fn not_authenticated(fault: Fault, explain: bool) -> Status {
    let text = if explain { format!("{NEEDED}; {}", fault.why()) } else { NEEDED.to_owned() };
    let challenge = if fault == Fault::Missing { "Bearer" } else { r#"Bearer error="invalid_token""# };
    let mut status = status::new(Kind::Unauthenticated, "UNAUTHENTICATED", text, &[]);
    status.metadata_mut().insert(WWW_AUTHENTICATE.as_str(), MetadataValue::from_static(challenge));
    status
}
