//! Bearer tokens that senders sign themselves, with a secret shared with the verifier.

use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Audience, hs256, numeric_date},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// The `kid` of tokens signed with a symmetric operator key, in an older deployment.
pub const OPERATOR: &str = "operator";
/// Prefix of the `kid` of operators' tokens, before the id of their session.
pub const OPERATOR_SESSION: &str = "operator/";
/// The `kid` of services' tokens in an older deployment, signed with a key that all services have.
pub const INTERNAL: &str = "internal";
/// Header with the relying party that an operator acts for.
pub const RELYING_PARTY_HEADER: &str = "x-nodkey-relying-party";
/// The header that names at the gateway the service that a call is for, where every service has the method.
pub const SERVICE_HEADER: &str = "x-nodkey-service";
/// Lifetime of a token that is signed here, in seconds.
const LIFETIME: i64 = 30;
/// Maximum time until a token's expiry, in seconds, so that a stolen one is of little use.
const MAX_LIFETIME: i64 = 60;
/// Maximum clock difference, in seconds.
const SKEW: i64 = 5;

/// Claims of a token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The deployment.
    pub aud: Audience,
    /// Expiry, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// The calling service, in tokens signed with an internal key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The relying party that the calling service acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp: Option<RelyingPartyId>,
}

/// Signs a token with the secret that `kid` names, for the deployment with this audience.
#[must_use]
pub fn sign(kid: &str, secret: &str, audience: &str, now: Timestamp) -> String {
    let claims = Claims { aud: audience.into(), exp: now.as_seconds() + LIFETIME, iss: None, rp: None };
    hs256::sign(Some(kid), &claims, secret.as_bytes())
}

/// Whether the owner of `secret` made a token for the deployment with this audience, and the token is valid now.
#[must_use]
pub fn verify(token: &str, secret: &str, audience: &str, now: Timestamp) -> bool {
    check(token, secret, audience, now).is_ok()
}

/// Verifies a token like [`verify`], and returns what is wrong with it.
pub fn check(token: &str, secret: &str, audience: &str, now: Timestamp) -> Result<(), Fault> {
    let claims = hs256::verify::<Claims>(token, secret.as_bytes()).map_err(Fault::from)?;
    if claims.aud.includes(audience) { in_time(claims.exp, now) } else { Err(Fault::WrongAudience) }
}

/// Checks the expiry `exp` of a token, in seconds, and returns what is wrong with it.
pub(crate) fn in_time(exp: i64, now: Timestamp) -> Result<(), Fault> {
    if alive(exp, now) {
        return Ok(());
    }
    Err(if exp <= now.as_seconds() { Fault::Expired } else { Fault::LivesTooLong })
}

/// Whether a token with the expiry `exp`, in seconds, is valid now.
pub(crate) fn alive(exp: i64, now: Timestamp) -> bool {
    let now = now.as_seconds();
    exp > now - SKEW && exp <= now + MAX_LIFETIME + SKEW
}
