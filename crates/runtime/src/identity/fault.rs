//! What is wrong with how a caller proves who it is. Callers get one answer for all of it, the log says which it was, and in development
//! the answer does, too.

use metrics::counter;
use nodkey_kernel::{jose::JoseError, named};
use tracing::debug;

named! {
    /// Why a caller did not prove who it is, under the name it has in logs and metrics.
    pub enum Fault {
        /// Nothing of the scheme.
        Missing = "missing",
        /// Not as the scheme writes it.
        Malformed = "malformed",
        /// No credential is named.
        NamesNoCredential = "names_no_credential",
        /// None of ours is named.
        UnknownCredential = "unknown_credential",
        /// The session is over, or never was.
        UnknownSession = "unknown_session",
        /// The token names the credential and is not its own.
        OtherToken = "other_token",
        /// By another secret, or over something else.
        WrongSignature = "wrong_signature",
        /// An algorithm that is not taken.
        WrongAlgorithm = "wrong_algorithm",
        /// Claims are missing or of another type.
        WrongClaims = "wrong_claims",
        /// For somebody else.
        WrongAudience = "wrong_audience",
        /// Its time is over.
        Expired = "expired",
        /// It would live too long.
        LivesTooLong = "lives_too_long",
        /// The date that is signed is too far from ours.
        DateOff = "date_off",
        /// The credential was disabled.
        Disabled = "disabled",
        /// A mobile credential where a server's is asked for, or the other way round.
        WrongKind = "wrong_kind",
        /// It came before, where the relying party refuses that.
        Repeated = "repeated",
        /// No proof of one of our services for this one.
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
    /// What to look for, for whoever writes the caller.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Missing => "there is no Authorization header",
            Self::Malformed => "the Authorization header is not as its scheme writes it",
            Self::NamesNoCredential => "the token names no credential: its jti (TRUSONA) or kid (Bearer) must be a credential's id",
            Self::UnknownCredential => "there is no such credential",
            Self::UnknownSession => "there is no such session, or it is over",
            Self::OtherToken => "the token is not the one that was issued with this credential",
            Self::WrongSignature => "the signature is not one by the credential's secret over what arrived",
            Self::WrongAlgorithm => "the token is not signed with HS256",
            Self::WrongClaims => "aud or exp is missing, or of another type",
            Self::WrongAudience => "aud is not that of this deployment",
            Self::Expired => "exp is over; set the clock",
            Self::LivesTooLong => "exp is more than 60 s ahead; set the clock, or let it live shorter",
            Self::DateOff => "the date that is signed is too far from ours; set the clock by the Date header",
            Self::Disabled => "the credential is disabled",
            Self::WrongKind => "the credential is for apps where one for backends is asked for, or the other way round",
            Self::Repeated => "the same signature came before, and the relying party refuses that: sign anew, with the date of now",
            Self::NoService => "the token is not one by a service of this deployment for the one that is called",
        }
    }
}

/// Notes that a call is refused because its caller did not prove who it is: one line that belongs to the request's span, with its route
/// and trace, and a count. `fault`s are few and ours; `credential` is what the caller names, if it has the shape of an id.
pub fn note(scheme: &'static str, fault: &'static str, credential: Option<&str>) {
    counter!("nodkey_unauthenticated_total", "scheme" => scheme, "reason" => fault).increment(1);
    debug!(scheme, reason = fault, credential, "not authenticated");
}
