//! Bearer tokens that their senders sign themselves, with a secret that they share with who verifies them.

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use serde::{Deserialize, Serialize};

/// `kid` of what holders of the operator key sign.
pub const OPERATOR: &str = "operator";
/// `kid` of what operators sign, before the id of their session.
pub const OPERATOR_SESSION: &str = "operator/";
/// `kid` of what services sign in a deployment of before, by a key that all of them have.
pub const INTERNAL: &str = "internal";
/// The relying party an operator acts for.
pub const RELYING_PARTY_HEADER: &str = "x-nodkey-relying-party";
/// How far ahead a token may expire, in seconds: a stolen one is of little use.
const MAX_LIFETIME: i64 = 60;
/// How far clocks may differ, in seconds.
const SKEW: i64 = 5;

/// Claims of a token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The deployment.
    pub aud: String,
    /// Seconds.
    pub exp: i64,
    /// The calling service, of tokens by an internal key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom the calling service acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp: Option<RelyingPartyId>,
}

/// Tells whether a token that expires at `exp`, in seconds, counts now.
pub(crate) fn alive(exp: i64, now: Timestamp) -> bool {
    let now = now.as_seconds();
    exp > now - SKEW && exp <= now + MAX_LIFETIME + SKEW
}
