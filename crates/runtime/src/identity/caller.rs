//! Who a caller can be, and what each may call.

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
        name: ServiceName,
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
    /// The session that signed the call; `None` for whoever holds the operator key.
    pub session: Option<OperatorSessionId>,
}

impl Operator {
    /// Whoever holds the operator key of the deployment.
    pub(crate) fn of_the_key() -> Self {
        Self { id: None, name: "operator key".into(), role: Role::Owner, session: None }
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
    pub(crate) fn reads(allow: &[Principal]) -> bool {
        allow.iter().any(|principal| matches!(principal, Principal::Auditor | Principal::Public))
    }

    /// Tells whether a method is for this caller, by the principals it names.
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

/// Returns who calls. Public methods alone may have no caller.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(unauthenticated)
}

/// The bearer token of a call (RFC 6750 section 2.1).
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    credentials(headers.get(AUTHORIZATION)?.to_str().ok()?, "Bearer")
}

/// What every caller needs.
const NEEDED: &str = "a bearer token is needed: HS256, kid = credential id, aud = this deployment, exp at most 60 s ahead";

/// The answer to who showed no token.
#[must_use]
pub fn unauthenticated() -> Status {
    not_authenticated(Fault::Missing, false)
}

/// One answer for whatever is wrong with a token; in development with why. It has what a 401 of HTTP has to say (RFC 6750 section 3), for
/// libraries and proxies that read it.
#[must_use]
pub fn not_authenticated(fault: Fault, explain: bool) -> Status {
    let text = if explain { format!("{NEEDED}; {}", fault.why()) } else { NEEDED.to_owned() };
    let challenge = if fault == Fault::Missing { "Bearer" } else { r#"Bearer error="invalid_token""# };
    let mut status = status::new(Kind::Unauthenticated, "UNAUTHENTICATED", text, &[]);
    status.metadata_mut().insert(WWW_AUTHENTICATE.as_str(), MetadataValue::from_static(challenge));
    status
}
