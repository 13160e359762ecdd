//! Authentication faults. Callers get the same response for all of them. The log says which one it was, and in development the response
//! does as well.

use nodkey_kernel::{jose::JoseError, named};
use tracing::debug;

use super::metrics::UNAUTHENTICATED;

named! {
    /// Why a caller is not authenticated, with the name used in logs and metrics.
    pub enum Fault {
        /// Nothing for the scheme was sent.
        Missing = "missing",
        /// Not in the format of the scheme.
        Malformed = "malformed",
        /// No credential is named.
        NamesNoCredential = "names_no_credential",
        /// The named credential does not exist here.
        UnknownCredential = "unknown_credential",
        /// The session has ended, or never existed.
        UnknownSession = "unknown_session",
        /// The token names the credential but is not the credential's own.
        OtherToken = "other_token",
        /// Signed with another secret, or over different content.
        WrongSignature = "wrong_signature",
        /// An algorithm that is not accepted.
        WrongAlgorithm = "wrong_algorithm",
        /// Claims are missing or have the wrong type.
        WrongClaims = "wrong_claims",
        /// Meant for another recipient.
        WrongAudience = "wrong_audience",
        /// Expired.
        Expired = "expired",
        /// Its lifetime is too long.
        LivesTooLong = "lives_too_long",
        /// The signed date is too far from the current time.
        DateOff = "date_off",
        /// The credential was disabled.
        Disabled = "disabled",
        /// A mobile credential where a server credential is required, or the other way round.
        WrongKind = "wrong_kind",
        /// It was sent before, and the relying party refuses repeated requests.
        Repeated = "repeated",
        /// Not a proof from one of our services for this one.
        NoService = "no_service",
    }
}

impl From<JoseError> for Fault {
    fn from(error: JoseError) -> Self {
        match error {
            JoseError::Signature => Self::WrongSignature,
            JoseError::Algorithm => Self::WrongAlgorithm,
            JoseError::Claims => Self::WrongClaims,
            _ => Self::Malformed,
        }
    }
}

impl Fault {
    /// Advice for the developers of the caller.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Missing => "there is no Authorization header",
            Self::Malformed => "the Authorization header is not as its scheme writes it",
            Self::NamesNoCredential => "the token names no credential: its jti (TRUSONA) or kid (Bearer) must be a credential's id",
            Self::UnknownCredential => "there is no such credential",
            Self::UnknownSession => "the session does not exist or has ended",
            Self::OtherToken => "the token is not the one that was issued with this credential",
            Self::WrongSignature => "the signature was not made with the credential's secret over the request as received",
            Self::WrongAlgorithm => "the token is not signed with HS256",
            Self::WrongClaims => "aud or exp is missing, or of another type",
            Self::WrongAudience => "aud is not that of this deployment",
            Self::Expired => "exp has passed; check the clock",
            Self::LivesTooLong => "exp is more than 60 s ahead; set the clock, or let it live shorter",
            Self::DateOff => "the signed date is too far from the server's time; set the clock by the Date header",
            Self::Disabled => "the credential is disabled",
            Self::WrongKind => "the credential is for apps where one for backends is required, or the other way round",
            Self::Repeated => "the signature was used before, which the relying party refuses: sign again with the current date",
            Self::NoService => "the token is not one by a service of this deployment for the one that is called",
        }
    }
}

/// Records that a call is refused because its caller is not authenticated: a count, and one log line in the request's span, with its route
/// and trace. `fault` values are few and defined by us; `credential` is what the caller names, if it has the format of an id.
pub fn note(scheme: &'static str, fault: &'static str, credential: Option<&str>) {
    UNAUTHENTICATED.with([scheme, fault]).increment(1);
    debug!(scheme, reason = fault, credential, "not authenticated");
}
